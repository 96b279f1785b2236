"""Runs as tables for a terminal or a pipe.

Takes: run records. Gives: text on standard output. Guarantees: what is not known is left out; in a pipe no cell is
wrapped and no line ends in blanks; curves are left out where the stream cannot write their characters.
"""

from __future__ import annotations

import difflib
import re
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from m3i_dsl.source.printable import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from m3i_dsl.artifact.difference import ChangedLine
    from m3i_dsl.runtime.reporting.record import RunRecord, Series

_STYLES = {"running": "green", "finished": "", "stopped": "yellow", "failed": "red"}


def print_list(records: Sequence[RunRecord], now: float, *, color: bool) -> None:
    """One row a run, as they are given."""
    from m3i_dsl.runtime.reporting.text import duration

    restarted = any(record.restarts for record in records)
    table = _table("run", "recipe", "state", ">step", ">loss", "best evaluation", *([">restarts"] * restarted), ">age")
    for record in records:
        total = record.losses.get("total")
        table.add_row(
            _escaped(record.name),
            _escaped(record.identity.recipe),
            _styled(record.state, record.state),
            f"{record.step}/{record.total}" if record.total else "",
            f"{total.values[-1]:.4g}" if total else "",
            ", ".join(f"{name} {series.measure.text(series.best[1])}" for name, series in record.evaluations.items()),
            *([str(record.restarts or "")] * restarted),
            duration(max(0.0, now - record.started)),
        )
    print_parts([table], color=color)


def print_run(record: RunRecord, now: float, *, color: bool) -> None:
    """How a run stands, its curves and its measurements."""
    from m3i_dsl.runtime.reporting.text import duration

    parts: list[Table | str] = [f"[bold]{_escaped(record.name)}[/bold]   {_state(record)}", _facts(record)]
    if record.state == "running":
        parts[1:1] = [f"[dim]last heard of {duration(max(0.0, now - record.updated))} ago[/dim]"]
    if record.losses:
        table = _table("loss", ">first", ">last", *_course())
        for name, series in record.losses.items():
            table.add_row(name, f"{series.values[0]:.4f}", f"{series.values[-1]:.4f}", *_course(series))
        parts += ["", table]
    if record.evaluations:
        table = _table("evaluation", ">last", ">best", ">at step", *_course())
        for name, series in record.evaluations.items():
            step, best = series.best
            last = series.measure.text(series.values[-1])
            table.add_row(name, last, series.measure.text(best), str(step), *_course(series))
        parts += ["", table]
    if record.warnings:
        parts += ["", *(f"step {step}  warning\\[{code}]: {_escaped(text)}" for step, code, text in record.warnings)]
    print_parts(parts, color=color)


def print_comparison(
    first: RunRecord, second: RunRecord, changes: Sequence[ChangedLine] | None, *, color: bool
) -> None:
    """Two runs in two columns, and how their recipes differ."""
    table = _table("", _escaped(first.name), _escaped(second.name), "")
    for name, one, other, ratio in _beside(first, second):
        table.add_row(name, one, other, ratio)
    parts: list[Table | str] = [table, ""]
    if first.identity.fingerprint == second.identity.fingerprint:
        parts.append("both train the same program")
    elif changes is None:
        parts.append("the recipe of one of them is gone, so recipes cannot be compared")
    elif not changes:
        parts.append("the recipes are the same; data, files or versions differ")
    else:
        parts.append(f"[bold]what differs in the recipe[/bold]  -{_escaped(first.name)} +{_escaped(second.name)}")
        parts += _changes(changes)
    print_parts(parts, color=color)


def _changes(changes: Sequence[ChangedLine]) -> Iterable[str]:
    """As a patch, under the block that each line stands in; of a changed line only what changed."""
    where = None
    for change in changes:
        if change.where != where:
            where = change.where
            yield f"  [dim]{_escaped(where)}[/dim]"
        before, after = change.before, change.after
        if before is not None and after is not None:
            before, after = shortened(before, after)
        if before is not None:
            yield f"    [red]- {_escaped(before)}[/red]"
        if after is not None:
            yield f"    [green]+ {_escaped(after)}[/green]"


def shortened(before: str, after: str) -> tuple[str, str]:
    """Two versions of a line, with `...` for arguments that are the same in both."""
    old, new = (re.findall(r"[^,(]*[,(]\s*|[^,(]+", line) for line in (before, after))
    parts: tuple[list[str], list[str]] = ([], [])
    for tag, i, j, k, m in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        for part, pieces in zip(parts, (old[i:j], new[k:m]), strict=True):
            # What the line is about stands in front; of arguments, one is no longer than the dots.
            kept = 2 if i == 0 else 0
            equal = tag == "equal" and len(pieces) > kept + 1
            part += [*pieces[:kept], "... "] if equal else pieces
    return "".join(parts[0]).rstrip(), "".join(parts[1]).rstrip()


def _facts(record: RunRecord) -> Table:
    from m3i_dsl.runtime.reporting.text import duration

    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.started))
    versions = "  ".join(f"{name} {version}" for name, version in record.identity.versions.items())
    facts = {
        "recipe": f"{record.identity.recipe}  {record.identity.fingerprint[:12]}",
        "folder": str(record.path),
        "started": f"{started}, trained for {duration(record.trained)}",
        "devices": _devices(record),
        "again": _again(record),
        "speed": _speed(record),
        "versions": versions,
    }
    table = _grid()
    for name, value in facts.items():
        if value:
            table.add_row(f"[dim]{name}[/dim]", _escaped(value))
    return table


def _beside(first: RunRecord, second: RunRecord) -> Iterable[tuple[str, str, str, str]]:
    """(what, of the first, of the second, how the second compares) of all that is known of one of them."""
    from m3i_dsl.runtime.reporting.text import duration, size

    yield "recipe", first.identity.recipe, second.identity.recipe, ""
    yield "state", _state(first), _state(second), ""
    yield "devices", _devices(first), _devices(second), ""
    yield "trained for", duration(first.trained), duration(second.trained), _ratio(first.trained, second.trained)
    numbers = (
        ("images/s", first.images_per_second, second.images_per_second, "{:.0f}".format),
        ("memory", first.memory, second.memory, lambda value: size(round(value))),
        ("MFU", first.mfu, second.mfu, "{:.0%}".format),
        ("data wait", first.data_wait, second.data_wait, "{:.0%}".format),
    )
    for name, one, other, text in numbers:
        if one is not None or other is not None:
            ratio = _ratio(one, other) if name in ("images/s", "memory") else ""
            yield name, "" if one is None else text(one), "" if other is None else text(other), ratio
    for name in dict.fromkeys([*first.losses, *second.losses]):
        yield f"loss {name}", _end(first, name), _end(second, name), ""
    for name in dict.fromkeys([*first.evaluations, *second.evaluations]):
        one, other = first.evaluations.get(name), second.evaluations.get(name)
        difference = ""
        if one is not None and other is not None:
            difference = other.measure.change_text(other.values[-1] - one.values[-1])
        yield name, _measured(one), _measured(other), difference


def _end(record: RunRecord, name: str) -> str:
    return f"{record.losses[name].values[-1]:.4f}" if name in record.losses else ""


def _measured(series: Series | None) -> str:
    if series is None:
        return ""
    step, best = series.best
    last = series.measure.text(series.values[-1])
    return last if best == series.values[-1] else f"{last} (best {series.measure.text(best)} at step {step})"


def _state(record: RunRecord) -> str:
    done = f"at step {record.step} of {record.total}" if record.total else "before its first step"
    why = f" ({_escaped(record.reason)})" if record.state in ("failed", "stopped") and record.reason else ""
    return f"{_styled(record.state, record.state)} {done}{why}"


def _devices(record: RunRecord) -> str:
    if record.device is None:
        return ""
    return f"{record.world_size} x {record.device}, batch {record.batch}"


def _again(record: RunRecord) -> str:
    from m3i_dsl.runtime.reporting.text import times

    parts = [
        f"{what} {times(count)}"
        for what, count in (("restarted", record.restarts), ("resumed", record.resumes))
        if count
    ]
    return ", ".join(parts)


def _speed(record: RunRecord) -> str:
    from m3i_dsl.runtime.reporting.text import size

    parts: list[str] = []
    if record.images_per_second is not None:
        parts.append(f"{record.images_per_second:.0f} images/s")
    if record.mfu is not None:
        parts.append(f"MFU {record.mfu:.0%}")
    if record.memory is not None:
        parts.append(f"memory {size(record.memory)}")
    if record.data_wait is not None:
        parts.append(f"data wait {record.data_wait:.0%}")
    return "  ".join(parts)


def _ratio(first: float | None, second: float | None) -> str:
    return f"{second / first:.2f} x" if first and second else ""


# --- rich -------------------------------------------------------------------------------------------------------------


def _table(*columns: str) -> Table:
    """A column that starts with `>` holds numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for place, column in enumerate(columns):
        right = column.startswith(">")
        table.add_column(
            column.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=right or place == 0,
            overflow="fold",
        )
    return table


def _grid() -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _course(series: Series | None = None) -> tuple[str, ...]:
    """The heading of the column of curves, or a curve; nothing where it cannot be written."""
    from m3i_dsl.runtime.reporting.text import sparkline

    if not (sys.stdout.encoding or "").lower().startswith("utf"):
        return ()
    return ("course",) if series is None else (f"[cyan]{sparkline(series.values, 24)}[/cyan]",)


def _styled(text: str, state: str) -> str:
    style = _STYLES[state]
    return f"[{style}]{text}[/{style}]" if style else text


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(one_line(text))


def print_parts(parts: Iterable[Table | str], *, color: bool) -> None:
    """On standard output, in the terminal's width; a file or a pipe gets every cell whole."""
    from rich.console import Console

    console = Console(no_color=not color, highlight=False)
    if console.is_terminal:
        for part in parts:
            console.print(part)
        return
    # A file or a pipe has no width.
    wide = Console(no_color=True, highlight=False, width=240)
    with wide.capture() as printed:
        for part in parts:
            wide.print(part)
    print("\n".join(line.rstrip() for line in printed.get().strip("\n").splitlines()))
