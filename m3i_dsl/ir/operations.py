"""The operations of the IR: arguments, attributes, effects and the shape rule of each.

Takes: an operation's name, argument types, attributes and modules. Gives: the result types. Guarantees: every
operation that the builder emits, the text form reads or the lowering knows is declared here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from m3i_dsl.ir.dimensions import batch_dimension, batches_in, ranges_of
from m3i_dsl.ir.graph import Attribute, Dimension, Module, Section, Type
from m3i_dsl.vocabulary.kinds import ImageEncoder
from m3i_dsl.vocabulary.word import PURE, Effect

Attributes = Mapping[str, Attribute]
Types = tuple[Type | None, ...]


class ShapeFault(Exception):
    """The argument types of an equation do not fit its operation."""


@dataclass(frozen=True, slots=True)
class Operation:
    """`section` is set for an operation that calls a module, whose name is the attribute `module`.

    `effects` are the operation's own; ir/effects.py adds those of the word that it calls.
    """

    name: str
    arguments: tuple[str, ...]
    attributes: tuple[str, ...]
    results: Callable[[Types, Attributes, Module | None], tuple[Type, ...]]
    section: Section | None = None
    effects: frozenset[Effect] = PURE


def _present(types: Types, index: int) -> Type:
    found = types[index] if index < len(types) else None
    if found is None:
        raise ShapeFault(f"argument {index} is missing")
    return found


def _integer(value: Attribute) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ShapeFault(f"expected a whole number, found {value!r}")
    return value


def _same(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    return (_present(types, 0),)


def _blend(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    first, second = _present(types, 0), _present(types, 1)
    if first != second:
        raise ShapeFault(f"the inputs of a mix differ in shape, {first} and {second}")
    return (first,)


def _encode(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    prefix, width = _integer(module.attribute("prefix")), _integer(module.attribute("width"))
    length = _integer(attributes["visible"]) + prefix
    batch = _present(types, 0).dimensions[0]
    features = Type("f32", (batch, length, width))
    taps = _integer(attributes["taps"])
    return (features, Type("f32", (batch, taps, length, width))) if taps else (features,)


def _encode_packed(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None and isinstance(module.word, ImageEncoder)
    found: list[Type] = []
    for index in range(len(types)):
        batch, _, height, width = _present(types, index).dimensions
        shape = module.word.shape_at((_integer(height), _integer(width)))
        found.append(Type("f32", (batch, shape.prefix + shape.grid.tokens, shape.width)))
    return tuple(found)


def _encode_text(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    return (Type("f32", (_present(types, 0).dimensions[0], _integer(module.attribute("width")))),)


def _project(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    features = _present(types, 0)
    if features.dimensions[-1] != module.attribute("input_width"):
        raise ShapeFault(f"the projector takes {module.attribute('input_width')} channels, found {features}")
    return (Type("f32", (*features.dimensions[:-1], _integer(module.attribute("output_width")))),)


def _average_layers(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    batch, _, length, width = _present(types, 0).dimensions
    return (Type("f32", (batch, length, width)),)


def _patches(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    batch, length, width = _present(types, 0).dimensions
    return (Type("f32", (batch, _integer(length) - _integer(attributes["prefix"]), width)),)


def _pool(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    batch, _, width = _present(types, 0).dimensions
    return (Type("f32", (batch, width)),)


def _patchify(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    batch, channels, height, width = _present(types, 0).dimensions
    rows, columns = _integer(attributes["rows"]), _integer(attributes["columns"])
    if _integer(height) % rows or _integer(width) % columns:
        raise ShapeFault(f"a {rows}x{columns} grid does not divide {height}x{width} pixels")
    pixels = _integer(channels) * (_integer(height) // rows) * (_integer(width) // columns)
    return (Type("f32", (batch, rows * columns, pixels)),)


def _table(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    width: Dimension = _integer(module.attribute("output_width"))
    return (Type("f32", ("C", width)), Type("f32", ("C",)))


def _embed(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    return (Type("f32", (_present(types, 0).dimensions[0], _integer(module.attribute("output_width")))),)


def _gather(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    batch, _, width = _present(types, 0).dimensions
    return (Type("f32", (batch, _integer(attributes["count"]) + _integer(attributes["prefix"]), width)),)


def _match(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    batch, _, width = _present(types, 0).dimensions
    return (Type("f32", (batch, _present(types, 1).dimensions[1], width)),)


def _assign(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    views = tuple(_present(types, index) for index in range(len(types)))
    for view in views:
        if view.dimensions[-1] != module.attribute("width"):
            raise ShapeFault(f"there are {module.attribute('width')} prototypes, found scores {view}")
    return views


def _predict(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    features = _present(types, 0)
    if features.dimensions[-1] != module.attribute("input_width"):
        raise ShapeFault(f"the predictor takes {module.attribute('input_width')} channels, found {features}")
    width = _integer(module.attribute("output_width"))
    batch = features.dimensions[0]
    if attributes["form"] == "queries":
        return (Type("f32", (batch, _integer(module.attribute("wanted")), width)),)
    if attributes["form"] == "pooled":
        return (Type("f32", (batch, width)),)
    return (Type("f32", (*features.dimensions[:-1], width)),)


def _likelihood(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    prediction, target = _present(types, 0), _present(types, 1)
    if prediction.dimensions[-1] != target.dimensions[-1]:
        raise ShapeFault(f"the prediction is {prediction}, the target {target}")
    return (Type("f32", ()),)


def _scalar(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    return (Type("f32", ()),)


def _weigh(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    return Type("f32", ()), Type("f32", (len(types) - 1,))


def _correlation(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    width = _present(types, 0).dimensions[-1]
    return (Type("f32", (width, width)),)


def _rows(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    whole, period = _present(types, 0), _integer(attributes["period"])
    ranges = ranges_of(str(attributes["which"]))
    ends = [0, *(end for range_ in ranges for end in range_), period]
    if not ranges or ends != sorted(ends):
        raise ShapeFault(f"`{attributes['which']}` are no ascending rows of {period}")
    part = Fraction(sum(end - first for first, end in ranges), period)
    batches = batches_in(whole.dimensions[0])
    if batches is None:
        raise ShapeFault(f"{whole} is no batch")
    return (replace(whole, dimensions=(batch_dimension(batches * part), *whole.dimensions[1:])),)


def _concat(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    first = _present(types, 0)
    if any(other != first for other in types):
        raise ShapeFault(f"parts of one batch have one shape, found {', '.join(map(str, types))}")
    return (replace(first, dimensions=(f"{len(types)}B", *first.dimensions[1:])),)


def _split(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    whole, count = _present(types, 0), _integer(attributes["count"])
    if whole.dimensions[0] != f"{count}B":
        raise ShapeFault(f"{whole} is not {count} batches")
    return (replace(whole, dimensions=("B", *whole.dimensions[1:])),) * count


_ALL = (
    Operation("partner", ("x",), (), _same, effects=frozenset({Effect.BATCH_COUPLED})),
    Operation("blend", ("first", "second", "hidden"), ("rows", "columns"), _blend),
    Operation("rows", ("x",), ("period", "which"), _rows),
    Operation("invert", ("mask",), (), _same),
    Operation(
        "encode",
        ("image", "hidden", "isolate"),
        ("module", "tokens", "visible", "taps", "embed"),
        _encode,
        "encoders",
    ),
    Operation("encode_packed", ("images",), ("module",), _encode_packed, "encoders"),
    Operation("encode_text", ("tokens",), ("module",), _encode_text, "encoders"),
    Operation("project", ("features",), ("module",), _project, "projectors"),
    Operation("average_layers", ("taps",), ("last",), _average_layers),
    Operation("patches", ("features",), ("prefix",), _patches),
    Operation("pool", ("features",), ("prefix", "mode"), _pool),
    Operation("normalize", ("x",), ("by",), _same),
    Operation("patchify", ("image",), ("rows", "columns", "normalize"), _patchify),
    Operation("table", (), ("module",), _table, "representations"),
    Operation("embed", ("text",), ("module",), _embed, "representations"),
    Operation("gather", ("x", "which"), ("count", "prefix"), _gather),
    Operation("match", ("target", "features_x", "features_y"), (), _match),
    Operation(
        "predict",
        ("features", "hidden", "wanted", "source", "geometry_x", "geometry_y"),
        ("module", "form", "needed", "shared"),
        _predict,
        "predictors",
    ),
    Operation("assign", ("scores",), ("module",), _assign, "assignments"),
    Operation("stop_gradient", ("x",), (), _same),
    Operation(
        "likelihood",
        ("prediction", "target", "bias", "labels", "keys", "correlation"),
        ("module", "partnered"),
        _likelihood,
        "likelihoods",
    ),
    Operation("penalty", ("prediction", "target", "correlation"), ("module",), _likelihood, "penalties"),
    Operation("add", ("losses",), (), _scalar),
    Operation("mean", ("losses",), (), _scalar),
    Operation("weigh", ("losses", "shared"), ("module",), _weigh, "weightings"),
    Operation("correlation", ("first", "second"), (), _correlation, effects=frozenset({Effect.BATCH_COUPLED})),
    Operation("concat", ("parts",), (), _concat),
    Operation("split", ("whole",), ("count",), _split),
)

OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _ALL}
