"""What no built-in word does, but one of somebody else could: it is a diagnostic too."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from m3i_dsl.driver import check_file
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.encoders.transformer import Transformer
from m3i_dsl.vocabulary.kinds import Grid, ImageEncoder, WordError
from m3i_dsl.vocabulary.kinds.sources import Dataset
from m3i_dsl.vocabulary.masks import RandomMask
from tests.semantics.masked import masked


@pytest.mark.parametrize(("hidden", "what"), [(0, "none"), (16, "all"), (17, "all")])
def test_a_mask_that_hides_nothing_or_everything(hidden: int, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def promised(mask: RandomMask, grid: Grid, stride: int) -> int:
        return hidden

    monkeypatch.setattr(RandomMask, "hidden", promised)
    (found,) = check_file(masked()).diagnostics
    assert (found.code, found.span.text) == ("M3I0213", "random(75%)")
    assert found.message == f"the mask hides {what} of the 16 tokens (4x4)"


@pytest.mark.parametrize("hidden", [1, 15])
def test_a_mask_that_leaves_a_token_on_each_side(hidden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RandomMask, "hidden", lambda mask, grid, stride: hidden)
    assert not list(check_file(masked()).diagnostics)


def test_an_encoder_takes_images_of_its_own_size_unless_it_says_otherwise() -> None:
    word = Timm("vit_tiny_patch16_224", 32, 8, width=48, depth=2, heads=3)
    assert ImageEncoder.shape_at(word, (32, 32)) == word.shape()
    with pytest.raises(WordError, match="it takes images of one size"):
        ImageEncoder.shape_at(word, (32, 16))


def test_an_encoder_reads_no_files_unless_it_says_otherwise() -> None:
    with pytest.raises(WordError, match="`transformer` reads no files of weights") as caught:
        Transformer().load_file(nn.Identity(), Path("weights.safetensors"))
    assert caught.value.argument == "weights"


def test_a_source_has_no_held_out_part_unless_it_says_otherwise() -> None:
    class Images(Dataset):
        __len__ = read = None  # type: ignore[assignment]

    with pytest.raises(WordError, match="no held-out split"):
        Images().evaluation()
