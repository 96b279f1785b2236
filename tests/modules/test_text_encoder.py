"""The text transformer and its tokenizers."""

from pathlib import Path
from typing import Any

import pytest
import torch

from m3i_dsl.modules.text_encoder import pool_text
from m3i_dsl.vocabulary.encoders.transformer import Transformer
from m3i_dsl.vocabulary.kinds import EncoderContext, WordError

HERE = Path()


def test_bytes_are_numbered_from_one_between_begin_and_end() -> None:
    word = Transformer(context=6)
    ids = word.tokenize(["ab", "", "abcdefgh", "\u00e9"], HERE)
    assert ids.dtype == "int64"
    assert ids.tolist() == [
        [257, 98, 99, 258, 0, 0],
        [257, 258, 0, 0, 0, 0],
        [257, 98, 99, 100, 101, 258],
        [257, 0xC3 + 1, 0xA9 + 1, 258, 0, 0],
    ]
    assert word.vocabulary_size(HERE) == 259


def tokenizer_file(folder: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {"a": 0, "cat": 1, "dog": 2, "[B]": 3, "[E]": 4, "[U]": 5}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[U]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[B] $A [E]", special_tokens=[("[B]", 3), ("[E]", 4)]
    )
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(folder / "words.json"))
    return folder / "words.json"


def test_a_tokenizer_file_is_shifted_so_that_zero_pads(tmp_path: Path) -> None:
    tokenizer_file(tmp_path)
    word = Transformer(tokenizer="file", file="words.json", context=5)
    assert word.tokenize(["a cat", "a dog a cat a dog"], tmp_path).tolist() == [[4, 1, 2, 5, 0], [4, 1, 3, 1, 5]]
    assert word.vocabulary_size(tmp_path) == 7
    assert word.build(EncoderContext(tmp_path)).embedding.num_embeddings == 7  # type: ignore[union-attr]


def test_a_missing_or_broken_tokenizer_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    for name, message in (("none.json", "there is no tokenizer file"), ("broken.json", "is not a tokenizer file")):
        with pytest.raises(WordError, match=message) as caught:
            Transformer(tokenizer="file", file=name).tokenize(["a"], tmp_path)
        assert caught.value.argument == "file"


@pytest.mark.parametrize(
    ("word", "argument"),
    [
        (Transformer(width=30, heads=4), "heads"),
        (Transformer(tokenizer="file"), "tokenizer"),
        (Transformer(file="words.json"), "file"),
    ],
)
def test_arguments_that_do_not_fit_are_said(word: Transformer, argument: str) -> None:
    with pytest.raises(WordError) as caught:
        word.build(EncoderContext())
    assert caught.value.argument == argument


@pytest.mark.parametrize("pool", ["mean", "end"])
def test_a_text_does_not_depend_on_its_padding(pool: Any) -> None:
    torch.manual_seed(0)
    word = Transformer(16, 2, 2, context=12, pool=pool)
    module = word.build(EncoderContext()).double()

    def vectors(tokens: torch.Tensor) -> torch.Tensor:
        return pool_text(module(tokens), tokens, pool)

    tokens = torch.from_numpy(word.tokenize(["ab", "abcde"], HERE))
    whole = vectors(tokens)
    for row, length in ((0, 4), (1, 7)):
        short = tokens[row : row + 1, :length]
        torch.testing.assert_close(vectors(short), whole[row : row + 1])
        torch.testing.assert_close(module(short)[0], module(tokens)[row, :length])
    changed = torch.from_numpy(word.tokenize(["ab", "abcdf"], HERE))
    torch.testing.assert_close(vectors(changed)[0], whole[0])
    assert not torch.allclose(vectors(changed)[1], whole[1])


def test_pools_are_the_mean_and_the_last_token() -> None:
    torch.manual_seed(0)
    module: Any = Transformer(8, 1, 2, context=6).build(EncoderContext()).double()
    tokens = torch.tensor([[257, 3, 4, 258]])
    x = module.embedding(tokens) + module.positions[:4]
    x = module.norm(module.blocks[0](x))
    torch.testing.assert_close(module(tokens), x)
    torch.testing.assert_close(pool_text(x, tokens, "mean"), x.mean(1))
    torch.testing.assert_close(pool_text(x, tokens, "end"), x[:, 3])


def test_a_hidden_token_is_seen_by_its_place_alone() -> None:
    torch.manual_seed(0)
    module: Any = Transformer(8, 1, 2, context=6).build(EncoderContext()).double()
    one, other = torch.tensor([[257, 3, 4, 258, 0, 0]]), torch.tensor([[257, 3, 9, 258, 0, 0]])
    hidden = torch.tensor([[False, False, True, False, False, False]])
    torch.testing.assert_close(module(one, hidden), module(other, hidden), rtol=0, atol=0)
    assert not torch.allclose(module(one), module(other))
    assert not torch.allclose(module(one, hidden), module(one))


def test_what_begins_and_ends_a_text_is_not_hidden(tmp_path: Path) -> None:
    word = Transformer(context=6)
    assert word.hideable(word.tokenize(["ab", "\u00e9", ""], HERE), HERE).tolist() == [
        [False, True, True, False, False, False],
        [False, True, True, False, False, False],
        [False] * 6,
    ]
    tokenizer_file(tmp_path)
    read = Transformer(tokenizer="file", file="words.json", context=5)
    assert read.hideable(read.tokenize(["a cat"], tmp_path), tmp_path).tolist() == [[False, True, True, False, False]]


def test_a_text_without_tokens_still_has_a_vector() -> None:
    module = Transformer(8, 1, 2, context=4).build(EncoderContext())
    tokens = torch.zeros(2, 4, dtype=torch.int64)
    assert pool_text(module(tokens), tokens, "mean").isfinite().all()
