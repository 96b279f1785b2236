"""The candidate sets of a step: what each Boltzmann target chooses among, and what that takes.

Takes: a graph and the numbers of categories. Gives: for each contrastive loss its rows, its candidates and its
logits. Guarantees: candidates are those of the whole batch over all devices, as the recipe means them; sizes in bytes
are of fp32 logits, which is what every loss computes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from m3i_dsl.ir.dimensions import batches_in
from m3i_dsl.ir.graph import Equation, Graph, Module, Value
from m3i_dsl.modules.boltzmann import LARGEST_BLOCK, LARGEST_WHOLE
from m3i_dsl.modules.chunked import rows_of_chunk
from m3i_dsl.plan.model import FULL
from m3i_dsl.vocabulary.kinds import CATEGORIES, PROTOTYPES, SAMPLES, TEXTS, Candidates, Distribution


@dataclass(frozen=True, slots=True)
class CandidateSet:
    """One call of a contrastive loss.

    `rows` choices for each sample, in `directions` (2 when candidates choose among predictions too), among `fixed`
    candidates and `per_sample` more of each sample of the batch, all of `width` numbers. `queue` of the fixed ones are
    past keys. Only the `share` of the samples that has the target's field chooses and is chosen among.
    """

    target: str
    candidates: str
    rows: int
    directions: int
    fixed: int
    per_sample: int
    width: int
    queue: int
    share: Fraction = Fraction(1)

    def choices(self, samples: int) -> int:
        """Rows of the logits that `samples` samples have."""
        return int(samples * self.share) * self.rows

    def columns(self, batch: int) -> int:
        """Candidates of one choice when the whole batch has `batch` samples."""
        return self.fixed + self.per_sample * int(batch * self.share)

    def logits(self, samples: int, batch: int) -> int:
        """Bytes of all logits of `samples` samples of a whole batch of `batch`."""
        return FULL * self.choices(samples) * self.columns(batch) * self.directions

    def held(self, samples: int, batch: int) -> int:
        """Bytes of them in memory at a time: large losses go through them in blocks, one direction at a time."""
        if self.per_sample == 0 and not self.queue:
            return self.logits(samples, batch)
        if self.rows == 1:
            columns = self.columns(batch)
            rows = self.choices(samples)
            whole = rows * columns <= LARGEST_WHOLE
            return self.logits(samples, batch) if whole else FULL * columns * min(rows, rows_of_chunk(columns))
        return min(self.logits(samples, batch), FULL * max(LARGEST_BLOCK, self.rows * self.columns(batch)))

    @property
    def queue_bytes(self) -> int:
        return FULL * self.queue * self.width


_CANDIDATES: Mapping[str, Candidates] = {
    "contrast": SAMPLES,
    "classify": CATEGORIES,
    "retrieve": TEXTS,
    "cross_entropy": PROTOTYPES,
}
"""What each comparison that is normalised over a set chooses among."""


def candidate_sets(graph: Graph, categories: Mapping[str, int]) -> tuple[CandidateSet, ...]:
    """Every comparison of the graph that is normalised over a set, in order. `categories` is by the data's name."""
    found: list[CandidateSet] = []
    for equation in graph.equations:
        if equation.operation in _CANDIDATES:
            module = graph.module("likelihoods", str(equation.attribute("module")))
            found.append(_set_of(equation, module, graph, categories))
    return tuple(found)


def _set_of(equation: Equation, module: Module, graph: Graph, categories: Mapping[str, int]) -> CandidateSet:
    candidates, queue = _CANDIDATES[equation.operation], int(module.attribute("queue"))
    prediction, target = equation.arguments[:2]
    assert prediction is not None and target is not None
    dimensions = prediction.type.dimensions
    rows = int(dimensions[1]) if len(dimensions) == 3 else 1
    fixed, per_sample = 0, 1
    if candidates == CATEGORIES:
        fixed, per_sample = _table_rows(target, graph, categories), 0
    elif candidates == PROTOTYPES:
        fixed, per_sample = int(module.attribute("width")), 0
    elif queue:
        fixed, per_sample = 1 + queue, 0
    elif rows > 1:
        fixed, per_sample = 1, min(int(module.attribute("tokens")), rows)
    elif module.get("predictions"):
        per_sample = 2
    return CandidateSet(
        target=equation.place.role,
        candidates=candidates.name,
        rows=rows,
        directions=2 if module.as_a(Distribution).asks_both_ways() else 1,
        fixed=fixed,
        per_sample=per_sample,
        width=int(module.attribute("width")),
        queue=queue,
        share=batches_in(dimensions[0]) or Fraction(1),
    )


def _table_rows(table: Value, graph: Graph, categories: Mapping[str, int]) -> int:
    """How many rows a class table has."""
    rows = table.type.dimensions[0]
    if isinstance(rows, int):
        return rows
    (made,) = (e for e in graph.equations if table in e.results)
    return categories[str(graph.module("representations", str(made.attribute("module"))).attribute("data"))]
