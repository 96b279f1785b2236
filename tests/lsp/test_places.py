"""Positions of the protocol, in each unit that a client may count in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol.types import Position, PositionEncodingKind
from pygls.workspace import PositionCodec

from m3i_dsl.lsp.places import offset, position
from m3i_dsl.source import SourceFile

TEXTS = st.text(st.sampled_from("ab \t\r\n\x0b\x85\u2028\u00e9\U0001f600#"), max_size=40)


@pytest.mark.parametrize("unit", list(PositionEncodingKind))
@given(text=TEXTS)
def test_there_and_back(unit: PositionEncodingKind, text: str) -> None:
    file, codec = SourceFile("r.m3i", text), PositionCodec(unit)
    for place in range(len(text) + 1):
        there = position(file, place, codec)
        back = offset(file, there, codec)
        # a place between a carriage return and its line feed is the end of the line
        assert back == place or (text[back : place + 1].strip("\r\n") == "" and "\r" in text[back : place + 1])


@given(text=TEXTS, line=st.integers(0, 60), character=st.integers(0, 60))
def test_no_position_is_beyond_the_text(text: str, line: int, character: int) -> None:
    file = SourceFile("r.m3i", text)
    assert 0 <= offset(file, Position(line, character), PositionCodec(PositionEncodingKind.Utf16)) <= len(text)


def test_characters_of_two_units() -> None:
    file = SourceFile("r.m3i", "# \U0001f600 x")
    assert position(file, 4, PositionCodec(PositionEncodingKind.Utf16)) == Position(0, 5)
    assert position(file, 4, PositionCodec(PositionEncodingKind.Utf32)) == Position(0, 4)
    assert offset(file, Position(0, 5), PositionCodec(PositionEncodingKind.Utf16)) == 4
