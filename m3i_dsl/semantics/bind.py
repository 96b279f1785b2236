"""Binding: from a written value to a word or a typed Python value.

Takes: a value of the syntax tree and the declared type of the place where it stands. Gives: the value, or diagnostics at the
exact span. Guarantees: an unknown argument, a wrong unit or an out-of-range number is never ignored; a name of a `param` is
replaced by its value wherever a value may stand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from m3i_dsl.diagnostics import Diagnostic, Diagnostics, Label, error
from m3i_dsl.semantics.program import Placed
from m3i_dsl.semantics.suggest import help_for
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.registry import words
from m3i_dsl.vocabulary.values import Duration, Ramp, Rate, Scalar, number_text
from m3i_dsl.vocabulary.word import Bounds, Kind, Parameter, ValueType, Word

W = TypeVar("W", bound=Word)


class Unbound(Exception):
    """A value that could not be bound; its diagnostics have been reported."""


@dataclass(slots=True)
class Binder:
    """Binds values against the `param`s in scope; reports to `diagnostics`.

    Methods raise Unbound after reporting, so that a fault poisons only what depends on it.
    """

    parameters: Mapping[str, ast.Value]
    diagnostics: Diagnostics
    used: set[str] = field(default_factory=set)

    # --- words --------------------------------------------------------------------------------------------------------

    def word(self, value: ast.Value, base: type[W], kind: Kind, **role_defaults: Any) -> Placed[W]:
        """Binds a term to a word of `kind`. `role_defaults` replace the word's own defaults in this position."""
        if not isinstance(value, ast.Term):
            self._fail(error("M3I0201", f"expected {_article(kind)}, found {describe(value)}", value.span))
        known = words(kind)
        if value.name not in known:
            inner = self.parameter(value)
            if inner is not None:
                return self.word(inner, base, kind, **role_defaults)
            self._fail(
                error(
                    "M3I0122",
                    f"unknown {kind} `{value.name}`",
                    value.name_span,
                    helps=help_for(value.name, known, otherwise=f"run `m3ic vocab {kind}` for the list"),
                )
            )
        class_ = known[value.name]
        self._no_extras(value, kind)
        return self.call(class_, value.arguments or (), value.span, value.name_span, **role_defaults)  # type: ignore[return-value]  # the registry is keyed by kind, which is what `base` stands for

    def call(
        self,
        class_: type[W],
        arguments: tuple[ast.Argument, ...],
        span: Span,
        name_span: Span,
        **role_defaults: Any,
    ) -> Placed[W]:
        """Binds an argument list to the parameters of a word."""
        parameters = {parameter.name: parameter for parameter in class_.parameters()}
        written: dict[str, ast.Argument] = {}
        failed = False
        positional = iter(parameters)
        for argument in arguments:
            name = self._argument_name(class_, argument, positional, parameters)
            if name is None:
                failed = True
            elif name in written:
                failed = True
                self.diagnostics.add(
                    error(
                        "M3I0125",
                        f"argument `{name}` of `{class_.name}` is given twice",
                        argument.span,
                        secondary=(Label(written[name].span, "first given here"),),
                    )
                )
            else:
                written[name] = argument
        values: dict[str, Any] = {}
        for name, parameter in parameters.items():
            try:
                values[name] = self._argument_value(class_, parameter, written.get(name), name_span, role_defaults)
            except Unbound:
                failed = True
        if failed:
            raise Unbound
        spans = {name: argument.value.span for name, argument in written.items()}
        return Placed(class_(**values), span, spans)

    def _argument_name(
        self, class_: type[Word], argument: ast.Argument, positional: Any, parameters: Mapping[str, Parameter]
    ) -> str | None:
        if argument.name is None:
            name = next(positional, None)
            if name is None:
                count = len(parameters)
                takes = f"takes {count} argument{'' if count == 1 else 's'}" if count else "takes no arguments"
                self.diagnostics.add(error("M3I0205", f"`{class_.name}` {takes}", argument.span, "one too many"))
            return name
        if argument.name.text not in parameters:
            self.diagnostics.add(
                error(
                    "M3I0124",
                    f"`{class_.name}` has no argument `{argument.name.text}`",
                    argument.name.span,
                    helps=help_for(argument.name.text, parameters, otherwise=f"run `m3ic vocab {class_.kind}`"),
                )
            )
            return None
        return argument.name.text

    def _argument_value(
        self,
        class_: type[Word],
        parameter: Parameter,
        argument: ast.Argument | None,
        name_span: Span,
        role_defaults: Mapping[str, Any],
    ) -> Any:
        if argument is not None:
            what = f"`{parameter.name}` of `{class_.name}`"
            return self.value(argument.value, parameter.type, what, parameter.bounds)
        if parameter.name in role_defaults:
            return role_defaults[parameter.name]
        if parameter.required:
            self._fail(
                error(
                    "M3I0127",
                    f"`{class_.name}` needs the argument `{parameter.name}`",
                    name_span,
                    notes=(f"`{parameter.name}`: {parameter.doc}",),
                    helps=(f"write `{class_.name}({parameter.name}: ...)` with {parameter.type.describe()}",),
                )
            )
        return parameter.default

    # --- values -------------------------------------------------------------------------------------------------------

    def value(self, node: ast.Value, type_: ValueType, what: str, bounds: Bounds | None = None) -> Any:
        """Binds `node` to a value of `type_`; `what` names the place in messages."""
        bounds = bounds or Bounds()
        named = node.name if isinstance(node, ast.Term) else None
        if named is not None and not self._is_own_name(named, type_):
            inner = self.parameter(node)
            if inner is not None:
                return self._of_parameter(node, inner, type_, what, bounds)
        match type_.form, node:
            case "number", ast.Number():
                return self._number(node, type_, what, bounds)
            case "range", ast.Range():
                return self._range(node, type_, what, bounds)
            case "list", ast.List():
                return tuple(self.value(item, _element(type_), what, bounds) for item in node.items)
            case "boolean", ast.Term() if named in ("true", "false"):
                self._no_extras(node, what)
                return named == "true"
            case "string", ast.String():
                return node.value
            case "choice", ast.Term() if named in type_.choices:
                self._no_extras(node, what)
                return named
            case "ramp", ast.Ramp():
                return self._ramp(node, what, bounds)
            case "ramp", ast.Number():
                return Ramp.constant(self._number(node, _PLAIN, what, bounds))
            case "rate", ast.Rate():
                value = self._number(node.value, _PLAIN, what, bounds)
                return Rate(value, self._number(node.per, _WHOLE, f"the reference batch of {what}", Bounds(minimum=1)))
            case "rate", ast.Number():
                return Rate(self._number(node, _PLAIN, what, bounds), None)
            case "scalar", ast.Number():
                return Scalar(self._number(node, _PLAIN, what, bounds), learned=False)
            case "scalar", ast.Term() if named == "learned" and node.operand is not None:
                return Scalar(self._number(node.operand, _PLAIN, what, bounds), learned=True)
            case "duration", ast.Number():
                return self.duration(node, what)
            case "word", ast.Term():
                assert type_.word is not None
                return self.word(node, type_.word, type_.word.kind).word
            case _:
                self._mismatch(node, type_, what)

    def duration(self, node: ast.Number, what: str) -> Duration:
        if node.unit not in ("epochs", "steps", "samples", "%"):
            self._fail(
                error(
                    "M3I0202",
                    f"{what} needs a unit",
                    node.span,
                    f"{_unit_name(node.unit)}",
                    helps=(f"write `{number_text(node.value)} epochs`, `steps`, `samples` or a percentage",),
                )
            )
        value = node.value / 100 if node.unit == "%" else node.value
        if value < 0:
            self._fail(error("M3I0203", f"{what} is negative", node.span))
        return Duration(value, node.unit)

    def _number(self, node: ast.Number, type_: ValueType, what: str, bounds: Bounds) -> Any:
        assert type_.quantity is not None
        unit = type_.quantity.unit
        if node.unit != unit:
            wanted = {"": "a plain number", "%": "a percentage", "px": "a length in px"}[unit]
            spelled = f"{number_text(node.value)}{unit}"
            self._fail(
                error(
                    "M3I0202",
                    f"{what} is {wanted}, but the value is {_unit_name(node.unit)}",
                    node.span,
                    f"expected {wanted}",
                    helps=(f"write `{spelled}`",) if not node.unit or not unit else (),
                )
            )
        if type_.quantity.whole and node.value != int(node.value):
            self._fail(error("M3I0201", f"{what} is a whole number", node.span, "has a fraction"))
        value = node.value / 100 if unit == "%" else node.value
        if not bounds.allows(value):
            self._fail(
                error(
                    "M3I0203",
                    f"{what} must be {bounds.text(unit)}",
                    node.span,
                    f"{number_text(value, unit)} is out of range",
                )
            )
        return int(value) if type_.quantity.whole else value

    def _range(self, node: ast.Range, type_: ValueType, what: str, bounds: Bounds) -> tuple[Any, Any]:
        element = dataclasses.replace(type_, form="number")
        low, high = (self._number(end, element, what, bounds) for end in (node.low, node.high))
        if low > high:
            self._fail(error("M3I0203", f"{what} is a range whose low end is above its high end", node.span))
        return low, high

    def _ramp(self, node: ast.Ramp, what: str, bounds: Bounds) -> Ramp:
        start, stop = (self._number(end, _PLAIN, what, bounds) for end in (node.start, node.stop))
        shape = node.shape.text
        if shape not in ("linear", "cosine"):
            self._fail(
                error(
                    "M3I0122",
                    f"unknown shape of a ramp `{shape}`",
                    node.shape.span,
                    helps=help_for(shape, ("linear", "cosine")),
                )
            )
        return Ramp(start, stop, shape)  # type: ignore[arg-type]  # checked above

    # --- parameters ---------------------------------------------------------------------------------------------------

    def parameter(self, node: ast.Value) -> ast.Value | None:
        """The value of the `param` that `node` names, or None."""
        if not isinstance(node, ast.Term) or len(node.words) != 1 or node.name not in self.parameters:
            return None
        if (node.arguments, node.operand, node.of, node.by) != (None, None, None, None):
            return None
        self.used.add(node.name)
        return self.parameters[node.name]

    def _of_parameter(self, node: ast.Value, inner: ast.Value, type_: ValueType, what: str, bounds: Bounds) -> Any:
        """Binds the value of a `param`; faults are shown where it is used, with its definition as second place."""
        assert isinstance(node, ast.Term)
        nested = Binder({k: v for k, v in self.parameters.items() if k != node.name}, Diagnostics(), self.used)
        try:
            return nested.value(inner, type_, what, bounds)
        except Unbound:
            for found in nested.diagnostics:
                label = Label(inner.span, f"`{node.name}` is defined here")
                self.diagnostics.add(
                    dataclasses.replace(found, primary=Label(node.span), secondary=(label, *found.secondary))
                )
            raise

    def _is_own_name(self, name: str, type_: ValueType) -> bool:
        """Whether `name` already means something for this type, so that it is not looked up as a `param`."""
        if type_.form == "word":
            assert type_.word is not None
            return name in words(type_.word.kind)
        return name in type_.choices or (type_.form == "boolean" and name in ("true", "false"))

    # --- faults -------------------------------------------------------------------------------------------------------

    def _no_extras(self, term: ast.Term, what: str) -> None:
        """Reports parts of a term that mean nothing in this position."""
        extras = [part for part in (term.operand, term.of, term.by) if part is not None]
        if extras:
            self._fail(error("M3I0201", f"`{extras[0].span.text}` means nothing here", extras[0].span, f"after {what}"))

    def _mismatch(self, node: ast.Value, type_: ValueType, what: str) -> NoReturn:
        name = node.name if isinstance(node, ast.Term) else None
        if name is not None and type_.form in ("choice", "number", "range", "ramp", "rate", "scalar", "duration"):
            legal = (*type_.choices, *self.parameters)
            self._fail(
                error(
                    "M3I0201",
                    f"{what} is {type_.describe()}, found `{name}`",
                    node.span,
                    helps=help_for(name, legal) if legal else (),
                )
            )
        self._fail(error("M3I0201", f"{what} is {type_.describe()}, found {describe(node)}", node.span))

    def _fail(self, diagnostic: Diagnostic) -> NoReturn:
        self.diagnostics.add(diagnostic)
        raise Unbound


def describe(value: ast.Value) -> str:
    """A value of the syntax tree in the words of a message."""
    match value:
        case ast.Number():
            return _unit_name(value.unit)
        case ast.String():
            return "a string"
        case ast.Range():
            return "a range"
        case ast.Ramp():
            return "a ramp"
        case ast.Rate():
            return "a rate"
        case ast.List():
            return "a list"
        case ast.Sum():
            return "a sum"
        case ast.Pipeline():
            return "a pipeline"
        case ast.Term():
            return f"`{value.name}`"


_UNITS = {"": "a plain number", "%": "a percentage", "px": "a length in px"}


def _unit_name(unit: str) -> str:
    return _UNITS.get(unit, f"a number of {unit}")


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _element(type_: ValueType) -> ValueType:
    return dataclasses.replace(type_, form="number")


def _plain(*, whole: bool) -> ValueType:
    from m3i_dsl.vocabulary.values import Quantity

    return ValueType("number", Quantity("", whole=whole))


_PLAIN = _plain(whole=False)
_WHOLE = _plain(whole=True)
