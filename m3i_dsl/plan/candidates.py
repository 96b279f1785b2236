"""The candidate sets of a step: what each Boltzmann target chooses among, and what that takes.

Takes: a program, its graph and the numbers of categories. Gives: for each contrastive loss its rows, its candidates
and its logits. Guarantees: candidates are those of the whole batch over all
devices, as the recipe means them; sizes in bytes are of fp32 logits, which is what every loss computes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from m3i_dsl.ir.dimensions import batches_in
from m3i_dsl.ir.graph import Equation, Graph, Module
from m3i_dsl.modules.boltzmann import LARGEST_BLOCK, LARGEST_WHOLE
from m3i_dsl.modules.chunked import rows_of_chunk
from m3i_dsl.plan.model import FULL
from m3i_dsl.semantics.program import Objective, Program, Target
from m3i_dsl.vocabulary.kinds import Distribution


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
        if self.candidates in ("categories", "prototypes"):
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


def candidate_sets(program: Program, graph: Graph, categories: Mapping[str, int]) -> tuple[CandidateSet, ...]:
    """Every likelihood of the graph that is normalised over a set, in order. `categories` is by the data's name."""
    targets = {f"{o.name}.{t.name}": (o, t) for o in program.objectives for t in o.targets}
    found: list[CandidateSet] = []
    for equation in graph.equations:
        if equation.operation != "likelihood":
            continue
        module = graph.module("likelihoods", str(equation.attribute("module")))
        if isinstance(module.word, Distribution) and module.word.contrasts:
            objective, target = targets[equation.place.role]
            found.append(_set_of(equation, module, objective, target, categories))
    return tuple(found)


def _set_of(
    equation: Equation, module: Module, objective: Objective, target: Target, categories: Mapping[str, int]
) -> CandidateSet:
    candidates, queue = str(module.attribute("candidates")), int(module.attribute("queue"))
    prediction = equation.arguments[0]
    assert prediction is not None
    dimensions = prediction.type.dimensions
    rows = int(dimensions[1]) if len(dimensions) == 3 else 1
    fixed, per_sample = 0, 1
    if candidates == "categories":
        fixed, per_sample = categories[objective.input_of(target.data[0].which).view.data.name], 0
    elif candidates == "prototypes":
        fixed, per_sample = int(module.attribute("width")), 0
    elif queue:
        fixed, per_sample = 1 + queue, 0
    elif rows > 1:
        fixed, per_sample = 1, min(int(module.attribute("tokens")), rows)
    symmetric = candidates != "categories" and bool(getattr(module.word, "symmetric", False))
    return CandidateSet(
        target=equation.place.role,
        candidates=candidates,
        rows=rows,
        directions=2 if symmetric else 1,
        fixed=fixed,
        per_sample=per_sample,
        width=int(module.attribute("width")),
        queue=queue,
        share=batches_in(dimensions[0]) or Fraction(1),
    )
