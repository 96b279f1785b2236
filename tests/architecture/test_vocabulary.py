"""Every word of the language documents itself, and its defaults are values that a recipe may write."""

from __future__ import annotations

import dataclasses
import importlib

import pytest

from m3i_dsl.vocabulary.registry import KINDS, folder_of, words
from m3i_dsl.vocabulary.values import Duration, Ramp, Rate, Scalar
from m3i_dsl.vocabulary.word import Parameter, Word

WORDS = [(kind, name, word) for kind in KINDS for name, word in words(kind).items()]
ARGUMENTS = [
    pytest.param(word, parameter, id=f"{kind}-{name}-{parameter.name}")
    for kind, name, word in WORDS
    for parameter in word.parameters()
]

ORIGINS_ARE_SHORT = 60


def _numbers(value: object) -> list[float]:
    match value:
        case bool() | str() | None | Word():
            return []
        case int() | float():
            return [float(value)]
        case tuple():
            return [number for item in value for number in _numbers(item)]
        case Ramp(start, stop, _):
            return [start, stop]
        case Rate() | Scalar() | Duration():
            return [value.value]
        case _:
            raise TypeError(f"no default is a {type(value).__name__}")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words(kind: str) -> None:
    assert any(found == kind for found, _, _ in WORDS)


@pytest.mark.parametrize(("kind", "name", "word"), [pytest.param(*item, id=f"{item[0]}-{item[1]}") for item in WORDS])
def test_a_word_is_data_with_a_summary(kind: str, name: str, word: type[Word]) -> None:
    assert word.kind == kind
    assert word.name == name
    assert dataclasses.is_dataclass(word)
    assert "__slots__" in vars(word), "use slots=True"
    assert word.__dict__["__dataclass_params__"].frozen
    summary = word.summary()
    assert 10 <= len(summary) <= 160, summary
    missing = [member for member in dir(word) if getattr(getattr(word, member), "__isabstractmethod__", False)]
    assert missing == []


def test_a_name_is_listed_once_in_a_kind() -> None:
    for kind in KINDS:
        package = importlib.import_module(f"m3i_dsl.vocabulary.{folder_of(kind)}")
        names = [word.name for word in package.WORDS]
        assert sorted(names) == sorted(set(names)), kind


@pytest.mark.parametrize(("word", "parameter"), ARGUMENTS)
def test_an_argument_says_what_it_is_and_where_its_default_comes_from(word: type[Word], parameter: Parameter) -> None:
    assert len(parameter.doc) >= 5
    assert not parameter.doc.endswith(".")
    assert 0 < len(parameter.origin) <= ORIGINS_ARE_SHORT


@pytest.mark.parametrize(("word", "parameter"), ARGUMENTS)
def test_a_default_lies_within_its_own_bounds(word: type[Word], parameter: Parameter) -> None:
    if parameter.required or parameter.default is None:
        return
    for number in _numbers(parameter.default):
        assert parameter.bounds.allows(number), parameter.bounds.text("")
    if parameter.type.choices:
        assert parameter.default in parameter.type.choices
