"""The short texts of a drawing: what a reader of a paper wants to know of a word, in a line or two.

Takes: bound words and targets. Gives: lines of at most a few words. Guarantees: what a line says is read off the word;
a word that is not known here shows its name alone, and all of its arguments are in the node's tooltip.
"""

from __future__ import annotations

from m3i_dsl.semantics.program import (
    EncoderDeclaration,
    InputReference,
    Mixture,
    Objective,
    Target,
    TargetReference,
    View,
)
from m3i_dsl.semantics.resolve import data_of
from m3i_dsl.vocabulary.distributions.boltzmann import Boltzmann
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.kinds import ImageEncoder, Mask, Predictor, Representation, Source, TextEncoder
from m3i_dsl.vocabulary.mixes.mix import PatchMix
from m3i_dsl.vocabulary.regularizations.negative_samples import NegativeSamples
from m3i_dsl.vocabulary.values import number_text

LONGEST = 24
"""Characters of a string that is shown; a longer one has its end cut off."""

TIMES = "\u00d7"
SWAPPED = "\u21c4"


def source(word: Source) -> tuple[str, ...]:
    """The source's name, and what it reads when that is its first argument: a file by the last part of its path."""
    first = next((getattr(word, parameter.name) for parameter in word.parameters()), None)
    if not isinstance(first, str):
        return (word.name,)
    last = first.rstrip("/").rpartition("/")[2]
    return (word.name, last if len(last) <= LONGEST else f"{last[: LONGEST - 3]}...")


def mixture(data: Mixture) -> tuple[str, ...]:
    """Each source with its share, to a tenth of a percent."""
    return tuple(f"{share.data.name} {float(round(100 * share.part, 1)):g}%" for share in data.shares)


def view(view: View, count: int = 1) -> tuple[str, ...]:
    """Its size, how many there are, and its steps by name, but for the `normalize` that all views end with."""
    height, width = view.size
    size = f"{height}{TIMES}{width} px"
    size = size if count == 1 else f"{count} views, {size}"
    steps = [placed.word.name for placed in view.transforms if placed.word.name != "normalize"]
    return (size, ", ".join(steps)) if steps else (size,)


def mask(word: Mask) -> tuple[str, ...]:
    """`random 75%`, and whether hidden tokens are dropped or replaced."""
    ratio: float | None = getattr(word, "ratio", None)
    return (word.name if ratio is None else f"{word.name} {number_text(ratio, '%')}", f"{word.tokens} tokens")


def mix(word: PatchMix) -> tuple[str, ...]:
    """Shape and ratio of the mix, and what is not its default."""
    lines = [mask(word.by)[0]]
    if word.attention == "isolated":
        lines.append("isolated attention")
    if word.context == "all":
        lines.append("context: all")
    return tuple(lines)


def encoder(declaration: EncoderDeclaration, seen: tuple[int, int] | None = None, runs: int = 1) -> tuple[str, ...]:
    """The architecture, and the size of what it yields: of images of the size `seen`, if that is not its own."""
    times = (f"{runs} runs",) if runs > 1 else ()
    return _encoder(declaration, seen) + times


def _encoder(declaration: EncoderDeclaration, seen: tuple[int, int] | None) -> tuple[str, ...]:
    word = declaration.word.word
    if isinstance(word, ImageEncoder):
        shape = word.shape() if seen is None else word.shape_at(seen)
        size = f"{shape.grid.rows}{TIMES}{shape.grid.columns} tokens, {shape.width} wide"
        return (word.model.partition(".")[0] if isinstance(word, Timm) else word.name, size)
    if isinstance(word, TextEncoder):
        return (word.name, f"{word.context} tokens, {word.width} wide")
    return (word.name,)


def pooled(mode: str | None) -> str:
    """How tokens become one vector: GAP, as in the paper's figures, or the class token."""
    return {None: "", "mean": "GAP", "class": "class token"}.get(mode, str(mode))


def predictor(word: Predictor, pool: str | None, *, relative: bool) -> tuple[str, ...]:
    """Its depth and where it takes positions from. `pool` is how its input is pooled, None if it is not."""
    layers: int | None = getattr(word, "layers", None)
    first = ", ".join(part for part in (pooled(pool), _layers(layers)) if part)
    return tuple(line for line in (first, "relative positions" if relative else "") if line)


def _layers(layers: int | None) -> str:
    return "" if layers is None else "1 layer" if layers == 1 else f"{layers} layers"


def representation(word: Representation) -> tuple[str, ...]:
    """Its name in the table's words, and how a target is normalised."""
    normalize: object = getattr(word, "normalize", None)
    last = {"layer": "layer norm", "l2": "unit length", "True": "normalized patches"}.get(str(normalize), "")
    layers: int = getattr(word, "layers", 1)
    average = f"mean of last {layers}" if layers > 1 else ""
    match = "matched by feature" if getattr(word, "match", "position") == "feature" else ""
    return tuple(line for line in (word.name, average, last, match) if line)


def distribution(target: Target) -> tuple[str, ...]:
    """What is compared, over which candidates, and which terms are added; a stop gradient is drawn, not written."""
    word = target.distribution.word
    lines: list[str] = []
    if isinstance(word, Boltzmann):
        scale = number_text(word.temperature.value)
        lines.append(f"learned \u03c4 from {scale}" if word.temperature.learned else f"\u03c4 = {scale}")
        if word.symmetric:
            lines.append("both directions")
    elif getattr(word, "reduction", "mean") == "sum":
        lines.append("sum over channels")
    if word.hidden_only():
        lines.append("hidden tokens only")
    smoothing: float = getattr(word, "label_smoothing", 0.0)
    if smoothing:
        lines.append(f"smoothing {number_text(smoothing, '%')}")
    for placed in target.regularizations:
        lines += _regularization(target, placed.word.name, getattr(placed.word, "weight", None))
    return tuple(lines)


def _regularization(target: Target, name: str, weight: float | None) -> list[str]:
    if name in ("none", "stop gradient"):
        return []
    if name == NegativeSamples.name:
        queue = target.queue
        return [f"negatives: queue {queue}" if queue else "negatives: batch"]
    return [name] if weight is None else [f"+ {number_text(weight)} {name}"]


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


def input_text(item: InputReference) -> str:
    """`masked view1 of first`, for a tooltip."""
    which = "" if item.which is None else f" of {item.which}"
    by = "" if item.mask is None else f" by {item.mask.word.text()}"
    return f"{'masked ' if item.masked else ''}{item.view.name}{which}{by}"
