"""The short texts of a drawing: what a reader of a paper wants to know of a box, in a line or two.

Takes: bound words and targets. Gives: lines of at most a few words. Guarantees: what a line says of a word is what the
word says of itself (`details`), so that a word of another package is drawn as one of ours; all of its arguments are in
the node's tooltip.
"""

from __future__ import annotations

from m3i_dsl.semantics.program import (
    EncoderDeclaration,
    Mixture,
    Objective,
    Target,
    TargetReference,
    View,
)
from m3i_dsl.semantics.resolve import data_of
from m3i_dsl.vocabulary.kinds import Mask
from m3i_dsl.vocabulary.word import Word

TIMES = "\u00d7"
SWAPPED = "\u21c4"


def named(word: Word) -> tuple[str, ...]:
    """Its name, and what it says of itself."""
    return (word.name, *word.details())


def mixture(data: Mixture) -> tuple[str, ...]:
    """Each source with its share, to a tenth of a percent."""
    return tuple(f"{share.data.name} {float(round(100 * share.part, 1)):g}%" for share in data.shares)


def view(view: View, count: int = 1) -> tuple[str, ...]:
    """Its size, how many there are, and its steps."""
    height, width = view.size
    size = f"{height}{TIMES}{width} px"
    size = size if count == 1 else f"{count} views, {size}"
    steps = [" ".join(said) for placed in view.transforms if (said := placed.word.details())]
    return (size, ", ".join(steps)) if steps else (size,)


def mask(word: Mask) -> tuple[str, ...]:
    """`random 75%`, and whether hidden tokens are dropped or replaced."""
    return (" ".join(named(word)), f"{word.tokens} tokens")


def encoder(declaration: EncoderDeclaration, image: tuple[int, int] | None = None, runs: int = 1) -> tuple[str, ...]:
    """The architecture, and the size of what it yields of images of a size, None: of its own."""
    word = declaration.word.word
    lines = (*word.details(), word.yields(image), f"{runs} runs" if runs > 1 else "")
    return tuple(line for line in lines if line)


def predictor(word: Word, pools: tuple[str, ...], *, relative: bool = False) -> tuple[str, ...]:
    """How its input is pooled, its depth, and where it takes positions from."""
    first, *rest = (*word.details(), "")
    line = ", ".join(part for part in (*(_POOLED.get(mode, mode) for mode in pools), first) if part)
    return tuple(part for part in (line, *rest, "relative positions" if relative else "") if part)


_POOLED = {"mean": "GAP", "class": "class token"}
"""How tokens become one vector: GAP, as in the paper's figures, or the class token."""


def distribution(target: Target) -> tuple[str, ...]:
    """What is compared, over which candidates, and which terms are added; a stop gradient is drawn, not written."""
    word = target.distribution.word
    lines = [*word.details(), *(("hidden tokens only",) if word.hidden_only() else ())]
    return (*lines, *(line for placed in target.regularizations for line in placed.word.details()))


def reference(reference: TargetReference) -> str:
    """`view2 of second`."""
    name = reference.view.name if reference.view is not None else reference.field
    return name if reference.which is None else f"{name} of {reference.which}"


def group(objective: Objective, target: Target, *, qualified: bool) -> str:
    """`intra: view1 of first`, with the objective's name when there are several."""
    name = f"{objective.name}.{target.name}" if qualified else target.name
    data = ", ".join(data_of(target, reference))
    if objective.symmetric and target.data[0].view is not None:
        data = f"{objective.inputs[0].view.name} {SWAPPED} {data}"
    return name if name == data else f"{name}: {data}"
