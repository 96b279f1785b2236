"""Zero-shot recognition against a loop that follows its definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from m3i_dsl.evaluation.accuracy import chance
from m3i_dsl.evaluation.errors import EvaluationError
from m3i_dsl.evaluation.zero_shot import category_embeddings, zero_shot
from m3i_dsl.vocabulary.evaluators import ZeroShot
from m3i_dsl.vocabulary.kinds import Split, WordError

NAMES = ("cat", "dog", "fish")
TEMPLATES = ("a photo of a {}.", "{}")


def embed_texts(texts: list[str]) -> Tensor:
    """A vector for each text that depends on all of its letters."""
    rows = [torch.randn(6, generator=torch.Generator().manual_seed(sum(map(ord, text)))) for text in texts]
    return torch.stack(rows) * torch.arange(1, len(texts) + 1)[:, None]  # lengths differ: normalisation must count


def embed_images(images: Tensor) -> Tensor:
    return images.flatten(1)[:, :6]


class Path:
    embed_texts = staticmethod(embed_texts)
    embed_images = staticmethod(embed_images)


def test_prompts_are_normalised_averaged_and_normalised() -> None:
    embeddings = category_embeddings(embed_texts, NAMES, TEMPLATES)
    for row, name in zip(embeddings, NAMES, strict=True):
        first, second = embed_texts([template.format(name) for template in TEMPLATES])
        mean = (first / first.norm() + second / second.norm()) / 2
        torch.testing.assert_close(row, mean / mean.norm())


def test_accuracy_is_that_of_the_definition() -> None:
    images = torch.randn(20, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(20) % 3
    embeddings = category_embeddings(embed_texts, NAMES, TEMPLATES)
    right = 0
    for image, label in zip(images, labels.tolist(), strict=True):
        cosines = [
            float(torch.cosine_similarity(embed_images(image[None])[0], embedding, dim=0)) for embedding in embeddings
        ]
        right += cosines.index(max(cosines)) == label
    result = zero_shot(Path(), Split(images, labels), categories=NAMES, templates=TEMPLATES)
    assert result.value == pytest.approx(right / 20)
    assert result.details == {"prompts": list(TEMPLATES), "categories": 3}


def test_names_with_braces_are_only_put_in() -> None:
    embeddings = category_embeddings(embed_texts, ("{}", "{0}"), ("a {}.",))
    torch.testing.assert_close(embeddings[0], torch.nn.functional.normalize(embed_texts(["a {}."]), dim=1)[0])


def test_repeated_names_are_an_error() -> None:
    with pytest.raises(EvaluationError, match="`cat`") as caught:
        category_embeddings(embed_texts, ("cat", "dog", "cat"), TEMPLATES)
    assert caught.value.code == "M3I0753"


def test_chance_has_no_error() -> None:
    result = chance(4, 100)
    assert (result.value, result.standard_error, result.n) == (0.25, 0.0, 100)


def test_prompts_are_split_at_bars() -> None:
    assert ZeroShot("a photo of a {}. | {}").templates() == ("a photo of a {}.", "{}")
    for wrong in ("no place", "{} and {}", "a {} | b", ""):
        with pytest.raises(WordError) as caught:
            ZeroShot(wrong).templates()
        assert caught.value.argument == "prompts"
