"""Objectives: an input, and one or two targets that fit it.

An objective is drawn as the paper's table is read: an input, then targets that fit it. What the targets name is defined
as it is needed, so that nothing is unused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from m3i_dsl.testing.strategies.masks import masks
from m3i_dsl.testing.strategies.views import views

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
    """The text of an objective, and of the views and encoders that it names, by name: `crops[2]` is a list of two."""

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
        *(f"view{'s' if '[' in name else ''} {name} of digits.image = {steps}" for name, steps in views.items()),
        *(f"encoder {name} = {value}" for name, value in encoders.items()),
    ]


# --- what is drawn ----------------------------------------------------------------------------------------------------
# Every choice of a part is drawn, whether this part will need it or not, and put together afterwards. So the choices of
# one target do not depend on those of another, and any target, weight or option can go when hypothesis shrinks.


@dataclass(frozen=True, slots=True)
class Sizes:
    """What all encoders and views have in common, and what they are made of once a target names them."""

    names: list[str]
    side: int
    patch: int
    heads: int
    width: int
    projector: str | None
    views: tuple[str, str]
    crops: str
    momentum: str

    @property
    def image(self) -> int:
        """Pixels on a side."""
        return self.side * self.patch


@dataclass(frozen=True, slots=True)
class _Target:
    kind: str
    other: bool
    second: bool
    relative: bool
    prompting: bool
    hidden: bool
    frozen: bool
    layers: int
    mapping: str
    squared: str
    scale: str
    pixels: str
    feature: str
    penalty: str
    queue: str
    table: str
    classes: str
    both: str
    weight: str


@dataclass(frozen=True, slots=True)
class _Input:
    kind: str
    view: int
    replaced: bool
    mask: str
    context: str
    symmetric: bool
    weighting: str


def sizes() -> st.SearchStrategy[Sizes]:
    """Sizes and names of a recipe, before anything is defined."""
    return st.tuples(
        st.sampled_from((4, 8)), st.integers(3, 5), st.sampled_from((1, 2, 3, 4)), st.integers(1, 4)
    ).flatmap(lambda drawn: _sizes(*drawn))


def _sizes(patch: int, side: int, heads: int, times: int) -> st.SearchStrategy[Sizes]:
    width = 4 * heads * times
    pipeline = views(side * patch)
    return st.builds(
        Sizes,
        names=st.lists(st.sampled_from(NAMES), min_size=7, max_size=7, unique=True),
        side=st.just(side),
        patch=st.just(patch),
        heads=st.just(heads),
        width=st.just(width),
        projector=st.sampled_from((None, "mlp", f"mlp(layers: 3, norm: batch, width: {width})", "linear")),
        views=st.tuples(pipeline, pipeline),
        crops=views((side - 1) * patch),
        momentum=st.sampled_from(("", "(0.99)", "(0.996 -> 1 cosine)", "(momentum: 0.9 -> 0.99 linear)")),
    )


_SLOTS = 2
"""Targets of an objective at most. Hypothesis turns one off more easily than it takes one out of a list."""

_SCALES = ("temperature: 0.2", "temperature: learned 0.07")
_TARGET = st.builds(
    _Target,
    kind=st.sampled_from(("pixels", "dense", "global", "contrast", "decorrelation", "category", "text")),
    other=st.booleans(),
    second=st.booleans(),
    relative=st.booleans(),
    prompting=st.booleans(),
    hidden=st.booleans(),
    frozen=st.booleans(),
    layers=st.integers(1, 3),
    mapping=st.sampled_from(("mlp", "linear", "blocks(layers: 1, heads: 1)")),
    squared=st.sampled_from(("gaussian", "laplace", "huber")),
    scale=st.sampled_from(_SCALES),
    pixels=st.sampled_from(("", "(normalize: true)")),
    feature=st.sampled_from(("", "(layers: 2)", "(normalize: l2)")),
    penalty=st.sampled_from(("", " + unigrad(0.1)")),
    queue=st.sampled_from(("", "(queue: 256)")),
    table=st.sampled_from(("", "(size: 16)", "(bias: false)")),
    classes=st.sampled_from(("boltzmann", "boltzmann(label_smoothing: 10%)", "bernoulli")),
    both=st.sampled_from(("", ", symmetric: true")),
    weight=st.sampled_from(("", "weight 0.5", "weight 1", "weight 2.25")),
)


def _inputs(of: Sizes) -> st.SearchStrategy[_Input]:
    return st.builds(
        _Input,
        kind=st.sampled_from(("plain", "masked", "mix", "several")),
        view=st.integers(0, 1),
        replaced=st.booleans(),
        mask=masks("drop", side=of.side, patch=of.patch),
        context=st.sampled_from(("", ", context: all", ", attention: isolated")),
        symmetric=st.booleans(),
        weighting=st.sampled_from(("", "fixed", "likelihood", "gradnorm", "lossnorm")),
    )


@st.composite
def objectives(draw: st.DrawFn) -> ObjectiveText:
    """An objective with all that it needs. Shrinks to one target of one plain view."""
    parts = Parts(draw(sizes()))
    text = draw(objective(parts, draw(st.sampled_from(NAMES))))
    return ObjectiveText(text, parts.views, parts.encoders)


@st.composite
def objective(draw: st.DrawFn, parts: Parts, name: str) -> str:
    """The text of an objective; what it names is added to `parts`."""
    shown = draw(_inputs(parts.sizes))
    slots = [(draw(st.booleans()), draw(_TARGET)) for _ in range(_SLOTS)]
    targets = [target for present, target in slots if present] or [slots[0][1]]
    return parts.objective(name, shown, targets)


# --- how it is put together -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Parts:
    """The views and encoders that have been named so far, in the order in which they were."""

    sizes: Sizes
    views: dict[str, str] = field(default_factory=dict[str, str])
    encoders: dict[str, str] = field(default_factory=dict[str, str])

    def objective(self, name: str, shown: _Input, targets: list[_Target]) -> str:
        """The text of an objective."""
        symmetric = shown.symmetric and shown.kind not in ("mix", "several")
        if shown.kind == "several":
            shown = replace(shown, weighting=shown.weighting.replace("gradnorm", "fixed"))
            targets = [_of_several(target) for target in targets]
        # A projector is used by a target that is projected, and both directions need a target of the other view.
        if (self.sizes.projector or symmetric) and not any(target.kind in _PROJECTED for target in targets):
            targets = [replace(targets[0], kind="global"), *targets[1:]]
        lines = [f"objective {name} {{", f"input {self._input(shown)}"]
        lines.append(f"represent dense feature of {self._online()}")
        lines += [self._target(target, shown, f"t{index}", symmetric) for index, target in enumerate(targets)]
        if shown.weighting:
            lines.append(f"weighting {shown.weighting}")
        if symmetric:
            lines.append("symmetric true")
        return "\n".join([*lines, "}", ""])

    def _input(self, shown: _Input) -> str:
        view = self._view(shown.view)
        if shown.kind == "plain":
            return view
        if shown.kind == "several":
            crops = self.sizes.names[6]
            self.views.setdefault(f"{crops}[2]", self.sizes.crops)
            return f"{view}, {crops}"
        if shown.kind == "mix":
            return f"mix(masked {view} of first, masked {view} of second, by: {shown.mask}{shown.context})"
        return f"masked {view} by {shown.mask.replace('drop', 'mask') if shown.replaced else shown.mask}"

    def _target(self, target: _Target, shown: _Input, name: str, symmetric: bool) -> str:
        kind, heads = target.kind, self.sizes.heads
        which = (" of second" if target.second else " of first") if shown.kind == "mix" else ""
        other = symmetric or kind in ("contrast", "decorrelation") or target.other
        fields = {"category": "category", "text": "text"}
        data = fields[kind] if kind in fields else self._view(1 - shown.view if other else shown.view)
        position = "relative" if other or target.relative else "absolute"
        decoder = f"decoder(layers: {target.layers}, heads: {heads}, position: {position})"
        if target.prompting and not other:
            decoder = f"prompting decoder(layers: 1, heads: {heads})"
        hidden = "(tokens: hidden)" if target.hidden and shown.kind in ("masked", "mix") and not other else ""
        match kind:
            case "pixels":
                rows = (f"dense pixels{target.pixels}", decoder, "none", target.squared + hidden)
            case "dense":
                feature = f"dense feature{target.feature} of {self._teacher(target.frozen)}"
                rows = (feature, decoder, f"stop gradient{target.penalty}", target.squared + hidden)
            case "global":
                feature = f"global feature of {self._teacher(target.frozen)}"
                rows = (feature, target.mapping, "stop gradient", target.squared)
            case "contrast":
                feature = f"global feature of {self._teacher(target.frozen)}"
                negatives = f"stop gradient + negative samples{target.queue}"
                rows = (feature, target.mapping, negatives, f"boltzmann({target.scale})")
            case "decorrelation":
                rows = (f"global feature of {self._online()}", "mlp", "decorrelation", "gaussian")
            case "category":
                rows = (f"category embedding{target.table}", target.mapping, "negative categories", target.classes)
            case _:
                scale = f"boltzmann({target.scale}{target.both})"
                rows = (f"text embedding of {self._words()}", "linear", "negative texts", scale)
        keywords = ("representation", "predictor", "regularization", "distribution")
        lines = [f"target {name} {{", f"data {data}{which}"]
        lines += [f"{keyword} {row}" for keyword, row in zip(keywords, rows, strict=True)]
        return "\n".join([*lines, *([target.weight] if target.weight else []), "}"])

    # --- what is named is defined -----------------------------------------------------------------------------------

    def _view(self, index: int) -> str:
        name = self.sizes.names[index]
        self.views.setdefault(name, self.sizes.views[index])
        return name

    def _online(self) -> str:
        of, name = self.sizes, self.sizes.names[2]
        projector = f", projector: {of.projector}" if of.projector else ""
        sizes = f"image: {of.image}px, patch: {of.patch}px, width: {of.width}, depth: 2, heads: {of.heads}"
        self.encoders.setdefault(name, f'timm("vit_tiny_patch16_224", {sizes}{projector})')
        return name

    def _teacher(self, frozen: bool) -> str:
        """An average or a frozen copy of the trained encoder."""
        name = self.sizes.names[4 if frozen else 3]
        of = self._online()
        self.encoders.setdefault(name, f"frozen of {of}" if frozen else f"ema of {of}{self.sizes.momentum}")
        return name

    def _words(self) -> str:
        name = self.sizes.names[5]
        self.encoders.setdefault(name, f"transformer(width: {self.sizes.width}, layers: 1, heads: {self.sizes.heads})")
        return name


_PROJECTED = ("global", "contrast", "decorrelation", "dense")


def _of_several(target: _Target) -> _Target:
    """What crops of another size can predict: vectors of the other view, without a queue."""
    dense = target.kind in ("pixels", "dense")
    return replace(target, kind="global" if dense else target.kind, other=True, queue="")
