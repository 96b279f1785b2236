"""Where tokens are, and how wide: what the checks and the IR both need to know of an objective.

Takes: an objective and a target. Gives: grids and widths. Guarantees: no torch.
"""

from __future__ import annotations

from m3i_dsl.semantics.program import Objective, Target, TextField, View
from m3i_dsl.vocabulary.kinds import Grid, ImageEncoder, WordError


def sizes_differ(objective: Objective, target: Target) -> bool:
    """Whether a view does not have the size that its encoder takes."""
    if objective.of_texts:
        return False
    encoder = objective.encoder.image
    shape = encoder.shape()
    views = [reference.view for reference in target.data if reference.view is not None]
    return any(not accepted(encoder, reference.view, objective) for reference in objective.inputs) or any(
        side % shape.stride for view in views for side in view.size
    )


def accepted(encoder: ImageEncoder, view: View | TextField, objective: Objective) -> bool:
    """Whether the encoder takes the view: of its own size, or among several inputs of any that it can."""
    if isinstance(view, TextField):
        return True
    if view.size == encoder.shape().image or not objective.several:
        return view.size == encoder.shape().image
    try:
        encoder.shape_at(view.size)
    except WordError:
        return False
    return True


def target_grid(objective: Objective, target: Target, view: View | None = None) -> Grid | None:
    """The tokens of a dense target of `view` (None: its first): those of its encoder, or the patches of the view, as
    large as the input encoder's. Of a text a row of tokens.
    """
    if not target.representation.word.has_grid:
        return None
    text = target.encoder.word.word.as_text() if target.encoder is not None else None
    if text is not None and target.data[0].view is None:
        return text.token_shape().grid
    if objective.of_texts:
        return objective.shape.grid
    teacher = target.encoder.word.word.as_image() if target.encoder is not None else None
    if teacher is not None:
        return teacher.shape().grid
    encoder = objective.encoder.image
    stride = encoder.shape().stride
    view = view or next((reference.view for reference in target.data if reference.view is not None), None)
    size = view.size if view is not None else encoder.shape().image
    return Grid(size[0] // stride, size[1] // stride)


def tokenizes(objective: Objective) -> bool:
    """Whether the projector of the input's encoder ends in a codebook; codes are of the tokens of the grid."""
    projector = objective.projector
    return projector is not None and projector.codes() is not None


def projects(objective: Objective, target: Target) -> bool:
    """Whether what predicts a target goes through the encoder's projector: where z_y does, and codes always."""
    return target.projected or tokenizes(objective)
