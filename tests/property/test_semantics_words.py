"""What holds for any word: the text that it writes of itself binds back to an equal word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m3i_dsl.diagnostics import Diagnostics
from m3i_dsl.semantics.bind import Binder
from m3i_dsl.syntax import parse_value
from m3i_dsl.vocabulary.encoders.ema import Ema
from m3i_dsl.vocabulary.encoders.frozen import Frozen
from m3i_dsl.vocabulary.registry import KINDS, words
from m3i_dsl.vocabulary.values import number_text
from m3i_dsl.vocabulary.word import Kind, Word
from tests.property.words import instances

WORDS = [
    pytest.param(kind, class_, id=f"{kind}-{name}".replace(" ", "_"))
    for kind in KINDS
    for name, class_ in words(kind).items()
]


@pytest.mark.parametrize(("kind", "class_"), WORDS)
@settings(max_examples=settings.default.max_examples // 3)  # for each of some sixty words
@given(data=st.data())
def test_the_text_of_a_word_binds_back_to_it(kind: Kind, class_: type[Word], data: st.DataObject) -> None:
    word = data.draw(instances(class_))
    diagnostics = Diagnostics()
    bound = Binder({}, diagnostics).word(parse_value(word.text()), class_, kind).word
    assert list(diagnostics) == []
    assert bound == word


@given(st.one_of(instances(Ema), instances(Frozen)))
def test_a_word_that_is_said_of_an_encoder_has_all_its_arguments_in_its_text(word: Word) -> None:
    text = word.text()
    for parameter in word.parameters():
        assert (f"{parameter.name}:" in text) == (getattr(word, parameter.name) is not None)


@given(st.decimals(0, 100, places=12).map(float))
def test_a_percentage_is_written_as_what_it_was_read_from(percent: float) -> None:
    """The shortest text that means the same fraction, for every percentage that a recipe may have."""
    text = number_text(percent / 100, "%")
    assert text.endswith("%")
    assert float(text.removesuffix("%")) / 100 == percent / 100
    assert len(text) <= len(repr(percent)) + 1
