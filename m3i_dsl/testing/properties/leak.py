"""No leak: what a mask hides does not reach z_x.

The gradient of z_x with respect to every hidden pixel must be exactly zero, not small: a hidden value that is
multiplied by zero has passed, one that is added and subtracted has not. In a mix, the pixels of both images that were
replaced are hidden. At visible pixels the gradient must not vanish, or nothing would have been tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from m3i_dsl.ir.inputs import MaskInput, TextMaskInput, ViewInput
from m3i_dsl.lower.executable import Executable
from m3i_dsl.modules.tokens import partner
from m3i_dsl.semantics.program import Objective, View
from m3i_dsl.source import Span
from m3i_dsl.testing.captured import Captured, gradients_of
from m3i_dsl.testing.case import Case
from m3i_dsl.testing.outcome import Failed, NotApplicable, Property
from m3i_dsl.vocabulary.kinds import ImageEncoder


@dataclass(frozen=True)
class _Hidden:
    """Pixels [B, 1, H, W] of an input that the output `z_x` must not depend on, True where hidden."""

    view: str
    pixels: Tensor
    span: Span
    z_x: str


def _check(case: Case) -> str:
    executable = case.copy()
    batch = case.batch()
    views = {i.view: batch[i.name].requires_grad_() for i in executable.inputs if isinstance(i, ViewInput)}
    captured = Captured(executable, batch)
    tested = tested_tokens = 0
    for objective in case.program.objectives:
        if objective.of_texts:
            tested_tokens += _text(objective, executable, batch)
            continue
        masked = list(_masked(objective, executable, batch))
        if not masked:
            continue
        for name in dict.fromkeys(hidden.z_x for hidden in masked):
            z_x, of_it = captured.output(name), [hidden for hidden in masked if hidden.z_x == name]
            gradients = gradients_of(z_x[::2] if objective.mix is not None and _by_rows(objective) else z_x, views)
            tested += sum(_require_no_leak(objective, hidden, gradients[hidden.view]) for hidden in of_it)
            if not any(_reaches(gradients[hidden.view], ~hidden.pixels) for hidden in of_it):
                message = f"the input representation of `{objective.name}` depends on no visible pixel"
                raise Failed(message, objective.span)
    if not tested and not tested_tokens:
        raise NotApplicable("no input is masked or mixed")
    found = [f"the gradient is zero at {tested} hidden pixels"] if tested else []
    found += [f"{tested_tokens} hidden tokens of texts may be any others"] if tested_tokens else []
    return ", ".join(found)


def _text(objective: Objective, executable: Executable, batch: dict[str, Tensor]) -> int:
    """The number of hidden tokens of a text that were exchanged for others; z_x must be the same to the bit."""
    masks = [i for i in executable.inputs if isinstance(i, TextMaskInput) and objective.name in i.objectives]
    z_x = f"representations/{objective.name}/input"
    for mask in masks:
        hidden, tokens = batch[mask.name], batch[mask.tokens]
        others = tokens % (executable.program.encoders[mask.by].text.vocabulary_size(Path()) - 1) + 1
        whole = Captured(executable, batch).output(z_x)
        exchanged = Captured(executable, {**batch, mask.tokens: torch.where(hidden, others, tokens)}).output(z_x)
        if not torch.equal(whole, exchanged):
            message = f"z_x of `{objective.name}` depends on hidden tokens of `{mask.field}`"
            raise Failed(message, objective.inputs[0].span)
        seen = Captured(executable, {**batch, mask.tokens: torch.where(hidden | (tokens == 0), tokens, others)})
        if torch.equal(whole, seen.output(z_x)):
            message = f"the input representation of `{objective.name}` depends on no visible token"
            raise Failed(message, objective.span)
    return sum(int(batch[mask.name].sum()) for mask in masks)


def _masked(objective: Objective, executable: Executable, batch: dict[str, Tensor]) -> Iterator[_Hidden]:
    """What is hidden from z_x of an objective: by the masks of its inputs, in either direction, or by its mix."""
    z_x = f"representations/{objective.name}/input"
    for input_ in executable.inputs:
        if not isinstance(input_, MaskInput) or objective.name not in input_.objectives:
            continue
        if objective.mix is not None:
            yield from _mixed(objective, objective.mix.span, input_, batch[input_.name], z_x)
            continue
        # In the backward direction of a symmetric objective the mask is on the other view.
        shown = next((i for i in objective.inputs if i.view.name == input_.view), objective.inputs[0])
        span = objective.span if shown.mask is None else shown.mask.span
        size = executable.program.views[input_.view].size
        output = f"{z_x}/{input_.view}" if objective.several else z_x
        yield _Hidden(input_.view, _pixels(input_, batch[input_.name], size), span, output)


def _mixed(objective: Objective, span: Span, input_: MaskInput, hidden: Tensor, z_x: str) -> Iterator[_Hidden]:
    """What z_x in even rows does not see: of its own image what is hidden, of its partner's what is shown instead.

    Where samples are compared inside the encoder, all rows see the images of all; then an image is hidden where neither
    its own row nor its partner's shows it.
    """
    first, second = (shown.view for shown in objective.inputs if isinstance(shown.view, View))
    replaced, kept = hidden, partner(~hidden)
    if not _by_rows(objective):
        if first is second:
            yield _Hidden(first.name, _pixels(input_, replaced & kept, first.size), span, z_x)
            return
    else:
        even = (torch.arange(len(hidden)) % 2 == 0)[:, None]
        if first is second:
            yield _Hidden(first.name, _pixels(input_, torch.where(even, replaced, kept), first.size), span, z_x)
            return
        replaced, kept = replaced | ~even, kept | even
    yield _Hidden(first.name, _pixels(input_, replaced, first.size), span, z_x)
    yield _Hidden(second.name, _pixels(input_, kept, second.size), span, z_x)


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
