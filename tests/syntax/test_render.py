"""How diagnostics look: gutter, marks, labels, notes, other files, colour, lines, JSON."""

from __future__ import annotations

import json

import pytest

from m3i_dsl.diagnostics import Diagnostic, Diagnostics, Fix, Label, Severity, error, render
from m3i_dsl.source import SourceFile, Span

TEXT = """\
m3i 1
recipe siamese

objective o {
  target inter {
    data           view2
    representation global feature of image
    regularization none
    distribution   boltzmann(temperature: 0.1)
  }
}
"""
FILE = SourceFile("recipes/siamese.m3i", TEXT)


def _at(text: str, file: SourceFile = FILE) -> Span:
    start = file.text.index(text)
    return Span(file, start, start + len(text))


def _full(diagnostic: Diagnostic) -> str:
    return render([diagnostic], "full")


def test_the_whole_form() -> None:
    diagnostic = error(
        "M3I9304",
        "distribution `boltzmann` needs contrast, but regularization is `none`",
        _at("boltzmann"),
        "nothing to normalise over",
        secondary=[Label(_at("global feature"), "learned target representation")],
        notes=["a learned target with no regularization has a constant optimum"],
        helps=["add `regularization negatives` or `regularization stop gradient`"],
    )
    assert _full(diagnostic) == (
        "error[M3I9304]: distribution `boltzmann` needs contrast, but regularization is `none`\n"
        "  --> recipes/siamese.m3i:9:20\n"
        "   |\n"
        " 7 |     representation global feature of image\n"
        "   |                    -------------- learned target representation\n"
        " 9 |     distribution   boltzmann(temperature: 0.1)\n"
        "   |                    ^^^^^^^^^ nothing to normalise over\n"
        "   |\n"
        "   = note: a learned target with no regularization has a constant optimum\n"
        "   = help: add `regularization negatives` or `regularization stop gradient`\n"
    )


def test_explain_is_mentioned_once_for_a_code_that_has_a_page() -> None:
    faults = [error("M3I0011", f"fault {number}", _at("none")) for number in range(2)]
    text = render([*faults, error("M3I0026", "other", _at("none")), error("M3I9999", "no page", _at("none"))])
    assert text.count("run `m3ic explain M3I0011`") == 1
    assert text.count("run `m3ic explain M3I0026`") == 1
    assert "explain M3I9999" not in text
    assert text.count("\n\n") == 3, "one empty line between diagnostics"


def test_labels_on_one_line() -> None:
    file = SourceFile("a", "input mix(view1, view2)\n")
    fault = error("M3I9999", "m", _at("view2", file), "second", secondary=[Label(_at("view1", file), "first")])
    assert _full(fault) == (
        "error[M3I9999]: m\n"
        "  --> a:1:18\n"
        "   |\n"
        " 1 | input mix(view1, view2)\n"
        "   |           -----  ^^^^^ second\n"
        "   |           |\n"
        "   |           first\n"
        "   |\n"
    )


def test_marks_that_overlap_have_rows_of_their_own() -> None:
    file = SourceFile("a", "data text of first\n")
    fault = error("M3I9999", "m", _at("first", file), "this", secondary=[Label(_at("text of first", file), "all")])
    lines = _full(fault).splitlines()
    assert lines[4:6] == ["   |              ^^^^^ this", "   |      ------------- all"]


def test_a_span_over_several_lines_is_marked_at_its_ends() -> None:
    assert _full(error("M3I9999", "m", Span(FILE, TEXT.index("target"), len(TEXT) - 3), "all of it")) == (
        "error[M3I9999]: m\n"
        "   --> recipes/siamese.m3i:5:3\n"
        "    |\n"
        "  5 |   target inter {\n"
        "    |   ^^^^^^^^^^^^^^\n"
        "...\n"
        " 10 |   }\n"
        "    |   ^ all of it\n"
        "    |\n"
    )


@pytest.mark.parametrize(
    ("text", "start", "place"),
    [("abc", 3, "1:4"), ("abc\n", 4, "2:1"), ("abc\n", 99, "2:1")],
)
def test_the_end_of_the_text(text: str, start: int, place: str) -> None:
    lines = _full(error("M3I9999", "m", Span(SourceFile("a", text), start, start))).splitlines()
    assert lines[1] == f"  --> a:{place}"
    assert lines[4].endswith("^")


def test_of_an_empty_file_no_line_is_shown() -> None:
    fault = error("M3I9999", "it is not there", Span(SourceFile("a", ""), 0, 0), helps=("make it",))
    assert _full(fault) == "error[M3I9999]: it is not there\n  --> a:1:1\n   = help: make it\n"


@pytest.mark.parametrize(
    ("line", "word", "shown", "cell"),
    [
        ("\tbatch 3", "batch", "    batch 3", 4),
        ("a\tbatch 3", "batch", "a   batch 3", 4),
        ("\u65e5\u672c x", "x", "\u65e5\u672c x", 5),
        ("e\u0301 x", "x", "e\u0301 x", 2),
        ("\x1b[31m x", "x", "\ufffd[31m x", 6),
        ("\u202eab x", "x", "\ufffdab x", 4),
    ],
)
def test_marks_stand_under_what_they_are_about(line: str, word: str, shown: str, cell: int) -> None:
    """Tabs, wide and combining characters, and control characters that would disturb a terminal."""
    file = SourceFile("a", line + "\n")
    lines = _full(error("M3I9999", "m", _at(word, file))).splitlines()
    assert lines[3] == f" 1 | {shown}"
    assert lines[4] == "   | " + " " * cell + "^" * len(word)


def test_a_long_line_is_cut_around_its_mark() -> None:
    file = SourceFile("a", "x" * 300 + " wrong " + "y" * 300 + "\n")
    lines = _full(error("M3I9999", "m", _at("wrong", file), "here")).splitlines()
    code, marks = lines[3][5:], lines[4][5:]
    assert len(code) == 120
    assert code.startswith("...x") and code.endswith("y...")
    start = marks.index("^")
    assert code[start : start + 5] == "wrong"
    assert marks[start:] == "^^^^^ here"


def test_a_mark_at_the_start_of_a_long_line_needs_no_cut_there() -> None:
    file = SourceFile("a", "wrong " + "y" * 300 + "\n")
    lines = _full(error("M3I9999", "m", _at("wrong", file))).splitlines()
    assert lines[3].startswith(" 1 | wrong y")
    assert lines[3].endswith("...")


def test_other_files_and_how_they_were_used() -> None:
    main = SourceFile("main.m3i", 'use "views.m3i"\nparam a = 1\n')
    views = SourceFile("views.m3i", "param a = 2\n", Span(main, 0, 15))
    label = Label(_at("a", SourceFile("x", "a")), "")
    assert label.span.line == 1
    secondary = [Label(Span(main, 22, 23), "first declared here")]
    assert _full(error("M3I9999", "`a` is declared twice", Span(views, 6, 7), secondary=secondary)) == (
        "error[M3I9999]: `a` is declared twice\n"
        "  --> views.m3i:1:7\n"
        "   |\n"
        " 1 | param a = 2\n"
        "   |       ^\n"
        "   |\n"
        "  ::: main.m3i:2:7\n"
        "   |\n"
        " 2 | param a = 1\n"
        "   |       - first declared here\n"
        "   |\n"
        "   = note: `views.m3i` is used at main.m3i:1:1\n"
    )


def test_severities_and_lines_of_a_note() -> None:
    warning = error("M3I9999", "m", _at("none"), severity=Severity.WARNING, notes=["one\ntwo"])
    text = _full(warning)
    assert text.startswith("warning[M3I9999]: m\n")
    assert "   = note: one\n           two\n" in text


def test_concise() -> None:
    info = error("M3I9998", "remark", _at("none"), severity=Severity.INFO)
    assert render([error("M3I9999", "m", _at("boltzmann")), info], "concise") == (
        "recipes/siamese.m3i:9:20: error[M3I9999] m\nrecipes/siamese.m3i:8:20: info[M3I9998] remark\n"
    )


def test_colour_changes_nothing_but_colour() -> None:
    import re

    fault = error("M3I9999", "m", _at("none"), "label", secondary=[Label(_at("view2"), "other")], helps=["h"])
    for form in ("full", "concise"):
        colored = render([fault], form, color=True)
        assert "\x1b[" in colored
        assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == render([fault], form)


def test_json() -> None:
    fault = error(
        "M3I0011",
        "a `,` is missing",
        _at("boltzmann"),
        "here",
        secondary=[Label(_at("view2"), "other")],
        notes=["n"],
        helps=["h"],
        fix=Fix(_at("none"), "stop gradient", safe=False),
    )
    document = json.loads(render([fault], "json", color=True))
    assert document["schema_version"] == 1
    (found,) = document["diagnostics"]
    start = TEXT.index("boltzmann")
    assert found["range"] == {
        "start": {"line": 9, "column": 20, "offset": start},
        "end": {"line": 9, "column": 29, "offset": start + 9},
    }
    assert (found["code"], found["name"], found["severity"]) == ("M3I0011", "missing-comma", "error")
    assert (found["message"], found["label"], found["file"]) == ("a `,` is missing", "here", "recipes/siamese.m3i")
    assert (found["notes"], found["helps"], found["used_from"], found["url"]) == (["n"], ["h"], [], None)
    assert found["labels"][0]["message"] == "other"
    assert found["fix"]["text"] == "stop gradient" and found["fix"]["safe"] is False


def test_nothing_to_say() -> None:
    assert render([], "full") == ""
    assert render([], "concise") == ""
    assert json.loads(render([], "json"))["diagnostics"] == []


def test_diagnostics_come_in_the_order_of_their_places() -> None:
    collected = Diagnostics()
    collected.add(error("M3I9999", "late", _at("boltzmann")))
    collected.add(error("M3I9999", "early", _at("recipe")))
    collected.add(error("M3I9999", "early", _at("recipe")))
    assert [d.message for d in collected] == ["early", "late"]
