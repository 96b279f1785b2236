"""Random recipes that are right: every row shape of the vocabulary, with random names, sizes and arguments.

A recipe is drawn as the paper's table is read: an input, then targets that fit it. What the
targets name is defined as it is needed, so that nothing is unused.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

HEADS = (1, 2, 3, 4)


@dataclass(slots=True)
class _Parts:
    """What the recipe must define: views and encoders by name, in their order of definition."""

    names: list[str]
    size: int
    patch: int
    heads: int
    width: int
    projector: str | None
    views: dict[str, str] = field(default_factory=dict)
    encoders: dict[str, str] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        return (self.size // self.patch) ** 2


_NAMES = ("image", "view1", "data", "train", "end", "m3i", "epochs", "masked", "target", "first", "true", "mean", "x_1")
"""Most are words of the language: a name may be any of them."""


@st.composite
def recipes(draw: st.DrawFn) -> str:
    """The text of a recipe without errors."""
    parts = draw(_parts())
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=2, max_size=2, unique=True))
    objectives = [draw(_objective(parts, name)) for name in names[: draw(st.integers(1, 2))]]
    lines = ["m3i 1", f"recipe {names[0]}", "", 'data digits = embedded("digits")', ""]
    lines += [f"view {name} of digits.image = {steps}" for name, steps in parts.views.items()]
    lines += [f"encoder {name} = {value}" for name, value in parts.encoders.items()]
    lines += ["", *objectives, draw(_train(mixed="mix(" in "".join(objectives))), ""]
    texts = any("text embedding" in objective for objective in objectives)
    lines.append(draw(_evaluate(texts)))
    return "\n".join(lines) + "\n"


@st.composite
def _parts(draw: st.DrawFn) -> _Parts:
    patch = draw(st.sampled_from((4, 8)))
    heads = draw(st.sampled_from(HEADS))
    width = heads * 4 * draw(st.integers(1, 4))
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=6, max_size=6, unique=True))
    projector = draw(st.sampled_from((None, None, "mlp", f"mlp(layers: 3, norm: batch, width: {width})", "linear")))
    return _Parts(names, patch * draw(st.integers(3, 5)), patch, heads, width, projector)


def _view(draw: st.DrawFn, parts: _Parts, index: int) -> str:
    name = parts.names[index]
    if name not in parts.views:
        first = draw(st.sampled_from(("crop({size}px)", "resize({size}px)", "crop({size}px, scale: 40%..100%)")))
        others = st.sampled_from(("flip", "jitter(p: 80%)", "blur(p: 12.5%)", "solarize", "three augment", "grayscale"))
        steps = [first.format(size=parts.size), *draw(st.lists(others, max_size=2, unique=True))]
        parts.views[name] = " | ".join(steps)
    return name


def _online(parts: _Parts) -> str:
    name = parts.names[2]
    if name not in parts.encoders:
        projector = f", projector: {parts.projector}" if parts.projector else ""
        parts.encoders[name] = (
            f'timm("vit_tiny_patch16_224", image: {parts.size}px, patch: {parts.patch}px, width: {parts.width}, '
            f"depth: 2, heads: {parts.heads}{projector})"
        )
    return name


def _teacher(draw: st.DrawFn, parts: _Parts) -> str:
    """An average or a frozen copy of the trained encoder."""
    index = draw(st.sampled_from((3, 4)))
    name = parts.names[index]
    if name not in parts.encoders:
        momentum = draw(st.sampled_from(("", "(0.99)", "(0.996 -> 1 cosine)", "(momentum: 0.9 -> 0.99 linear)")))
        parts.encoders[name] = f"ema of {_online(parts)}{momentum}" if index == 3 else f"frozen of {_online(parts)}"
    return name


def _words(parts: _Parts) -> str:
    name = parts.names[5]
    parts.encoders.setdefault(name, f"transformer(width: {parts.width}, layers: 1, heads: {parts.heads})")
    return name


# --- objectives -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Input:
    text: str
    view: int
    masked: bool
    dropped: bool
    mixed: bool


@st.composite
def _objective(draw: st.DrawFn, parts: _Parts, name: str) -> str:
    shown = _input(draw, parts)
    online = _online(parts)
    symmetric = not shown.mixed and draw(st.booleans())
    needed = ["projected"] if parts.projector else []
    kinds = st.sampled_from(("pixels", "dense", "global", "contrast", "decorrelation", "category", "text"))
    chosen = [*(["global"] if needed or symmetric else []), *draw(st.lists(kinds, min_size=1, max_size=2))]
    targets = [_target(draw, parts, shown, kind, f"t{index}", symmetric=symmetric) for index, kind in enumerate(chosen)]
    lines = [f"objective {name} {{", f"input {shown.text}", f"represent dense feature of {online}", *targets]
    if draw(st.booleans()):
        lines.append(f"weighting {draw(st.sampled_from(('fixed', 'likelihood', 'gradnorm', 'lossnorm')))}")
    if symmetric:
        lines.append("symmetric true")
    return "\n".join([*lines, "}", ""])


def _input(draw: st.DrawFn, parts: _Parts) -> _Input:
    index = draw(st.sampled_from((0, 1)))
    view = _view(draw, parts, index)
    kind = draw(st.sampled_from(("plain", "masked", "mix")))
    if kind == "plain":
        return _Input(view, index, masked=False, dropped=False, mixed=False)
    mask = draw(st.sampled_from(("random(50%", "random(75%", "blocks(60%, minimum: 2", "inverse blocks(60%")))
    if kind == "masked":
        tokens = draw(st.sampled_from(("drop", "mask")))
        text = f"masked {view} by {mask}, tokens: {tokens})"
        return _Input(text, index, masked=True, dropped=tokens == "drop", mixed=False)
    context = draw(st.sampled_from(("", ", context: all", ", attention: isolated")))
    text = f"mix(masked {view} of first, masked {view} of second, by: {mask}){context})"
    return _Input(text, index, masked=True, dropped=True, mixed=True)


def _target(draw: st.DrawFn, parts: _Parts, shown: _Input, kind: str, name: str, *, symmetric: bool) -> str:
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


# --- training ---------------------------------------------------------------------------------------------------------


@st.composite
def _train(draw: st.DrawFn, mixed: bool) -> str:
    length = draw(
        st.sampled_from(("epochs 10", "epochs 2.5, warmup 10%", "steps 400k, warmup 5", "samples 50M, warmup 1 epochs"))
    )
    optimizer = draw(
        st.sampled_from(
            (
                "adamw(lr: 1.5e-4 per 256, betas: (0.9, 0.95))",
                "adamw(0.001, layer_decay: 0.65)",
                "lars(lr: 0.3 per 256)",
                "sgd(lr: 0.1)",
                "lamb(lr: 2e-3)",
            )
        )
    )
    lines = ["train {", f"batch {draw(st.sampled_from((64, 128, 256)))}", length, f"optimizer {optimizer}"]
    options = ("schedule linear", "schedule multistep(at: (60%, 87.3%))", "precision bf16", "seed 7", "clip 0.5")
    lines += draw(st.lists(st.sampled_from(options), max_size=4, unique_by=lambda line: line.split()[0]))
    return "\n".join([*lines, "}"])


@st.composite
def _evaluate(draw: st.DrawFn, texts: bool) -> str:
    lines = draw(st.lists(st.sampled_from(("knn every 5 epochs", "knn(k: 5) at end", "linear at end")), unique=True))
    if texts and draw(st.booleans()):
        lines.append('zero_shot(prompts: "a {}") at end')
    return "\n".join(["evaluate {", *lines, "}"]) if lines else ""
