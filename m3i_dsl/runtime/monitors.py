"""Whether representations collapse.

Takes: the detached representations of a step. Gives: for each, its spread per channel, its effective rank and its
uniformity; for each target, the alignment of prediction and target; and a warning in plain words when they fall.
Guarantees: measured over the global batch, by all processes together, which get the same numbers; rank and uniformity
over at most `ROWS` vectors, taken at a fixed stride; never in the graph; one warning for each episode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from m3i_dsl.collectives import mean, total, world
from m3i_dsl.runtime.faults import COLLAPSE, Notice

ROWS = 512
"""How many vectors are measured: the distances of uniformity grow with the square."""

PATIENCE = 3
"""How many measurements in a row must be low: at the start of training, predictions pass through a point."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A measure that means collapse below (or above) `limit`, and how to say so."""

    measure: str
    limit: float
    above: bool
    meaning: str

    def crossed(self, value: float) -> bool:
        return value > self.limit if self.above else value < self.limit

    def recovered(self, value: float) -> bool:
        return value < 1.5 * self.limit if self.above else value > 1.5 * self.limit


THRESHOLDS = (
    Threshold("spread", 0.02, False, "all samples have nearly the same vector"),
    Threshold("rank_share", 0.01, False, "the vectors use almost none of their dimensions"),
    Threshold("uniformity", -0.05, True, "all vectors point in nearly the same direction"),
)


def measure(representation: Tensor) -> dict[str, float]:
    """The measures of one representation [B, N, D] or [B, D]; nothing for fewer than two samples.

    * `std`: the standard deviation of each channel over the batch, at each position, averaged.
    * `spread`: the same without scale: the root of the variance over the batch over the mean square. 0 is collapse,
      also
      when positions differ and images do not; independent centred vectors give 1.
    * `effective_rank`: the exponential of the entropy of the normalised singular values of the centred vectors (Roy and
      Vetterli 2007); `rank_share` is its share of the largest possible.
    * `uniformity`: log mean exp(-2 |u - v|^2) over pairs of l2-normalised vectors (Wang and Isola 2020); 0 is collapse.
    """
    x = _wide(representation)
    size = world().size
    if size * x.shape[0] < 2:
        return {}
    variance = x.var(0, correction=0) if size == 1 else mean((x - mean(x.mean(0))).square().mean(0))
    rows = _rows(x)
    rank, largest = _effective_rank(rows)
    return {
        "std": float(variance.sqrt().mean()),
        "spread": float((variance.mean() / mean((x * x).mean()).clamp(min=1e-30)).sqrt()),
        "effective_rank": rank,
        "rank_share": rank / largest,
        "uniformity": _uniformity(rows),
    }


def alignment(prediction: Tensor, target: Tensor) -> float:
    """The mean of |u - v|^2 over pairs of l2-normalised prediction and target (Wang and Isola 2020), same shape."""
    u, v = (torch.nn.functional.normalize(_wide(x), dim=-1) for x in (prediction, target))
    return float(mean((u - v).square().sum(-1).mean()))


@dataclass(slots=True)
class CollapseMonitor:
    """Measures all representations of a recipe and remembers which are in an episode."""

    _low: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    _warned: set[str] = field(default_factory=set[str])

    def observe(self, representations: Mapping[str, Tensor]) -> tuple[dict[str, float], list[Notice]]:
        """`NAME/measure` -> value, and the new warnings. NAME is `objective.target/prediction` and the like."""
        values: dict[str, float] = {}
        notices: list[Notice] = []
        for name, representation in representations.items():
            if not representation.is_floating_point() or representation.ndim < 2:
                continue  # code indices and the like have no geometry
            measured = measure(representation)
            values |= {f"{name}/{key}": value for key, value in measured.items()}
            if notice := self._judge(name, measured):
                notices.append(notice)
        for name, prediction in representations.items():
            target = representations.get(f"{name.removesuffix('/prediction')}/target")
            if name.endswith("/prediction") and target is not None and target.shape == prediction.shape:
                values[f"{name.removesuffix('/prediction')}/alignment"] = alignment(prediction, target)
        return values, notices

    def _judge(self, name: str, measured: Mapping[str, float]) -> Notice | None:
        crossed: list[Threshold] = []
        recovered = bool(measured)
        for threshold in THRESHOLDS:
            if threshold.measure not in measured:
                continue
            value = measured[threshold.measure]
            key = (name, threshold.measure)
            self._low[key] = self._low.get(key, 0) + 1 if threshold.crossed(value) else 0
            if self._low[key] >= PATIENCE:
                crossed.append(threshold)
            recovered = recovered and threshold.recovered(value)
        if recovered:
            self._warned.discard(name)
        if not crossed or name in self._warned:
            return None
        self._warned.add(name)
        return _notice(name, crossed, measured)


def _notice(name: str, crossed: list[Threshold], measured: Mapping[str, float]) -> Notice:
    subject, _, part = name.rpartition("/")
    what = {
        "prediction": f"the predictions of target `{subject}`",
        "target": f"the target vectors of `{subject}`",
        "input": f"the encoder's output in objective `{subject}`",
    }.get(part, f"`{name}`")
    return Notice(
        COLLAPSE,
        f"{what} are collapsing: {crossed[0].meaning}"
        if part != "input"
        else f"{what} is collapsing: {crossed[0].meaning}",
        notes=tuple(
            f"{threshold.measure.replace('_', ' ')} is {measured[threshold.measure]:.3g}; "
            f"{'above' if threshold.above else 'below'} {threshold.limit:g} means that {threshold.meaning}"
            for threshold in crossed
        ),
        helps=(
            "the features will be of little use if it lasts; lower the learning rate, lengthen the warmup, raise the "
            "momentum of the averaged encoder, or add a regularization (`negative samples`, `decorrelation`)",
        ),
    )


def _wide(x: Tensor) -> Tensor:
    return x.detach().to(torch.float64 if x.device.type == "cpu" else torch.float32)


def _rows(x: Tensor) -> Tensor:
    """[R, D] with R <= ROWS, at a fixed stride over samples and positions of the global batch."""
    flat, here = x.reshape(-1, x.shape[-1]), world()
    count = flat.shape[0]
    stride = -(-here.size * count // ROWS)
    if here.size == 1:
        return flat[::stride]
    first = -(-here.rank * count // stride)  # the first of the rows that this process has
    own = flat[first * stride - here.rank * count :: stride]
    rows = flat.new_zeros(-(-here.size * count // stride), flat.shape[1])
    rows[first : first + len(own)] = own
    return total(rows)


def _effective_rank(rows: Tensor) -> tuple[float, int]:
    """The effective rank of the centred rows [R, D] and the largest that it can be, min(R - 1, D)."""
    centred = (rows - rows.mean(0)).double()
    largest = max(1, min(rows.shape[0] - 1, rows.shape[1]))
    gram = centred @ centred.T if centred.shape[0] < centred.shape[1] else centred.T @ centred
    if not bool(torch.isfinite(gram).all()):
        return math.nan, largest  # what overflowed has no rank, and its eigenvalues do not converge
    singular = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    # Rounding leaves about 1e-8 of the largest in dimensions that are not there: 1e-7 is no signal in any dtype used.
    singular = singular[singular > 1e-7 * singular.max()]
    if singular.numel() == 0 or not bool(torch.isfinite(singular).all()):
        return 1.0, largest
    p = singular / singular.sum()
    return float(torch.exp(-(p * p.log()).sum())), largest


def _uniformity(rows: Tensor) -> float:
    directions = torch.nn.functional.normalize(rows, dim=-1)
    count = directions.shape[0]
    squared = (2 - 2 * directions @ directions.T).clamp(min=0)
    others = ~torch.eye(count, dtype=torch.bool, device=rows.device)
    return float(torch.exp(-2 * squared[others]).mean().log())
