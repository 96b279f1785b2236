"""The operations of the IR: arguments, attributes, effects, how a module is called, and the shape rule of each.

Takes: an operation's name, argument types, attributes and modules. Gives: the result types. Guarantees: every
operation that the builder emits, the text form reads or the lowering knows is declared here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeVar

from m3i_dsl.ir.dimensions import batch_dimension, batches_in, ranges_of
from m3i_dsl.ir.graph import Attribute, Dimension, Module, Section, Type
from m3i_dsl.vocabulary.kinds import Encoder, Predictor, image_encoder
from m3i_dsl.vocabulary.word import PURE, Effect

Attributes = Mapping[str, Attribute]
Types = tuple[Type | None, ...]
A = TypeVar("A")


class ShapeFault(Exception):
    """The argument types of an equation do not fit its operation."""


@dataclass(frozen=True, slots=True)
class Operation:
    """`section` is set for an operation that calls a module, whose name is the attribute `module`.

    `effects` are the operation's own; ir/effects.py adds those of the word that it calls. A module is called with the
    arguments in their order and the other attributes by name. Arguments in `keywords` go by name, where there are any;
    all that the first name stands for go as one tuple with `together`; attributes that have the value that `omitted`
    says are left out, and so are those in `of_types`, which only tell the shape of the result. A module may yield None
    for the results in `optional`, by place.
    """

    name: str
    arguments: tuple[str, ...]
    attributes: tuple[str, ...]
    results: Callable[[Types, Attributes, Module | None], tuple[Type, ...]]
    section: Section | None = None
    effects: frozenset[Effect] = PURE
    keywords: tuple[str, ...] = ()
    together: bool = False
    omitted: Attributes = field(default_factory=dict[str, Attribute])
    of_types: tuple[str, ...] = ()
    optional: tuple[int, ...] = ()

    def call(
        self, arguments: tuple[A | None, ...], attributes: Attributes
    ) -> tuple[tuple[A | tuple[A | None, ...] | None, ...], dict[str, A | Attribute | None]]:
        """The positional and the named arguments of the module."""
        named: dict[str, A | Attribute | None] = {
            name: value
            for name, value in attributes.items()
            if name not in ("module", *self.of_types) and not (name in self.omitted and self.omitted[name] == value)
        }
        if self.together:
            rest = len(self.arguments) - 1
            end = len(arguments) - rest
            return (arguments[:end], *arguments[end:]), named
        placed = tuple(zip(self.arguments, arguments, strict=False)) if self.keywords else ()
        named |= {name: value for name, value in placed if name in self.keywords and value is not None}
        positional = tuple(v for name, v in placed if name not in self.keywords) if self.keywords else arguments
        return positional, named


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


def _own_share(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    return (Type("f32", _present(types, 0).dimensions[:1]),)


def _encode(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    prefix, width = _integer(module.attribute("prefix")), _integer(module.attribute("width"))
    length = _integer(attributes["visible"]) + prefix
    batch = _present(types, 0).dimensions[0]
    features = Type("f32", (batch, length, width))
    taps = _integer(attributes["taps"])
    return (features, Type("f32", (batch, taps, length, width))) if taps else (features,)


def _encode_packed(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    word = image_encoder(module.as_a(Encoder))
    found: list[Type] = []
    for index in range(len(types)):
        batch, _, height, width = _present(types, index).dimensions
        shape = word.shape_at((_integer(height), _integer(width)))
        found.append(Type("f32", (batch, shape.prefix + shape.grid.tokens, shape.width)))
    return tuple(found)


def _encode_text(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    tokens, hidden = _present(types, 0), types[1] if len(types) > 1 else None
    if hidden is not None and hidden != replace(tokens, dtype="bool"):
        raise ShapeFault(f"`hidden` is {hidden}, the tokens {tokens}")
    return (Type("f32", (*tokens.dimensions, _integer(module.attribute("width")))),)


def _pool_text(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    features, tokens = _present(types, 0), _present(types, 1)
    if features.dimensions[:-1] != tokens.dimensions:
        raise ShapeFault(f"the features are {features}, the tokens {tokens}")
    return (Type("f32", (features.dimensions[0], features.dimensions[-1])),)


def _real_tokens(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    return (replace(_present(types, 0), dtype="bool"),)


def _codes(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    return (Type("i64", _present(types, 0).dimensions[:-1]),)


def _project(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    features = _present(types, 0)
    if features.dimensions[-1] != module.attribute("input_width"):
        raise ShapeFault(f"the projector takes {module.attribute('input_width')} channels, found {features}")
    projected = Type("f32", (*features.dimensions[:-1], _integer(module.attribute("output_width"))))
    return (projected,) if module.as_a(Predictor).codes() is None else (projected, Type("f32", ()))


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
    rows = module.attribute("rows")
    if not isinstance(rows, str):
        rows = _integer(rows)
    return (Type("f32", (rows, _integer(module.attribute("width")))), Type("f32", (rows,)))


def _resize(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    batch, channels, *_ = _present(types, 0).dimensions
    return (Type("f32", (batch, channels, _integer(attributes["height"]), _integer(attributes["width"]))),)


def _represent(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    batch, tokens = _present(types, 0).dimensions[0], _integer(attributes["tokens"])
    if any(_present(types, index).dimensions[0] != batch for index in range(len(types))):
        raise ShapeFault(f"a representation is made of values of one batch, found {', '.join(map(str, types))}")
    width: Dimension = _integer(module.attribute("width"))
    return (Type("f32", (batch, tokens, width) if tokens else (batch, width)),)


def _gather(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    given = _present(types, 0)
    length = _integer(attributes["count"]) + _integer(attributes["prefix"])
    return (replace(given, dimensions=(given.dimensions[0], length, *given.dimensions[2:])),)


def _filled(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    return (Type("bool", (_present(types, 0).dimensions[0], _integer(attributes["count"]))),)


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


def _assign_filled(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    scores, filled = _present(types, 0), _present(types, 1)
    if filled != Type("bool", scores.dimensions[:2]):
        raise ShapeFault(f"`filled` is {filled}, the scores {scores}")
    return _assign((scores,), attributes, module)


def _predict(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    assert module is not None
    features = _present(types, 0)
    if features.dimensions[-1] != module.attribute("input_width"):
        raise ShapeFault(f"the predictor takes {module.attribute('input_width')} channels, found {features}")
    return (Type("f32", (*features.dimensions[:-1], _integer(module.attribute("output_width")))),)


def _predict_at(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    (mapped,) = _predict(types, attributes, module)
    batch, _, width = mapped.dimensions
    hidden, wanted, source = (types[index] if index < len(types) else None for index in (1, 2, 3))
    grids = (("hidden", hidden, ""), ("wanted", wanted, "target_"), ("source", source, ""))
    for name, mask, side in grids:
        tokens = _integer(attributes[f"{side}rows"]) * _integer(attributes[f"{side}columns"])
        if mask is not None and mask != Type("bool", (batch, tokens)):
            raise ShapeFault(f"`{name}` is of {tokens} tokens, found {mask}")
    first = _integer(attributes["prefix"]) if attributes["prefixed"] else 0
    return (Type("f32", (batch, first + _integer(attributes["count"]), width)),)


def _predict_pooled(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    (mapped,) = _predict(types, attributes, module)
    batch, _, width = mapped.dimensions
    return (Type("f32", (batch, width)),)


def _compare(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    prediction, target = _present(types, 0), _present(types, 1)
    if prediction != target:
        raise ShapeFault(f"the prediction is {prediction}, the target {target}")
    filled = next((type_ for type_ in types[2:] if type_ is not None and type_.dtype == "bool"), None)
    if filled is not None and filled.dimensions != prediction.dimensions[:2]:
        raise ShapeFault(f"`filled` is {filled}, the prediction {prediction}")
    return (Type("f32", ()),)


def _contrast(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    target, keys = _present(types, 1), types[2]
    if keys is not None and keys.dimensions[-1] != target.dimensions[-1]:
        raise ShapeFault(f"the keys are {keys}, the target {target}")
    return _compare(types, attributes, module)


def _classify(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    prediction, table, bias, labels = (_present(types, index) for index in range(4))
    if prediction.dimensions[-1] != table.dimensions[-1]:
        raise ShapeFault(f"the prediction is {prediction}, the table {table}")
    if bias.dimensions != table.dimensions[:1]:
        raise ShapeFault(f"the bias is {bias}, the table {table}")
    if any(given != Type("i64", prediction.dimensions[:-1]) for given in (labels, *types[4:5])):
        raise ShapeFault(f"the labels are {labels}, the prediction {prediction}")
    return (Type("f32", ()),)


def _retrieve(types: Types, attributes: Attributes, module: Module | None) -> tuple[Type, ...]:
    tokens, texts = _present(types, 2), _present(types, 1)
    if tokens.dimensions[0] != texts.dimensions[0]:
        raise ShapeFault(f"the tokens are {tokens}, the texts {texts}")
    return _compare(types, attributes, module)


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


_CORRELATED = ("prediction", "target", "correlation")
_COUNTED = ("correlation", "filled")

_ALL = (
    Operation("partner", ("x",), (), _same, effects=frozenset({Effect.BATCH_COUPLED})),
    Operation("blend", ("first", "second", "hidden"), ("rows", "columns"), _blend),
    Operation("resize", ("image",), ("height", "width"), _resize),
    Operation("renormalize", ("image",), ("scale", "shift"), _same),
    Operation("mixed", ("image", "other", "drawn"), (), _blend),
    Operation("own_share", ("drawn",), (), _own_share),
    Operation("rows", ("x",), ("period", "which"), _rows),
    Operation("invert", ("mask",), (), _same),
    Operation(
        "encode",
        ("image", "hidden", "isolate"),
        ("module", "tokens", "visible", "taps", "embed"),
        _encode,
        "encoders",
        keywords=("isolate",),
        omitted={"embed": "all"},
    ),
    Operation("encode_packed", ("images",), ("module",), _encode_packed, "encoders", together=True),
    Operation("encode_text", ("tokens", "hidden"), ("module",), _encode_text, "encoders"),
    Operation("pool_text", ("features", "tokens"), ("mode",), _pool_text),
    Operation("real_tokens", ("tokens",), (), _real_tokens),
    Operation("project", ("features",), ("module",), _project, "projectors"),
    Operation("codes", ("features",), ("module", "codes"), _codes, "projectors"),
    Operation("average_layers", ("taps",), ("last",), _average_layers),
    Operation("patches", ("features",), ("prefix",), _patches),
    Operation("pool", ("features",), ("prefix", "mode"), _pool),
    Operation("normalize", ("x",), ("by",), _same),
    Operation("patchify", ("image",), ("rows", "columns", "normalize"), _patchify),
    Operation("table", (), ("module",), _table, "representations", optional=(1,)),  # a table may have no biases
    Operation("represent", ("values",), ("module", "tokens"), _represent, "representations", of_types=("tokens",)),
    Operation("gather", ("x", "which"), ("count", "prefix"), _gather),
    Operation("filled", ("which",), ("count",), _filled),
    Operation("match", ("target", "features_x", "features_y"), (), _match),
    Operation("predict", ("features",), ("module",), _predict, "predictors"),
    Operation(
        "predict_at",
        ("features", "hidden", "wanted", "source", "geometry_x", "geometry_y"),
        (
            "module",
            "prefix",
            "rows",
            "columns",
            "target_rows",
            "target_columns",
            "count",
            "needed",
            "shared",
            "prefixed",
        ),
        _predict_at,
        "predictors",
        omitted={"needed": False, "shared": False, "prefixed": False},
    ),
    Operation("predict_pooled", ("features", "source"), ("module", "prefix"), _predict_pooled, "predictors"),
    Operation("assign", ("scores",), ("module",), _assign, "assignments"),
    Operation("assign_filled", ("scores", "filled"), ("module",), _assign_filled, "assignments", keywords=("filled",)),
    Operation("stop_gradient", ("x",), (), _same),
    Operation("compare", (*_CORRELATED, "filled"), ("module",), _compare, "likelihoods", keywords=_COUNTED),
    Operation("contrast", ("prediction", "target", "keys"), ("module",), _contrast, "likelihoods"),
    Operation(
        "classify",
        ("prediction", "table", "bias", "labels", "others", "share"),
        ("module",),
        _classify,
        "likelihoods",
        keywords=("others", "share"),
    ),
    Operation("retrieve", ("prediction", "texts", "tokens"), ("module", "partnered"), _retrieve, "likelihoods"),
    Operation(
        "cross_entropy", ("prediction", "shares", "filled"), ("module",), _compare, "likelihoods", keywords=("filled",)
    ),
    Operation("penalty", _CORRELATED, ("module",), _compare, "penalties", keywords=("correlation",)),
    Operation("joint_penalty", ("predictions",), ("module",), _scalar, "penalties"),
    Operation("spread", ("features",), ("module",), _scalar, "penalties"),
    Operation("add", ("losses",), (), _scalar),
    Operation("mean", ("losses",), (), _scalar),
    Operation("weigh", ("losses", "shared"), ("module",), _weigh, "weightings", together=True),
    Operation("correlation", ("first", "second"), (), _correlation, effects=frozenset({Effect.BATCH_COUPLED})),
    Operation("concat", ("parts",), (), _concat),
    Operation("split", ("whole",), ("count",), _split),
)

OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _ALL}

LIKELIHOODS = tuple(operation.name for operation in _ALL if operation.section == "likelihoods")
"""The ways in which a prediction meets its target."""
