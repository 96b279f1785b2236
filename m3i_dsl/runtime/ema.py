"""Averaged encoders: phi <- mu phi + (1 - mu) theta.

Takes: pairs of modules with the same parameters, and the ramp of mu. Gives: one fused update for all pairs that share
a ramp. Guarantees: parameters only (batch-norm statistics of the average are its own: SiameseIM, MoCo), projectors
included, but for parameters that the average takes as they are (modules/own_rules.py); the averages require no
gradient; a step that was skipped leaves them as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from m3i_dsl.collectives.sharded import local
from m3i_dsl.modules.own_rules import OwnRules
from m3i_dsl.runtime.interfaces import AveragedPair
from m3i_dsl.runtime.schedule import ramp_at
from m3i_dsl.vocabulary.values import Duration, Ramp

# One kernel over lists of tensors; torch has no public names for them.
_lerp: Any = torch._foreach_lerp_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
_sub: Any = torch._foreach_sub  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
_mul: Any = torch._foreach_mul_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
_add: Any = torch._foreach_add_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]


class MovingAverages:
    """All averages of a recipe, over `total` steps; `steps` says how long a duration is.

    Raises ValueError when a pair does not match parameter by parameter.
    """

    def __init__(self, pairs: Sequence[AveragedPair], total: int, steps: Callable[[Duration], int]) -> None:
        self._lists: dict[tuple[Ramp, int], tuple[list[Tensor], list[Tensor]]] = {}
        self._copied: tuple[list[Tensor], list[Tensor]] = ([], [])
        for pair in pairs:
            length = total if pair.over is None else max(1, steps(pair.over))
            averaged = self._lists.setdefault((pair.momentum, length), ([], []))
            copied = _copied(pair.average)
            for name, average, source in _matched(pair.average, pair.source):
                averages, sources = self._copied if name in copied else averaged
                averages.append(average)
                sources.append(source)

    @torch.no_grad()
    def update(self, step: int, skip: Tensor | None = None) -> None:
        """Moves every average after the optimizer made step `step` (0-based).

        `skip` is a 0-dimensional tensor on the device, 1 for a step that was undone: then nothing moves, and the host
        need not know.
        """
        if self._copied[0]:
            _lerp(*self._copied, 1.0)  # where the step was undone, they are what they were
        for key, (averages, sources) in self._lists.items():
            weight = 1 - ramp_at(*_now(key, step))
            if skip is None:
                _lerp(averages, sources, weight)
            else:
                # Of a weight on the device there is no lerp that is one kernel. The differences lie beside the
                # parameters for a moment in which there are no activations.
                moves = _sub(sources, averages)
                _mul(moves, weight * (1 - skip))
                _add(averages, moves)

    def momenta(self, step: int) -> list[float]:
        """The momentum of each distinct ramp at `step`, for the log."""
        return [ramp_at(*_now(key, step)) for key in self._lists]


def _now(key: tuple[Ramp, int], step: int) -> tuple[Ramp, int, int]:
    """A ramp at a step: after its time it stays at its end."""
    ramp, length = key
    return ramp, min(step, length), length


def _copied(average: nn.Module) -> set[str]:
    """The parameters that it takes as they are, by full name."""
    found: set[str] = set()
    for path, part in average.named_modules():
        if isinstance(part, OwnRules):
            found |= {f"{path}.{name}" if path else name for name in part.copied()}
    return found


def _matched(average: nn.Module, source: nn.Module) -> list[tuple[str, Tensor, Tensor]]:
    averages, sources = dict(average.named_parameters()), dict(source.named_parameters())
    if averages.keys() != sources.keys():
        raise ValueError(f"the average and its source differ in {sorted(averages.keys() ^ sources.keys())}")
    if trained := [name for name, parameter in averages.items() if parameter.requires_grad]:
        raise ValueError(f"an averaged encoder takes no gradient, but {trained[0]} does")
    return [(name, local(averages[name].data), local(sources[name].data)) for name in averages]
