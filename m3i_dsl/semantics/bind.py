"""Binding: from a written value to a word or a typed Python value.

Takes: a value of the syntax tree and the declared type of the place where it stands. Gives: the value, or diagnostics
at the exact span. Guarantees: an unknown argument, a wrong unit or an out-of-range number is never ignored; a name of
a `param` is replaced by its value wherever a value may stand. Sibling: literals.py, numbers and their units.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeGuard, TypeVar, cast

from m3i_dsl.diagnostics import Diagnostic, Diagnostics, Fix, Label, error
from m3i_dsl.semantics import literals
from m3i_dsl.semantics.literals import Fault, describe
from m3i_dsl.semantics.placed import Definition, place_of
from m3i_dsl.semantics.program import Placed
from m3i_dsl.semantics.suggest import fix_for, help_for, kinds_of, nearest
from m3i_dsl.semantics.unread import Unread
from m3i_dsl.semantics.uses import Uses
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast
from m3i_dsl.vocabulary.kinds import Predictor, WordError
from m3i_dsl.vocabulary.predictors.joined import Joined
from m3i_dsl.vocabulary.registry import UnusableWord, misfiled, words
from m3i_dsl.vocabulary.values import Duration, Ramp, Rate, Scalar, string_text
from m3i_dsl.vocabulary.word import Bounds, Kind, Parameter, ValueType, Word

_LITERAL = re.compile(r"[+-]?\d+(\.\d+)?(px|%)?")
"""A number that someone put into quotes."""

W = TypeVar("W", bound=Word)
T = TypeVar("T")


class Unbound(Exception):
    """A value that could not be bound; its diagnostics have been reported."""


@dataclass(slots=True)
class Attempts:
    """Steps that may fail one by one, so that independent faults are all found."""

    failed: bool = False

    def __call__(self, step: Callable[[], T]) -> T:
        """The result of `step`; after a fault, a value that nobody may look at before `finish`, which then raises."""
        try:
            return step()
        except Unbound:
            self.failed = True
            return cast(T, None)

    def finish(self) -> None:
        """Raises Unbound if a step failed."""
        if self.failed:
            raise Unbound


@dataclass(slots=True)
class Binder:
    """Binds values against the `param`s in scope; reports to `diagnostics`.

    `given` are the parameters whose value comes from the command line, `uses` what names and words were found so far.
    Methods raise Unbound after reporting, so that a
    fault poisons only what depends on it.
    """

    parameters: Mapping[str, ast.Value]
    diagnostics: Diagnostics
    used: set[str] = field(default_factory=set)
    given: frozenset[str] = frozenset()
    unread: Unread = field(default_factory=Unread)
    expanding: tuple[str, ...] = ()
    uses: Uses = field(default_factory=Uses)

    @property
    def bound(self) -> list[Placed[Word]]:
        """The words so far."""
        return self.uses.words

    # --- words --------------------------------------------------------------------------------------------------------

    def word(self, value: ast.Value, base: type[W], kind: Kind, **role_defaults: Any) -> Placed[W]:
        """Binds a term to a word of `kind`. `role_defaults` replace the word's own defaults in this position."""
        known = words(kind)
        if isinstance(value, ast.Pipeline) and base is Predictor:
            return self._joined(value)  # type: ignore[return-value]  # `base` is Predictor
        if not isinstance(value, ast.Term):
            self._fail(error("M3I0201", f"expected {_article(kind)}, found {describe(value)}", value.span))
        if value.name not in known:
            inner = self.parameter(value)
            if inner is not None:
                return self._through(value, inner, lambda nested: nested.word(inner, base, kind, **role_defaults))
            self._fail(self._unknown_word(value, kind))
        class_ = self.class_of(value, kind)
        self.no_extras(value, f"`{value.name}`")
        return self.call(class_, value.arguments or (), value.span, value.name_span, **role_defaults)  # type: ignore[return-value]  # the registry is keyed by kind, which is what `base` stands for

    def _joined(self, value: ast.Pipeline) -> Placed[Predictor]:
        """`blocks(...) | mlp(...)`: each maps what the one before it yields."""
        attempts = Attempts()
        parts = [attempts(lambda t=term: self.word(t, Predictor, "predictor")) for term in value.terms]
        attempts.finish()
        for place, part in enumerate(parts):
            name, last = part.word.name, place == len(parts) - 1
            if place and (part.word.queries or part.word.pools):
                how = "asks for positions" if part.word.queries else "pools tokens"
                message = f"`{name}` {how}, and so comes first of predictors that are joined"
                self._fail(error("M3I0206", message, part.span, helps=("write it first, or leave it out",)))
            if not last and part.word.codes() is not None:
                behind = Label(parts[place + 1].span, "comes behind it")
                message = f"`{name}` ends a projector, and here something comes behind it"
                helps = ("leave out what is behind it, or write that as the `predictor` of the target",)
                self._fail(error("M3I0327", message, part.span, secondary=(behind,), helps=helps))
            if not last and part.word.as_wide_as_target():
                message = f"only the last of predictors that are joined takes its width from the target, not `{name}`"
                self._fail(error("M3I0206", message, part.span, helps=(f"write `{name}(width: ...)`",)))
        placed: Placed[Predictor] = Placed(Joined(tuple(part.word for part in parts)), value.span, {})
        self.bound.append(placed)
        return placed

    def class_of(self, value: ast.Term, kind: Kind) -> type[Word]:
        """The word of `kind` that `value` names, of which there is one. Raises Unbound when it cannot be used."""
        try:
            return words(kind)[value.name]
        except UnusableWord as fault:
            self._fail(unusable(fault, value.name_span))

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
        written, excused = self._written(class_, arguments, parameters)
        attempts = Attempts(failed=len(written) < len(arguments))
        values: dict[str, Any] = {}
        for name, parameter in parameters.items():
            if name in written:
                values[name] = attempts(lambda p=parameter: self._argument(class_, p, written[p.name].value))
            elif name in role_defaults:
                values[name] = role_defaults[name]
            elif not parameter.required:
                values[name] = parameter.default
            elif name not in excused:
                attempts(lambda p=parameter: self._fail(_missing_argument(class_, p, name_span)))
        attempts.finish()
        spans = {name: argument.value.span for name, argument in written.items()}
        definitions = {name: found for name, argument in written.items() if (found := self.definition(argument.value))}
        try:
            placed = Placed(class_(**values), span, spans, definitions)
        except WordError as fault:
            at = fault.argument or ""
            primary, secondary = place_of(spans.get(at, span), definitions.get(at))
            helps = (fault.help,) if fault.help else ()
            self._fail(error("M3I0206", fault.message, primary.span, secondary=secondary, helps=helps))
        self.bound.append(placed)
        return placed

    def _written(
        self, class_: type[Word], arguments: tuple[ast.Argument, ...], parameters: Mapping[str, Parameter]
    ) -> tuple[dict[str, ast.Argument], set[str]]:
        """The arguments by parameter, and the parameters that a misspelt name probably stands for."""
        written: dict[str, ast.Argument] = {}
        excused: set[str] = set()
        positional = iter(parameters)
        for argument in arguments:
            if argument.name is None:
                name = self._positional(class_, argument, positional, len(parameters))
            else:
                name = argument.name.text
            if name is None:
                continue
            if name not in parameters:
                assert argument.name is not None
                near = nearest(name, parameters)
                excused |= {near} if near is not None else set()
                helps = help_for(name, parameters, otherwise=f"run `m3ic vocab {class_.kind}` for its arguments")
                helps = helps if parameters else (f"`{class_.name}` takes no arguments",)
                fix = fix_for(name, argument.name.span, parameters) if near not in written else None
                message = f"`{class_.name}` has no argument `{name}`"
                self.report(error("M3I0124", message, argument.name.span, helps=helps, fix=fix))
            elif name in written:
                first = written[name]
                how = "first given here" if first.name is not None else f"without a name, this is `{name}`"
                where = argument.name.span if argument.name is not None else argument.span
                secondary = (Label(first.span, how),)
                label = "" if argument.name is not None else f"without a name, this is `{name}`"
                message = f"argument `{name}` of `{class_.name}` is given twice"
                self.report(error("M3I0125", message, where, label, secondary=secondary))
            else:
                written[name] = argument
        return written, excused

    def _positional(
        self, class_: type[Word], argument: ast.Argument, positional: Iterator[str], count: int
    ) -> str | None:
        name = next(positional, None)
        if name is None:
            takes = f"takes {count} argument{'' if count == 1 else 's'}" if count else "takes no arguments"
            self.report(error("M3I0205", f"`{class_.name}` {takes}", argument.span, "one too many"))
        return name

    def _argument(self, class_: type[Word], parameter: Parameter, value: ast.Value) -> Any:
        return self.value(value, parameter.type, f"`{parameter.name}` of `{class_.name}`", parameter.bounds)

    def _unknown_word(self, value: ast.Term, kind: Kind) -> Diagnostic:
        known = words(kind)
        entered = misfiled(value.name)
        if entered is not None:
            return unusable(entered, value.name_span)
        others = [other for other in kinds_of(value.name) if other != kind]
        label = f"this is {_article(others[0])}" if others else ""
        near = nearest(value.name, known)
        legal = (*known, *self.parameters) if near is None else known
        helps = help_for(value.name, legal, otherwise=f"run `m3ic vocab {kind}` for the list")
        if others and near is None:
            helps = help_for("", known, otherwise=f"run `m3ic vocab {kind}` for the list")
        fix = fix_for(value.name, value.name_span, legal)
        return error("M3I0122", f"unknown {kind} `{value.name}`", value.name_span, label, helps=helps, fix=fix)

    # --- values -------------------------------------------------------------------------------------------------------

    def value(self, node: ast.Value, type_: ValueType, what: str, bounds: Bounds | None = None) -> Any:
        """Binds `node` to a value of `type_`; `what` names the place in messages."""
        limits = bounds or Bounds()
        named = node.name if isinstance(node, ast.Term) else None
        if named is not None and not _is_own_name(named, type_):
            inner = self.parameter(node)
            if inner is not None:
                return self._through(node, inner, lambda nested: nested.value(inner, type_, what, limits))
        try:
            return self._plain_value(node, type_, what, limits)
        except Fault as fault:
            self._fail(fault.diagnostic)

    def _plain_value(self, node: ast.Value, type_: ValueType, what: str, bounds: Bounds) -> Any:
        """Binds a value that is no name of a `param`. Raises Fault or Unbound."""
        named = node.name if isinstance(node, ast.Term) else None
        match type_.form, node:
            case "number", ast.Number():
                return literals.number(node, type_, what, bounds)
            case (("range" | "number"), ast.Range()) if type_.form == "range" or type_.ranged:
                return literals.range_(node, type_, what, bounds)
            case "list", ast.List():
                attempts = Attempts()
                element = dataclasses.replace(type_, form="number")
                items = [attempts(lambda i=item: self.value(i, element, what, bounds)) for item in node.items]
                attempts.finish()
                return tuple(items)
            case "boolean", ast.Term() if named in ("true", "false"):
                self.no_extras(node, f"`{named}`", arguments=True)
                return named == "true"
            case "string", ast.String():
                return node.value
            case "choice", ast.Term() if named in type_.choices:
                self.no_extras(node, f"`{named}`", arguments=True)
                return named
            case "ramp", ast.Ramp():
                return literals.ramp(node, what, bounds)
            case "ramp", ast.Number():
                return Ramp.constant(literals.number(node, literals.PLAIN, what, bounds))
            case "rate", ast.Rate():
                return literals.rate(node, what, bounds)
            case "rate", ast.Number():
                return Rate(literals.number(node, literals.PLAIN, what, bounds), None)
            case "scalar", ast.Number():
                return Scalar(literals.number(node, literals.PLAIN, what, bounds), learned=False)
            case "scalar", ast.Term() if node.words[0].text == "learned" and _has_operand(node):
                self.no_extras(node, "`learned`", arguments=True, operand=False)
                return Scalar(self.value(operand_of(node), literals.PLAIN, what, bounds), learned=True)
            case "duration", ast.Number():
                return literals.duration(node, what)
            case "word", ast.Term() | ast.Pipeline():
                assert type_.word is not None
                return self.word(node, type_.word, type_.word.kind).word
            case _:
                self._mismatch(node, type_, what)

    def duration(self, node: ast.Value, what: str) -> Duration:
        """A length of training with its unit."""
        return self.value(node, ValueType("duration"), what)

    # --- parameters ---------------------------------------------------------------------------------------------------

    def parameter(self, node: ast.Value) -> ast.Value | None:
        """The value of the `param` that `node` names, or None."""
        if not _is_bare(node):
            return None
        if node.name not in self.parameters:
            if self.unread.may_define("param", node.name):
                raise Unbound
            return None
        if node.name in self.expanding:
            message = f"`param {node.name}` is defined by itself"
            self._fail(error("M3I0130", message, node.span, helps=("give it a value",)))
        self.used.add(node.name)
        self.uses.use("param", node.span)
        return self.parameters[node.name]

    def definition(self, node: ast.Value) -> Definition | None:
        """Where the value of `node` is written, when it names a `param`."""
        if not _is_bare(node) or node.name not in self.parameters:
            return None
        inner, seen = self.parameters[node.name], {node.name}
        while _is_bare(inner) and inner.name in self.parameters and inner.name not in seen:
            seen.add(inner.name)
            inner = self.parameters[inner.name]
        return Definition(node.name, inner.span, bool(seen & self.given))

    def _through(self, node: ast.Value, inner: ast.Value, bind: Callable[[Binder], T]) -> T:
        """Binds `inner`, the value of the `param` that `node` names.

        A value that does not fit here is shown where it is used, or on the command line if it was given there; a fault
        inside the value is shown where it was written. The other place is always shown too.
        """
        assert isinstance(node, ast.Term)
        name = node.name
        expanding = (*self.expanding, name)
        nested = Binder(self.parameters, Diagnostics(), self.used, self.given, self.unread, expanding, self.uses)
        try:
            return bind(nested)
        except Unbound:
            for found in nested.diagnostics:
                self.report(self._seen_from(node, inner, found))
            raise

    def _seen_from(self, node: ast.Term, inner: ast.Value, found: Diagnostic) -> Diagnostic:
        used = Label(node.span, f"`{node.name}` is used here")
        if found.code == "M3I0130":
            return found
        if found.span != inner.span or node.name in self.given:
            fix = found.fix if node.name not in self.given else None
            return dataclasses.replace(found, secondary=(*found.secondary, used), fix=fix)
        defined = Label(inner.span, f"`{node.name}` is defined here")
        label = "" if found.span == inner.span and not found.primary.text else found.primary.text
        fix = None if found.fix is None else Fix(found.fix.span, found.fix.text, safe=False)
        primary = Label(node.span, label)
        return dataclasses.replace(found, primary=primary, secondary=(defined, *found.secondary), fix=fix)

    # --- faults -------------------------------------------------------------------------------------------------------

    def no_extras(
        self,
        term: ast.Term,
        after: str,
        *,
        arguments: bool = False,
        operand: bool = True,
        of: bool = True,
        by: bool = True,
        index: bool = True,
    ) -> None:
        """Reports parts of a term that mean nothing in this position; `arguments` asks for those in parentheses too."""
        extras: list[Span] = []
        if index and term.index is not None:
            extras.append(index_span(term))
        if arguments and term.arguments is not None:
            start = term.name_span.end if term.index is None else index_span(term).end
            extras.append(Span(term.span.file, start, _end_of_arguments(term)))
        extras += [
            part.span for part, wanted in ((term.operand, operand), (term.of, of)) if wanted and part is not None
        ]
        if by and term.by is not None:
            start = term.span.file.text.rindex("by", 0, term.by.span.start)
            extras.append(Span(term.span.file, start, term.by.span.end))
        if extras:
            message = f"`{extras[0].text.strip()}` means nothing after {after}"
            self._fail(error("M3I0201", message, extras[0], helps=("leave it out",)))

    def _mismatch(self, node: ast.Value, type_: ValueType, what: str) -> NoReturn:
        found = describe(node)
        helps: tuple[str, ...] = ()
        fix: Fix | None = None
        wanted = type_.describe()
        if _is_bare(node):
            legal = (
                *type_.choices,
                *(name for name in self.parameters if type_.form != "choice" or self._chooses(name)),
            )
            near = nearest(node.name, (*legal, "true", "false") if type_.form == "boolean" else legal)
            if near is not None:
                helps, fix = (f"did you mean `{near}`?",), Fix(node.span, near)
            elif type_.form == "string":
                helps, fix = (f"write `{string_text(node.name)}`",), Fix(node.span, string_text(node.name))
            elif type_.form not in ("choice", "boolean", "word"):
                helps = (f"there is no `param {node.name}`",)
        elif isinstance(node, ast.String) and node.value in (*type_.choices, "true", "false"):
            helps, fix = (f"write `{node.value}` without quotes",), Fix(node.span, node.value)
        elif isinstance(node, ast.String) and _LITERAL.fullmatch(node.value) and type_.quantity is not None:
            helps, fix = (f"write `{node.value}` without quotes",), Fix(node.span, node.value, safe=False)
        elif type_.form == "list" and isinstance(node, ast.Number):
            helps, fix = (f"write `({node.span.text},)`",), Fix(node.span, f"({node.span.text},)")
        elif type_.form == "range" and isinstance(node, ast.Number):
            helps = (f"write two numbers, `{node.span.text}..{node.span.text}` for just one",)
        elif type_.form == "choice" and len(type_.choices) > literals.FEW_CHOICES:
            helps = (f"one of {wanted}",)
        self._fail(error("M3I0201", f"{what} is {wanted}, found {found}", node.span, helps=helps, fix=fix))

    def _chooses(self, name: str) -> bool:
        """Whether a `param` may hold a choice, which is written as a bare name."""
        return _is_bare(self.parameters[name])

    def report(self, diagnostic: Diagnostic) -> None:
        """Adds a diagnostic, once."""
        self.diagnostics.add(diagnostic)

    def _fail(self, diagnostic: Diagnostic) -> NoReturn:
        self.report(diagnostic)
        raise Unbound


def unusable(fault: UnusableWord, span: Span) -> Diagnostic:
    """What is wrong with an installed word, where a recipe names it."""
    return error(fault.code, fault.message, span, notes=fault.notes, helps=(fault.help,))


def operand_of(term: ast.Term) -> ast.Value:
    """What follows the first word of a term: the number of `warmup 10%`, or the name of a `param` in `warmup share`."""
    if term.operand is not None:
        return term.operand
    rest = term.words[1:]
    return ast.Term(rest, None, None, None, None, rest[0].span.to(rest[-1].span))


def _has_operand(term: ast.Term) -> bool:
    return (term.operand is not None and len(term.words) == 1) or (term.operand is None and len(term.words) == 2)


def _is_bare(node: ast.Value) -> TypeGuard[ast.Term]:
    """Whether a value is one name and nothing else, so that it may be that of a `param`."""
    return (
        isinstance(node, ast.Term)
        and len(node.words) == 1
        and (node.index, node.arguments, node.operand, node.of, node.by) == (None, None, None, None, None)
    )


def index_span(term: ast.Term) -> Span:
    """`[0]` behind the words of a term, with its brackets."""
    assert term.index is not None
    text = term.span.file.text
    return Span(term.span.file, text.index("[", term.name_span.end), text.index("]", term.index.span.end) + 1)


def _is_own_name(name: str, type_: ValueType) -> bool:
    """Whether `name` already means something for this type, so that it is not looked up as a `param`."""
    if type_.form == "word":
        assert type_.word is not None
        return name in words(type_.word.kind)
    return name in type_.choices or (type_.form == "boolean" and name in ("true", "false"))


def _end_of_arguments(term: ast.Term) -> int:
    following = [part.span.start for part in (term.operand, term.of) if part is not None]
    text = term.span.file.text
    end = min(following, default=term.span.end)
    return max((i + 1 for i in range(term.name_span.end, end) if text[i] == ")"), default=end)


def _missing_argument(class_: type[Word], parameter: Parameter, name_span: Span) -> Diagnostic:
    return error(
        "M3I0127",
        f"`{class_.name}` needs the argument `{parameter.name}`",
        name_span,
        notes=(f"`{parameter.name}`: {parameter.doc}",),
        helps=(f"write `{class_.name}({parameter.name}: ...)` with {parameter.type.describe()}",),
    )


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
