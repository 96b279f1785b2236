"""Faults that a lowering could have, each a small edit of the graph that it made.

Takes: an executable. Gives: `mutants`, every place at which each kind of fault can be, as (what, executable with the
fault). Guarantees: every mutant runs; it differs from the original in this one place; the original is not changed.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from torch import fx, nn

from m3i_dsl.lower.executable import Executable, unwrapped
from m3i_dsl.modules import features, normalize, pixels, tokens
from tests.numerics.recipes import submodule

Edit = Callable[[fx.GraphModule], object]
Fault = tuple[str, Edit]

SKIPPABLE = (
    tokens.partner,
    tokens.invert,
    normalize.layer,
    normalize.l2,
    normalize.standardize,
    features.stop_gradient,
)
"""Functions that keep the shape: forgetting one is a fault that nothing else would notice."""

CHANGED: dict[str, Callable[[Any], Any]] = {
    "value": lambda tau: 1.1 * tau,  # a temperature
    "label_smoothing": lambda share: share + 0.05,
    "beta": lambda beta: beta / 4,
    "reduction": lambda how: "sum" if how == "mean" else "mean",
    "weight": lambda weight: 1.1 * weight if isinstance(weight, float) else weight,
    "weights": lambda weights: tuple(1.1 * weight for weight in weights),
    "tokens_per_image": lambda count: count // 2 if count else 1,
    "symmetric": operator.not_,
    "predictions": operator.not_,
    "binary": operator.not_,
    "momentum": lambda momentum: momentum - 0.05,  # of a running centre
}
"""Settings of losses, penalties and weightings."""


def mutants(executable: Executable) -> Iterator[tuple[str, Executable]]:
    """All of them, one at a time."""
    for kind in (_skipped, _swapped, _sign, _polarity, _encoder, _wrong_call, _settings, _arguments, _gradient):
        for what, edit in kind(executable.module):
            yield what, mutated(executable, edit)


def mutated(executable: Executable, edit: Edit) -> Executable:
    """A copy with the fault."""
    module = copy.deepcopy(executable.module)
    edit(module)
    module.recompile()
    return replace(executable, module=module)


def _skipped(module: fx.GraphModule) -> Iterator[Fault]:
    """A partner, an inversion, a normalisation or a stop gradient is left out."""
    for node in _calls(module, *SKIPPABLE):
        yield f"skip {node.name}", _on(node, lambda n: n.replace_all_uses_with(_node(n.args[0])))


def _swapped(module: fx.GraphModule) -> Iterator[Fault]:
    """The two images of a mix, the two views of a geometry, or the two sides of a matching change places."""
    for node in _calls(module, tokens.blend):
        yield f"swap images of {node.name}", _on(node, _swap(0, 1))
    for node in _modules(module, "assignments."):
        for index in range(1, len(node.args)):
            yield f"swap views of {node.name}", _on(node, _swap(0, index))
    for node in _calls(module, features.match):
        yield f"swap sides of {node.name}", _on(node, _swap(1, 2))
    for node in _modules(module, "predictors."):
        if len(node.args) > 5 and node.args[4] is not None:
            yield f"swap geometries of {node.name}", _on(node, _swap(4, 5))
            yield f"no geometries for {node.name}", _on(node, lambda n: _set(_set(n, 4, None), 5, None))
    pairs = [n for n in _modules(module, "predictors.") if len(n.args) > 5]
    for one in pairs:
        for other in pairs:
            if one.args[4] is None and other.args[4] is not None:
                yield f"geometry of {other.name} for {one.name}", _give(one, other, (4, 5))


def _sign(module: fx.GraphModule) -> Iterator[Fault]:
    """A sign is flipped: of a loss, a penalty or what it compares."""
    for node in (*_modules(module, "likelihoods."), *_modules(module, "penalties.")):
        yield f"minus {node.name}", _on(node, _negated)
        if "correlation" in node.kwargs:  # then neither prediction nor target is looked at
            yield f"minus correlation of {node.name}", _on(node, _minus_correlation)
        else:
            yield f"minus prediction of {node.name}", _on(node, lambda n: _through(n, 0, operator.neg))


def _polarity(module: fx.GraphModule) -> Iterator[Fault]:
    """A mask is read the other way round by one of those who read it."""
    for node in module.graph.nodes:
        for index, argument in enumerate(node.args):
            if isinstance(argument, fx.Node) and _is_mask(argument) and node.target is not tokens.invert:
                what = f"argument {index} of {node.name} inverted"
                yield what, _on(node, lambda n, index=index: _through(n, index, tokens.invert))


def _encoder(module: fx.GraphModule) -> Iterator[Fault]:
    """Another encoder or projector is called."""
    for section in ("encoders.", "projectors."):
        nodes = _modules(module, section)
        for node in nodes:
            for target in sorted({str(other.target) for other in nodes} - {str(node.target)}):
                if _comparable(module, str(node.target), target):
                    yield f"{target} for {node.name}", _on(node, lambda n, t=target: setattr(n, "target", t))


def _wrong_call(module: fx.GraphModule) -> Iterator[Fault]:
    """Two calls of one encoder with different arguments are taken for the same."""
    nodes = _modules(module, "encoders.")
    for late, node in enumerate(nodes):
        for first in nodes[:late]:
            if node.target == first.target and node.kwargs == first.kwargs:
                yield f"{first.name} for {node.name}", _merge(node, first)


def _settings(module: fx.GraphModule) -> Iterator[Fault]:
    """A temperature, a weight or another setting of a loss is not what the recipe says."""
    for path, part in module.named_modules():
        if not path.startswith(("likelihoods.", "penalties.", "weightings.", "assignments.")):
            continue
        for name, change in CHANGED.items():
            value = part.__dict__.get(name)
            if value is None or change(value) == value or _unread(part, name):
                continue
            yield f"{path}.{name} {value} -> {change(value)}", _attribute(path, name, change(value))
        if hasattr(part, "center"):
            yield f"{path} keeps its centre", _attribute(path, "training", False)
        if path.endswith(".queue"):
            yield f"{path.removesuffix('.queue')} pushes nothing", _attribute(path[: -len(".queue")], "training", False)


def _arguments(module: fx.GraphModule) -> Iterator[Fault]:
    """Prefix tokens pooled, other layers averaged, pixels normalised or not, a sum for a mean."""
    for node in (n for n in _calls(module, tokens.pool) if n.kwargs["prefix"]):
        if node.kwargs["mode"] == "class":
            yield f"{node.name} by the mean", _on(node, lambda n: n.update_kwarg("mode", "mean"))
            continue
        yield f"{node.name} with the class token", _on(node, lambda n: n.update_kwarg("prefix", 0))
        yield f"{node.name} by the class token", _on(node, lambda n: n.update_kwarg("mode", "class"))
    for node in _calls(module, features.average_layers):
        yield f"{node.name} of one layer", _on(node, lambda n: n.update_kwarg("last", 1))
    for node in _calls(module, pixels.patchify):
        yield f"{node.name} normalised", _on(node, lambda n: n.update_kwarg("normalize", not n.kwargs["normalize"]))
    for node in _calls(module, features.add):
        yield f"mean for {node.name}", _on(node, lambda n: setattr(n, "target", features.mean))
    for node in _calls(module, features.mean):
        yield f"sum for {node.name}", _on(node, lambda n: setattr(n, "target", features.add))


def _gradient(module: fx.GraphModule) -> Iterator[Fault]:
    """A target that must not be trained is, or a learned temperature is not."""
    for path in sorted({str(n.target) for n in _modules(module, "encoders.") if _is_wrapped(module, n)}):
        yield f"gradient through {path}", lambda m, path=path: _thaw(m, path)
    for name, _ in module.named_parameters():
        if name.endswith(("log_inverse", ".s")):
            yield f"{name} is fixed", _fix(name)


# --- edits ------------------------------------------------------------------------------------------------------------


def _calls(module: fx.GraphModule, *functions: Callable[..., Any]) -> list[fx.Node]:
    return [n for n in module.graph.nodes if n.op == "call_function" and n.target in functions and _read(n)]


def _modules(module: fx.GraphModule, section: str) -> list[fx.Node]:
    return [n for n in module.graph.nodes if n.op == "call_module" and str(n.target).startswith(section) and _read(n)]


def _read(node: fx.Node) -> bool:
    """Whether anything but the monitors reads it."""
    return any(user.target != "detach" for user in node.users)


def _on(node: fx.Node, edit: Callable[[fx.Node], object]) -> Edit:
    """The edit on the node of the same name of a copy."""
    return lambda module: edit(_named(module, node))


def _named(module: fx.GraphModule, node: fx.Node) -> fx.Node:
    return next(other for other in module.graph.nodes if other.name == node.name)


def _node(argument: object) -> fx.Node:
    assert isinstance(argument, fx.Node)
    return argument


def _set(node: fx.Node, index: int, value: Any) -> fx.Node:
    node.update_arg(index, value)
    return node


def _swap(one: int, other: int) -> Callable[[fx.Node], object]:
    return lambda n: _set(_set(n, one, n.args[other]), other, n.args[one])


def _give(one: fx.Node, other: fx.Node, indices: tuple[int, ...]) -> Edit:
    """`one` gets arguments of `other`, and stands behind it."""

    def edit(module: fx.GraphModule) -> None:
        taker, giver = _named(module, one), _named(module, other)
        values = [giver.args[index] for index in indices]
        for index, value in zip(indices, values, strict=True):
            _before(taker, _node(value))
            taker.update_arg(index, value)
        # With geometry every sample has positions of its own.
        taker.kwargs = {name: given for name, given in taker.kwargs.items() if name != "shared"}

    return edit


def _before(node: fx.Node, value: fx.Node) -> None:
    """Moves `value` and what it is computed from in front of `node`."""
    order = list(node.graph.nodes)
    if order.index(value) > order.index(node):
        for argument in value.all_input_nodes:
            _before(node, argument)
        node.prepend(value)


def _through(node: fx.Node, index: int, function: Callable[..., Any]) -> None:
    with node.graph.inserting_before(node):
        node.update_arg(index, node.graph.call_function(function, (node.args[index],)))


def _minus_correlation(node: fx.Node) -> None:
    with node.graph.inserting_before(node):
        node.update_kwarg("correlation", node.graph.call_function(operator.neg, (node.kwargs["correlation"],)))


def _negated(node: fx.Node) -> None:
    with node.graph.inserting_after(node):
        negative = node.graph.call_function(operator.neg, (node,))
    node.replace_all_uses_with(negative, delete_user_cb=lambda user: user is not negative)


def _merge(node: fx.Node, first: fx.Node) -> Edit:
    return lambda module: _named(module, node).replace_all_uses_with(_named(module, first))


def _attribute(path: str, name: str, value: object) -> Edit:
    return lambda module: setattr(module.get_submodule(path), name, value)


def _unread(part: Any, name: str) -> bool:
    """Whether a setting has no effect: the start value of a learned temperature, candidates of the batch of a queue."""
    if name == "value":
        return part.log_inverse is not None
    return name in ("tokens_per_image", "predictions", "symmetric") and getattr(part, "queue", None) is not None


def _is_mask(node: fx.Node) -> bool:
    return "mask" in node.name if node.op == "placeholder" else node.target is tokens.invert


def _comparable(module: fx.GraphModule, one: str, other: str) -> bool:
    """Whether the second could be called like the first: both of images, or both of texts."""
    return type(unwrapped(module.get_submodule(one))) is type(unwrapped(module.get_submodule(other)))


def _is_wrapped(module: fx.GraphModule, node: fx.Node) -> bool:
    part = module.get_submodule(str(node.target))
    return unwrapped(part) is not part


def _fix(name: str) -> Edit:
    def edit(module: fx.GraphModule) -> None:
        module.get_parameter(name).requires_grad_(False)

    return edit


def _thaw(module: fx.GraphModule, path: str) -> None:
    """An encoder and its projector lose their wrappers, and the graph its stop gradients."""
    for place in (path, path.replace("encoders.", "projectors.")):
        if (part := submodule(module, place)) is not None:
            module.set_submodule(place, _Renamed(unwrapped(part).requires_grad_(True)))
    for node in _calls(module, features.stop_gradient):
        node.replace_all_uses_with(_node(node.args[0]))


class _Renamed(nn.Module):
    """What a wrapper leaves: the parameter names are the same."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, *arguments: Any, **named: Any) -> Any:
        return self.module(*arguments, **named)
