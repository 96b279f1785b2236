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
    return {} if world().size * representation.shape[0] < 2 else _measures(*_seen(representation))


def alignment(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of |u - v|^2 over pairs of l2-normalised prediction and target (Wang and Isola 2020), same shape."""
    u, v = (torch.nn.functional.normalize(_wide(x), dim=-1) for x in (prediction, target))
    return mean((u - v).square().sum(-1).mean())


def _seen(representation: Tensor) -> tuple[Tensor, Tensor]:
    """What the device computes: (`std`, `spread`) [2] and rows [R, D]. The host reads nothing."""
    x = _wide(representation)
    variance = x.var(0, correction=0) if world().size == 1 else mean((x - mean(x.mean(0))).square().mean(0))
    spread = (variance.mean() / mean((x * x).mean()).clamp(min=1e-30)).sqrt()
    return torch.stack([variance.sqrt().mean(), spread]), _rows(x)


def _measures(moments: Tensor, rows: Tensor) -> dict[str, float]:
    """All measures, on the host: eigenvalues of a small matrix take a GPU longer, and it would wait for each."""
    std, spread = moments.tolist()
    rank, largest = _effective_rank(rows)
    return {
        "std": std,
        "spread": spread,
        "effective_rank": rank,
        "rank_share": rank / largest,
        "uniformity": _uniformity(rows),
    }


def seen_at_once(representations: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, torch.Size]]:
    """All that the host needs of `representations` as one vector on the device, and the shape of each piece of it."""
    pieces: dict[str, Tensor] = {}
    for name, representation in representations.items():
        # Code indices and the like have no geometry.
        if representation.is_floating_point() and representation.ndim >= 2:
            if world().size * representation.shape[0] >= 2:
                pieces[f"{name}/moments"], pieces[f"{name}/rows"] = _seen(representation)
        target = representations.get(f"{name.removesuffix('/prediction')}/target")
        if name.endswith("/prediction") and target is not None and target.shape == representation.shape:
            pieces[f"{name.removesuffix('/prediction')}/alignment"] = alignment(representation, target)
    if not pieces:
        return torch.zeros(0), {}
    return torch.cat([piece.flatten() for piece in pieces.values()]), {
        name: piece.shape for name, piece in pieces.items()
    }


@dataclass(slots=True)
class CollapseMonitor:
    """Measures all representations of a recipe and remembers which are in an episode."""

    _low: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    _warned: set[str] = field(default_factory=set[str])

    def observe(self, representations: Mapping[str, Tensor]) -> tuple[dict[str, float], list[Notice]]:
        """`NAME/measure` -> value, and the new warnings. NAME is `objective.target/prediction` and the like."""
        vector, shapes = seen_at_once(representations)
        parts = vector.cpu().split([shape.numel() for shape in shapes.values()])
        pieces = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        values: dict[str, float] = {}
        notices: list[Notice] = []
        for name in representations:
            if f"{name}/rows" in pieces:
                measured = _measures(pieces[f"{name}/moments"], pieces[f"{name}/rows"])
                values |= {f"{name}/{key}": value for key, value in measured.items()}
                if notice := self._judge(name, measured):
                    notices.append(notice)
        values |= {name: float(piece) for name, piece in pieces.items() if name.endswith("/alignment")}
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
