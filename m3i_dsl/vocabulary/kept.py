"""What a word of another package returns is held to what its kind declares.

Takes: a class of a package. Gives: the same class, each method of its kind followed by a look at what came back.
Guarantees: a value of another type, or one that does not fit what the word itself says elsewhere, is a WrongResult
where it is returned, and not an error of whoever computes with it later. Words of m3ic are tested, not watched.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import math
import numbers
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

from m3i_dsl.vocabulary.kinds import Dataset, Mask, PlainModality, Schedule, Source, Transform
from m3i_dsl.vocabulary.word import Word

_KEPT = "kept"


class WrongResult(Exception):
    """A method of `owner`, a word or a data set, returned what it may not; `wanted` is what it may. Raised by m3ic."""

    def __init__(self, owner: object, method: Callable[..., Any], found: object, wanted: str) -> None:
        super().__init__(f"`{method.__name__}` returned {described(found)}, not {wanted}")
        self.owner = owner
        self.code = inspect.unwrap(method).__code__


def keep(class_: type) -> None:
    """Watches the methods of `class_` that a class of m3ic declares and another package has written."""
    for member in dir(class_):
        method = getattr(class_, member)
        declared = next((vars(c)[member] for c in class_.__mro__ if _of_m3ic(c) and member in vars(c)), None)
        if (member.startswith("_") and member != "__len__") or not inspect.isfunction(declared):
            continue
        if inspect.isfunction(method) and not _of_m3ic(method) and _KEPT not in vars(method):
            setattr(class_, member, _watched(method, declared))


def _of_m3ic(made: Any) -> bool:
    return made.__module__.startswith("m3i_dsl.")


def _watched(method: Callable[..., Any], declared: Callable[..., Any]) -> Callable[..., Any]:
    wanted = inspect.get_annotations(declared)["return"]
    said = "a value that `parts` made" if wanted == "V" else f"`{wanted}`"
    node, names = ast.parse(wanted, mode="eval").body, declared.__globals__
    further, signature = _FURTHER.get(method.__name__), inspect.signature(declared)

    @functools.wraps(method)
    def watching(self: Any, *arguments: Any, **named: Any) -> Any:
        found = method(self, *arguments, **named)
        if not _fits(found, node, names):
            raise WrongResult(self, method, found, said)
        if further is not None:
            wrong = further(self, found, signature.bind(self, *arguments, **named).arguments)
            if wrong is not None:
                raise WrongResult(self, method, found, wrong)
        return found

    vars(watching)[_KEPT] = True
    return watching


# --- types ------------------------------------------------------------------------------------------------------------


def _fits(value: object, wanted: ast.expr, names: Mapping[str, Any]) -> bool:
    """Whether a value is of an annotation, as far as that can be said of a value. `names` are those of its module.

    Classes of torch are known by their names, so that they need not be imported to ask.
    """
    match wanted:
        case ast.Constant(None):
            return value is None
        case ast.BinOp(left, ast.BitOr(), right):
            return _fits(value, left, names) or _fits(value, right, names)
        case ast.Name(name) | ast.Attribute(_, name):
            return _is_a(value, name, names)
        case ast.Subscript(ast.Name(name) | ast.Attribute(_, name), inner):
            return _holds(value, name, inner, names)
        case _:
            return True


def _is_a(value: object, name: str, names: Mapping[str, Any]) -> bool:
    match name:
        case "int":
            return not isinstance(value, bool) and isinstance(value, numbers.Integral)
        case "float":
            return not isinstance(value, bool) and isinstance(value, numbers.Real)
        case "bool":
            return type(value).__name__ in ("bool", "bool_")
        case "str":
            return isinstance(value, str)
        case "Any":
            return True
        case "Self":
            return isinstance(value, Word)
        case "V":
            return _of_m3ic(type(value))
        case _:
            known = names.get(name)
            origin = get_origin(known)
            if origin is Literal:
                return value in get_args(known)
            if isinstance(origin, type):
                return isinstance(value, origin)
            return any(class_.__name__ == name for class_ in type(value).__mro__) and _fields_fit(value)


def _holds(value: object, name: str, inner: ast.expr, names: Mapping[str, Any]) -> bool:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    match name, value:
        case "Literal", _:
            return value in [ast.literal_eval(part) for part in parts]
        case "tuple", tuple():
            if isinstance(parts[-1], ast.Constant) and parts[-1].value is ...:
                return all(_fits(item, parts[0], names) for item in value)
            return len(value) == len(parts) and all(map(lambda v, p: _fits(v, p, names), value, parts))
        case "Mapping", Mapping():
            return all(_fits(k, parts[0], names) and _fits(v, parts[1], names) for k, v in value.items())
        case "list" | "Sequence", list():
            return all(_fits(item, parts[0], names) for item in value)
        case "frozenset", frozenset():
            return True
        case "NDArray", _:
            dtype = getattr(value, "dtype", None)
            named = ast.unparse(parts[0]).rpartition(".")[2].rstrip("_")
            return type(value).__name__ == "ndarray" and named in ("Any", str(dtype))
        case _:
            return False


def _fields_fit(value: object) -> bool:
    """Whether the fields of a record of m3ic are what they are declared to be."""
    if not dataclasses.is_dataclass(value) or isinstance(value, Word) or not _of_m3ic(type(value)):
        return True
    names = vars(sys.modules[type(value).__module__])
    return all(
        _fits(getattr(value, field.name), ast.parse(field.type, mode="eval").body, names)
        for field in dataclasses.fields(value)
        if isinstance(field.type, str)
    )


# --- what else a word has promised ------------------------------------------------------------------------------------


def _mask(word: Any, found: Any, given: Mapping[str, Any]) -> str | None:
    grid, stride = given["grid"], given["stride"]
    count = word.hidden(grid, stride)
    rows = len(given["draws"].samples)
    if found.shape == (rows, grid.tokens):
        counts = found.sum(axis=1)
        if (counts <= count if word.varies() else counts == count).all():
            return None
    most = "at most " if word.varies() else ""
    return f"[{rows}, {grid.tokens}] with {most}{count} True in each row, as `hidden` says"


def _transformed(word: Any, found: Any, given: Mapping[str, Any]) -> str | None:
    images = given["images"]
    size = word.output_size(tuple(images.shape[2:]))
    wanted = (*images.shape[:2], *(size if size is not None else images.shape[2:]))
    return None if tuple(found.shape) == wanted else f"{list(wanted)}, as `output_size` says"


def _collated(word: Any, found: Any, given: Mapping[str, Any]) -> str | None:
    wanted = (len(given["values"]), *word.dimensions(given["by"]))
    return None if found.shape == wanted else f"{list(wanted)}, as `dimensions` says"


def _opened(word: Any, found: Any, given: Mapping[str, Any]) -> None:
    """The samples of a package are watched as its words are."""
    keep(type(found))


def _factor(word: Any, found: Any, given: Mapping[str, Any]) -> str | None:
    return None if math.isfinite(found) and found >= 0 else "a finite number of at least 0"


_FURTHER: Mapping[str, Callable[[Any, Any, Mapping[str, Any]], str | None]] = {
    Mask.sample.__name__: _mask,
    Transform.apply.__name__: _transformed,
    PlainModality.collate.__name__: _collated,
    Schedule.factor.__name__: _factor,
    Source.open.__name__: _opened,
    Dataset.evaluation.__name__: _opened,
}


def described(value: object) -> str:
    """A value in a message: None, the shape of an array, a small number, or of what class it is."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"`{type(value).__name__}` {list(shape)}"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    return f"a value of `{type(value).__name__}`"
