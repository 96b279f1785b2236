"""Diagnostics as GitHub Actions shows them beside a change.

Takes: diagnostics. Gives: one workflow command a line, `::error file=...,line=...::message`. Guarantees: no text of a
recipe or a file name ends a command or starts another.

Source: docs.github.com, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

from collections.abc import Iterable

from m3i_dsl.diagnostics.model import Diagnostic, Severity

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """One line for each diagnostic, with its notes and helps."""
    return "".join(f"{_command(diagnostic)}\n" for diagnostic in diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    line, column = span.file.line_and_column(span.start)
    end_line, end_column = span.file.line_and_column(span.end)
    place: dict[str, str | int] = {}
    if not span.file.name.startswith("<"):  # the command line and standard input have no line in the repository
        place = {"file": span.file.name, "line": line, "endLine": end_line}
        if line == end_line:  # columns of several lines are refused
            place |= {"col": column, "endColumn": end_column}
    place["title"] = diagnostic.code
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in place.items())
    text = "\n".join((diagnostic.message, *diagnostic.remarks))
    return f"::{_COMMANDS[diagnostic.severity]} {properties}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
