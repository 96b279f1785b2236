"""No leak: what a mask hides does not reach z_x.

The gradient of z_x with respect to every hidden pixel must be exactly zero, not small: a hidden value that is
multiplied by zero has passed, one that is added and subtracted has not. In a mix, the pixels of both images that were
replaced are hidden. At visible pixels the gradient must not vanish, or nothing would have been tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from m3i_dsl.ir.inputs import MaskInput, ViewInput
from m3i_dsl.lower.executable import Executable
from m3i_dsl.modules.tokens import partner
from m3i_dsl.semantics.program import Objective
from m3i_dsl.source import Span
from m3i_dsl.testing.captured import Captured, gradients_of
from m3i_dsl.testing.case import Case
from m3i_dsl.testing.outcome import Failed, NotApplicable, Property
from m3i_dsl.vocabulary.kinds import ImageEncoder


@dataclass(frozen=True)
class _Hidden:
    """Pixels [B, 1, H, W] of an input that z_x must not depend on, True where hidden."""

    view: str
    pixels: Tensor
    span: Span


def _check(case: Case) -> str:
    executable = case.copy()
    batch = case.batch()
    views = {i.name: batch[i.name].requires_grad_() for i in executable.inputs if isinstance(i, ViewInput)}
    captured = Captured(executable, batch)
    tested = 0
    for objective in case.program.objectives:
        masked = list(_masked(objective, executable, batch))
        if not masked:
            continue
        z_x = captured.output(f"representations/{objective.name}/input")
        gradients = gradients_of(z_x[::2] if objective.mix is not None and _by_rows(objective) else z_x, views)
        tested += sum(_require_no_leak(objective, hidden, gradients[hidden.view]) for hidden in masked)
        if not any(_reaches(gradients[hidden.view], ~hidden.pixels) for hidden in masked):
            raise Failed(f"the input representation of `{objective.name}` depends on no visible pixel", objective.span)
    if not tested:
        raise NotApplicable("no input is masked or mixed")
    return f"the gradient is zero at {tested} hidden pixels"


def _masked(objective: Objective, executable: Executable, batch: dict[str, Tensor]) -> Iterator[_Hidden]:
    """What is hidden from z_x of an objective: by its mask, in either direction, or by its mix."""
    inputs = [input_ for input_ in executable.inputs if isinstance(input_, MaskInput)]
    if objective.mix is not None:
        input_ = next(i for i in inputs if i.slot == f"{objective.name}/mix")
        yield from _mixed(objective, objective.mix.span, input_, batch[input_.name])
        return
    mask = objective.mask
    if mask is None:
        return
    views = {objective.inputs[0].view.name: objective.inputs[0].view}
    if objective.symmetric:
        views |= {r.view.name: r.view for t in objective.targets for r in t.data if r.view is not None}
    for name, view in views.items():
        for input_ in inputs:
            if input_.slot == f"{name}/mask/{mask.word.text()}":
                yield _Hidden(name, _pixels(input_, batch[input_.name], view.size), mask.span)


def _mixed(objective: Objective, span: Span, input_: MaskInput, hidden: Tensor) -> Iterator[_Hidden]:
    """What z_x in even rows does not see: of its own image what is hidden, of its partner's what is shown instead.

    Where samples are compared inside the encoder, all rows see the images of all; then an image is hidden where neither
    its own row nor its partner's shows it.
    """
    first, second = (reference.view for reference in objective.inputs)
    replaced, kept = hidden, partner(~hidden)
    if not _by_rows(objective):
        if first is second:
            yield _Hidden(first.name, _pixels(input_, replaced & kept, first.size), span)
            return
    else:
        even = (torch.arange(len(hidden)) % 2 == 0)[:, None]
        if first is second:
            yield _Hidden(first.name, _pixels(input_, torch.where(even, replaced, kept), first.size), span)
            return
        replaced, kept = replaced | ~even, kept | even
    yield _Hidden(first.name, _pixels(input_, replaced, first.size), span)
    yield _Hidden(second.name, _pixels(input_, kept, second.size), span)


def _by_rows(objective: Objective) -> bool:
    """Whether each row of z_x is a function of its own mix."""
    word = objective.encoder.word.word
    return isinstance(word, ImageEncoder) and not word.couples_batch()


def _pixels(input_: MaskInput, tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """bool [B, L] -> bool [B, 1, H, W]: each token covers its own rectangle."""
    grid = tokens.view(len(tokens), 1, input_.grid.rows, input_.grid.columns)
    rows, columns = size[0] // input_.grid.rows, size[1] // input_.grid.columns
    return grid.repeat_interleave(rows, dim=2).repeat_interleave(columns, dim=3)


def _require_no_leak(objective: Objective, hidden: _Hidden, gradient: Tensor | None) -> int:
    """The number of pixels at which the gradient was looked at."""
    count = int(hidden.pixels.sum())
    if gradient is None:
        return 0
    leaked = (gradient != 0) & hidden.pixels
    if leaked.any():
        most = float(gradient[leaked].abs().max())
        pixels = int(leaked.any(dim=1).sum())
        raise Failed(
            f"z_x of `{objective.name}` sees {pixels} of {count} hidden pixels of `{hidden.view}`: the gradient, which "
            f"must be zero, is up to {most:.2g}",
            hidden.span,
        )
    return count


def _reaches(gradient: Tensor | None, pixels: Tensor) -> bool:
    return gradient is not None and bool(torch.any((gradient != 0) & pixels))


LEAK = Property("leak", "z_x does not depend on what is masked: the gradient is exactly zero", _check)
