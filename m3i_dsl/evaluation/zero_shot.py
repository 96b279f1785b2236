"""Zero-shot recognition: categories by their names alone.

Takes: the path of a text target (images and texts to embeddings), the category names and the prompts. Gives: the
accuracy on the test split. Guarantees: no labelled example is used; the images take the very path that the text target
trained (encoder, then predictor), which the caller wires.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from m3i_dsl.evaluation import errors
from m3i_dsl.evaluation.accuracy import accuracy
from m3i_dsl.evaluation.features import broken_in, not_finite
from m3i_dsl.vocabulary.kinds import ALONE, Result, Split, Team, TextPath, in_order

EmbedTexts = Callable[[list[str]], Tensor]
"""T texts -> text embeddings [T, E], in evaluation mode and without gradient."""


def category_embeddings(embed_texts: EmbedTexts, categories: Sequence[str], templates: Sequence[str]) -> Tensor:
    """f32 [C, E], l2-normalised: for each category the normalised mean of the l2-normalised embeddings of its prompts.

    Each of `templates` has one `{}`. Raises EvaluationError (M3I0753) when two categories have the same name.
    """
    repeated = sorted({name for name in categories if list(categories).count(name) > 1})
    if repeated:
        raise errors.EvaluationError(
            errors.CATEGORY_NAMES_REPEAT,
            f"{len(repeated)} category names stand for several categories, such as `{repeated[0]}`",
            help="give every category a name of its own, or leave `zero_shot` out",
        )
    rows: list[Tensor] = []
    for name in categories:
        embedding = embed_texts([template.replace("{}", name) for template in templates])
        rows.append(F.normalize(embedding.float(), dim=1).mean(dim=0))
    return F.normalize(torch.stack(rows), dim=1)


def zero_shot(
    path: TextPath | None,
    split: Split,
    *,
    categories: Sequence[str],
    templates: Sequence[str],
    team: Team = ALONE,
) -> Result:
    """Accuracy of taking the category whose embedding has the largest cosine with the image's predicted embedding.

    Images are gone through once, each part by one process of the team.
    Raises EvaluationError: M3I0754 without a path, M3I0753 when two categories have the same name.
    """
    if path is None:
        raise errors.EvaluationError(
            errors.NO_TEXT_TARGET,
            "`zero_shot` needs a target with text embeddings, and the recipe has none",
            help="add a target with `representation text embedding of ...`, or leave `zero_shot` out",
        )
    texts_CE = category_embeddings(path.embed_texts, categories, templates)
    own: dict[int, Tensor] = {}
    broken = 0
    for number, part in split.parts(team):
        images_BE = path.embed_images(part).float()
        if number is not None:
            broken += broken_in(images_BE)
            own[number] = (F.normalize(images_BE, dim=1).to(texts_CE) @ texts_CE.T).argmax(dim=1).cpu()
    if total := sum(team.gathered(broken)):
        raise not_finite(total, len(split.labels))
    predicted = torch.cat(in_order(team, own))
    return accuracy(predicted, split.labels, categories, {"prompts": list(templates), "categories": len(categories)})
