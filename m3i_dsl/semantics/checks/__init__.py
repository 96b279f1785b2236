"""What the checker knows beyond names and types: one file for each concern, each a function over the program.

Takes: a `Program`. Gives: diagnostics. Guarantees: a check reads the program only; all of them run, so that independent
faults are all reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from m3i_dsl.diagnostics import Diagnostic
from m3i_dsl.semantics.checks.batch import check_batch
from m3i_dsl.semantics.checks.codes import check_codes
from m3i_dsl.semantics.checks.collapse import check_collapse
from m3i_dsl.semantics.checks.cost import check_cost
from m3i_dsl.semantics.checks.evaluation import check_evaluation
from m3i_dsl.semantics.checks.family import check_family
from m3i_dsl.semantics.checks.geometry import check_geometry
from m3i_dsl.semantics.checks.gradient import check_gradient
from m3i_dsl.semantics.checks.leak import check_leak
from m3i_dsl.semantics.checks.lints import check_lints
from m3i_dsl.semantics.checks.mixture import check_mixture
from m3i_dsl.semantics.checks.modality import check_modality
from m3i_dsl.semantics.checks.prototypes import check_prototypes
from m3i_dsl.semantics.checks.several import check_several
from m3i_dsl.semantics.checks.shapes import check_shapes
from m3i_dsl.semantics.checks.texts import check_texts
from m3i_dsl.semantics.program import Program

Check = Callable[[Program], Iterator[Diagnostic]]

ERRORS: tuple[Check, ...] = (
    check_modality,
    check_geometry,
    check_shapes,
    check_several,
    check_texts,
    check_collapse,
    check_family,
    check_prototypes,
    check_codes,
    check_batch,
    check_mixture,
    check_gradient,
    check_leak,
    check_cost,
    check_evaluation,
)

LINTS: tuple[Check, ...] = (check_lints,)
