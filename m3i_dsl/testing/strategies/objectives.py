"""Objectives: an input, and one or two targets that fit it.

An objective is drawn as the paper's table is read: an input, then targets that fit it. What the targets name is defined
as it is needed, so that nothing is unused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import strategies as st

from m3i_dsl.testing.strategies.masks import masks
from m3i_dsl.testing.strategies.views import views

_HEADS = (1, 2, 3, 4)

NAMES: tuple[str, ...] = (
    "image",
    "view1",
    "data",
    "train",
    "end",
    "m3i",
    "epochs",
    "masked",
    "target",
    "first",
    "true",
    "mean",
    "x_1",
)
"""Most are words of the language: a name may be any of them."""


@dataclass(frozen=True, slots=True)
class ObjectiveText:
    """The text of an objective, and of the views and encoders that it names, by name."""

    text: str
    views: Mapping[str, str]
    encoders: Mapping[str, str]
    batch: int = 64

    def recipe(self, name: str = "drawn") -> str:
        """A recipe with this objective alone, on the embedded digits."""
        lines = ["m3i 1", f"recipe {name}", "", *declarations(self.views, self.encoders), "", self.text]
        lines += ["train {", f"batch {self.batch}", "epochs 1", "optimizer adamw(lr: 1e-3)", "}"]
        return "\n".join(lines) + "\n"


def declarations(views: Mapping[str, str], encoders: Mapping[str, str]) -> list[str]:
    """The lines that define data, views and encoders."""
    return [
        'data digits = embedded("digits")',
        *(f"view {name} of digits.image = {steps}" for name, steps in views.items()),
        *(f"encoder {name} = {value}" for name, value in encoders.items()),
    ]


@dataclass(slots=True)
class Parts:
    """What a recipe must define: views and encoders by name, in their order of definition."""

    names: list[str]
    size: int
    patch: int
    heads: int
    width: int
    projector: str | None
    views: dict[str, str] = field(default_factory=dict[str, str])
    encoders: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def side(self) -> int:
        """Tokens on a side."""
        return self.size // self.patch


@st.composite
def objectives(draw: st.DrawFn) -> ObjectiveText:
    """An objective with all that it needs. Shrinks to one target of one plain view."""
    parts = draw(drawn_parts())
    text = draw(objective(parts, draw(st.sampled_from(NAMES))))
    return ObjectiveText(text, parts.views, parts.encoders)


@st.composite
def drawn_parts(draw: st.DrawFn) -> Parts:
    """Sizes and names, before anything is defined."""
    patch = draw(st.sampled_from((4, 8)))
    heads = draw(st.sampled_from(_HEADS))
    width = heads * 4 * draw(st.integers(1, 4))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=6, max_size=6, unique=True))
    projector = draw(st.sampled_from((None, None, "mlp", f"mlp(layers: 3, norm: batch, width: {width})", "linear")))
    return Parts(names, patch * draw(st.integers(3, 5)), patch, heads, width, projector)


def _view(draw: st.DrawFn, parts: Parts, index: int) -> str:
    name = parts.names[index]
    if name not in parts.views:
        parts.views[name] = draw(views(parts.size))
    return name


def _online(parts: Parts) -> str:
    name = parts.names[2]
    if name not in parts.encoders:
        projector = f", projector: {parts.projector}" if parts.projector else ""
        parts.encoders[name] = (
            f'timm("vit_tiny_patch16_224", image: {parts.size}px, patch: {parts.patch}px, width: {parts.width}, '
            f"depth: 2, heads: {parts.heads}{projector})"
        )
    return name


def _teacher(draw: st.DrawFn, parts: Parts) -> str:
    """An average or a frozen copy of the trained encoder."""
    index = draw(st.sampled_from((3, 4)))
    name = parts.names[index]
    if name not in parts.encoders:
        momentum = draw(st.sampled_from(("", "(0.99)", "(0.996 -> 1 cosine)", "(momentum: 0.9 -> 0.99 linear)")))
        parts.encoders[name] = f"ema of {_online(parts)}{momentum}" if index == 3 else f"frozen of {_online(parts)}"
    return name


def _words(parts: Parts) -> str:
    name = parts.names[5]
    parts.encoders.setdefault(name, f"transformer(width: {parts.width}, layers: 1, heads: {parts.heads})")
    return name


# --- inputs and targets -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Input:
    text: str
    view: int
    masked: bool
    dropped: bool
    mixed: bool


@st.composite
def objective(draw: st.DrawFn, parts: Parts, name: str) -> str:
    """The text of an objective; what it names is added to `parts`."""
    shown = _input(draw, parts)
    online = _online(parts)
    symmetric = not shown.mixed and draw(st.booleans())
    kinds = st.sampled_from(("pixels", "dense", "global", "contrast", "decorrelation", "category", "text"))
    # A projector is used by a target that is projected, and both directions need a target of the other view.
    first = ["global"] if parts.projector or symmetric else []
    chosen = first + draw(st.lists(kinds, min_size=1 - len(first), max_size=2))
    targets = [_target(draw, parts, shown, kind, f"t{index}", symmetric=symmetric) for index, kind in enumerate(chosen)]
    lines = [f"objective {name} {{", f"input {shown.text}", f"represent dense feature of {online}", *targets]
    if draw(st.booleans()):
        lines.append(f"weighting {draw(st.sampled_from(('fixed', 'likelihood', 'gradnorm', 'lossnorm')))}")
    if symmetric:
        lines.append("symmetric true")
    return "\n".join([*lines, "}", ""])


def _input(draw: st.DrawFn, parts: Parts) -> _Input:
    index = draw(st.sampled_from((0, 1)))
    view = _view(draw, parts, index)
    kind = draw(st.sampled_from(("plain", "masked", "mix")))
    if kind == "plain":
        return _Input(view, index, masked=False, dropped=False, mixed=False)
    if kind == "masked":
        tokens = draw(st.sampled_from(("drop", "mask")))
        mask = draw(masks(tokens, side=parts.side, patch=parts.patch))
        return _Input(f"masked {view} by {mask}", index, masked=True, dropped=tokens == "drop", mixed=False)
    mask = draw(masks("drop", side=parts.side, patch=parts.patch))
    context = draw(st.sampled_from(("", ", context: all", ", attention: isolated")))
    text = f"mix(masked {view} of first, masked {view} of second, by: {mask}{context})"
    return _Input(text, index, masked=True, dropped=True, mixed=True)


def _target(draw: st.DrawFn, parts: Parts, shown: _Input, kind: str, name: str, *, symmetric: bool) -> str:
    which = draw(st.sampled_from((" of first", " of second"))) if shown.mixed else ""
    image = kind in ("pixels", "dense", "global", "contrast", "decorrelation")
    other = symmetric or kind in ("contrast", "decorrelation") or draw(st.booleans())
    index = 1 - shown.view if other else shown.view
    data = (_view(draw, parts, index) if image else {"category": "category", "text": "text"}[kind]) + which
    heads = parts.heads
    position = "relative" if other else draw(st.sampled_from(("absolute", "relative")))
    placed = f"decoder(layers: {draw(st.integers(1, 3))}, heads: {heads}, position: {position})"
    decoder = placed if other else draw(st.sampled_from((placed, f"prompting decoder(layers: 1, heads: {heads})")))
    hidden = "(tokens: hidden)" if shown.masked and not other and draw(st.booleans()) else ""
    squared = draw(st.sampled_from(("gaussian", "laplace", "huber")))
    global_ = draw(st.sampled_from(("mlp", "linear", "blocks(layers: 1, heads: 1)")))
    teacher = _teacher(draw, parts) if kind in ("dense", "global", "contrast") else ""
    scale = draw(st.sampled_from(("temperature: 0.2", "temperature: learned 0.07")))
    match kind:
        case "pixels":
            normalize = draw(st.sampled_from(("", "(normalize: true)")))
            rows = (f"dense pixels{normalize}", decoder, "none", squared + hidden)
        case "dense":
            layers = draw(st.sampled_from(("", "(layers: 2)", "(normalize: l2)")))
            added = draw(st.sampled_from(("", " + unigrad(0.1)")))
            rows = (f"dense feature{layers} of {teacher}", decoder, f"stop gradient{added}", squared + hidden)
        case "global":
            rows = (f"global feature of {teacher}", global_, "stop gradient", squared)
        case "contrast":
            queue = draw(st.sampled_from(("", "(queue: 256)")))
            rows = (
                f"global feature of {teacher}",
                global_,
                f"stop gradient + negative samples{queue}",
                f"boltzmann({scale})",
            )
        case "decorrelation":
            rows = (f"global feature of {_online(parts)}", "mlp", "decorrelation", "gaussian")
        case "category":
            size = draw(st.sampled_from(("", "(size: 16)", "(bias: false)")))
            form = draw(st.sampled_from(("boltzmann", "boltzmann(label_smoothing: 10%)", "bernoulli")))
            rows = (f"category embedding{size}", global_, "negative categories", form)
        case _:
            both = draw(st.sampled_from(("", ", symmetric: true")))
            rows = (f"text embedding of {_words(parts)}", "linear", "negative texts", f"boltzmann({scale}{both})")
    keywords = ("representation", "predictor", "regularization", "distribution")
    lines = [f"target {name} {{", f"data {data}"]
    lines += [f"{keyword} {row}" for keyword, row in zip(keywords, rows, strict=True)]
    if draw(st.booleans()):
        lines.append(f"weight {draw(st.sampled_from(('0.5', '1', '2.25')))}")
    return "\n".join([*lines, "}"])
