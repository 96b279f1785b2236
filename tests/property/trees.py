"""Random syntax trees, such as the parser could have built."""

from __future__ import annotations

from hypothesis import strategies as st

from m3i_dsl.source import SourceFile, Span
from m3i_dsl.syntax import ast

NOWHERE = Span(SourceFile("<generated>", ""), 0, 0)

CLAUSES = frozenset({"of", "by", "every", "at"})
"""Words that end the words of a term."""

DURATIONS = frozenset({"epochs", "epoch", "steps", "step", "samples", "sample"})

_identifiers = st.one_of(
    st.sampled_from(["image", "view1", "data", "train", "end", "m3i", "epochs", "px", "k", "true", "input", "use"]),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True),
)


def names(without: frozenset[str] = frozenset()) -> st.SearchStrategy[ast.Name]:
    return _identifiers.filter(lambda text: text not in without).map(lambda text: ast.Name(text, NOWHERE))


_values_of_numbers = st.one_of(
    st.integers(-(10**6), 10**6).map(float),
    st.floats(allow_nan=False, allow_infinity=False),
)


def numbers(units: tuple[str, ...] = ("", "%", "px", "epochs", "steps", "samples")) -> st.SearchStrategy[ast.Number]:
    return st.builds(lambda value, unit: ast.Number(value, unit, NOWHERE), _values_of_numbers, st.sampled_from(units))


_characters = st.characters(codec="utf-8", exclude_characters="\r")
strings = st.text(_characters, max_size=8).map(lambda text: ast.String(text, NOWHERE))

ranges = st.builds(lambda low, high: ast.Range(low, high, NOWHERE), numbers(), numbers())
ramps = st.builds(
    lambda start, stop, shape: ast.Ramp(start, stop, shape, NOWHERE), numbers(), numbers(), names(without=DURATIONS)
)
rates = st.builds(lambda value, per: ast.Rate(value, per, NOWHERE), numbers(), numbers())


def terms(values: st.SearchStrategy[ast.Value]) -> st.SearchStrategy[ast.Term]:
    arguments = st.lists(
        st.builds(lambda name, value: ast.Argument(name, value, NOWHERE), st.none() | names(), values), max_size=3
    ).map(tuple)
    references = st.builds(
        lambda name, field, arguments: ast.Reference(name, field, arguments, NOWHERE),
        names(),
        st.none() | names(),
        st.none() | arguments,
    )
    words = st.builds(lambda first, rest: (first, *rest), names(), st.lists(names(without=CLAUSES), max_size=2))

    def term(by: st.SearchStrategy[ast.Term | None]) -> st.SearchStrategy[ast.Term]:
        return st.builds(
            lambda words, index, arguments, operand, of, by: ast.Term(
                words, arguments, operand, of, by, NOWHERE, index
            ),
            words,
            st.none() | numbers(),
            st.none() | arguments,
            st.none() | numbers(),
            st.none() | references,
            by,
        )

    return term(st.none() | term(st.none()))


def _compound(values: st.SearchStrategy[ast.Value]) -> st.SearchStrategy[ast.Value]:
    several = st.lists(terms(values), min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.lists(values, min_size=1, max_size=3).map(lambda items: ast.List(tuple(items), NOWHERE)),
        terms(values),
        several.map(lambda terms: ast.Sum(terms, NOWHERE)),
        several.map(lambda terms: ast.Pipeline(terms, NOWHERE)),
    )


_leaves: st.SearchStrategy[ast.Value] = st.one_of(numbers(), strings, ranges, ramps, rates)
values: st.SearchStrategy[ast.Value] = st.recursive(_leaves | terms(_leaves), _compound, max_leaves=3)

settings = st.builds(
    lambda keyword, values: ast.Setting(keyword, values, NOWHERE),
    names(without=frozenset({"target"})),
    st.lists(values, min_size=1, max_size=2).map(tuple),
)
_settings = st.lists(settings, max_size=3).map(tuple)
targets = st.builds(lambda name, settings: ast.Target(name, settings, NOWHERE), names(), _settings)

_objectives = st.builds(
    lambda name, items: ast.Objective(name, items, NOWHERE),
    names(),
    st.lists(settings | targets, max_size=3).map(tuple),
)
_trains = st.builds(lambda settings: ast.Train(settings, NOWHERE), _settings)
_evaluates = st.builds(
    lambda evaluations: ast.Evaluate(evaluations, NOWHERE),
    st.lists(
        st.builds(lambda value, every: ast.Evaluation(value, every, NOWHERE), terms(values), st.none() | numbers()),
        max_size=3,
    ).map(tuple),
)

declarations: st.SearchStrategy[ast.Declaration] = st.one_of(
    st.builds(lambda number: ast.Version(number, NOWHERE), numbers()),
    st.builds(lambda name: ast.RecipeName(name, NOWHERE), names()),
    st.builds(lambda path: ast.Use(path, NOWHERE), strings),
    st.builds(lambda name, value: ast.Param(name, value, NOWHERE), names(), values),
    st.builds(lambda name, value: ast.Data(name, value, NOWHERE), names(), terms(values)),
    st.builds(
        lambda name, data, field, value, count: ast.View(name, data, field, value, NOWHERE, count),
        names(),
        names(),
        names(),
        terms(values)
        | st.lists(terms(values), min_size=2, max_size=3).map(lambda steps: ast.Pipeline(tuple(steps), NOWHERE)),
        st.none() | numbers() | names().map(lambda name: ast.Term((name,), None, None, None, None, NOWHERE)),
    ),
    st.builds(lambda name, value: ast.Encoder(name, value, NOWHERE), names(), terms(values)),
    _objectives,
    _trains,
    _evaluates,
    st.builds(
        lambda name, items: ast.Stage(name, items, NOWHERE),
        names(),
        st.lists(_objectives | _trains | _evaluates, max_size=3).map(tuple),
    ),
)

recipes = st.lists(declarations, max_size=3).map(lambda items: ast.Recipe(tuple(items), NOWHERE))
