"""`m3ic runs`: what was trained here; `m3ic runs show RUN`: one run; `m3ic runs show A B`: two beside each other.

Everything is read from the run folders, while a run goes on as well as after: a run is `running` while a process holds
its lock, `stopped` when it can be continued, `finished`, or `failed`. `--json` gives the same as a document.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m3i_dsl.cli.options import CliError, add_command, colored, common
from m3i_dsl.cli.runs_text import print_comparison, print_list, print_run
from m3i_dsl.front.request import RUNS

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.runtime.faults import TrainingFault
    from m3i_dsl.runtime.reporting.record import RunRecord


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "runs", "list runs, and compare two", __doc__ or "")
    _add_options(parser)
    actions = parser.add_subparsers(dest="action", metavar="show RUN [RUN]")
    show = actions.add_parser(
        "show",
        help="one run, or what two have in common and what not",
        description="One run, or what two have in common and what not.",
        parents=[common()],
    )
    show.add_argument("runs", nargs="+", metavar="RUN", help="a run's name in --in, or its folder; one or two")
    _add_options(show, again=True)


def _add_options(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """`again`: an option that is left out behind `show` keeps what it was before it."""
    parser.add_argument(
        "--in",
        dest="folder",
        type=Path,
        metavar="FOLDER",
        default=argparse.SUPPRESS if again else RUNS,
        help="where runs are (default: runs)",
    )
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS if again else False, help="as a document"
    )


def run(arguments: argparse.Namespace) -> int:
    """0: shown."""
    from m3i_dsl.runtime.faults import TrainingFault

    try:
        if arguments.action is None:
            _list(arguments)
        elif len(arguments.runs) == 1:
            _show(arguments)
        elif len(arguments.runs) == 2:
            _compare(arguments)
        else:
            raise CliError(f"`m3ic runs show` takes one run or two, not {len(arguments.runs)}")
    except TrainingFault as fault:
        print(fault.text(), file=sys.stderr)
        return fault.exit_code
    return 0


def _list(arguments: argparse.Namespace) -> None:
    from m3i_dsl.runtime.reporting.record import read_run, run_folders

    folders, faults = run_folders(arguments.folder)
    records = [read_run(path, curves=False) for path in folders]
    _say_damage(records, faults)
    if arguments.json:
        print(json.dumps([_document(record, curves=False) for record in records], indent=2))
    elif records or faults:
        print_list(records, time.time(), color=colored(arguments, sys.stdout))
    else:
        print(f"there is no run in `{arguments.folder}` yet: start one with `m3ic train`", file=sys.stderr)


def _show(arguments: argparse.Namespace) -> None:
    records = _read(arguments.runs[0], arguments.folder)
    _say_damage(records)
    if arguments.json:
        documents = [_document(record, curves=True) for record in records]
        print(json.dumps(documents if len(documents) > 1 else documents[0], indent=2))
        return
    for place, record in enumerate(records):
        if place:
            print()
        print_run(record, time.time(), color=colored(arguments, sys.stdout))


def _compare(arguments: argparse.Namespace) -> None:
    from m3i_dsl.artifact.difference import changed_lines

    first, second = _beside(*(_read(name, arguments.folder) for name in arguments.runs))
    _say_damage((first, second))
    recipes = first.recipe_text(), second.recipe_text()
    changes = None
    if recipes[0] is not None and recipes[1] is not None:
        changes = list(changed_lines(recipes[0], recipes[1]))
    if arguments.json:
        words = None
        if changes is not None:
            words = [{"where": c.where, "before": c.before, "after": c.after} for c in changes]
        runs = [_document(record, curves=False) for record in (first, second)]
        print(json.dumps({"runs": runs, "recipe": words}, indent=2))
    else:
        print_comparison(first, second, changes, color=colored(arguments, sys.stdout))


def _beside(first: Sequence[RunRecord], second: Sequence[RunRecord]) -> tuple[RunRecord, RunRecord]:
    """Of two runs the last stage that both have begun, else the last of each; it is said where there are more."""
    shared = {record.path.name for record in first} & {record.path.name for record in second}
    chosen: list[RunRecord] = []
    for records in (first, second):
        candidates = [record for record in records if record.path.name in shared] or records
        chosen.append(candidates[-1])
        if len(records) > 1:
            others = ", ".join(f"`{record.name}`" for record in records if record is not chosen[-1])
            print(
                f"of the stages, `{chosen[-1].name}` is compared; name another to compare it: {others}", file=sys.stderr
            )
    return chosen[0], chosen[1]


def _say_damage(records: Iterable[RunRecord], faults: Iterable[TrainingFault] = ()) -> None:
    """On standard error, whatever is shown of the runs."""
    for record in records:
        if record.damage is not None:
            print(record.damage.text(), file=sys.stderr)
    for fault in faults:
        print(fault.notice.text(), file=sys.stderr)


def _read(name: str, folder: Path) -> list[RunRecord]:
    """The run `name` of `folder`, or in the folder `name`; of a run of stages, all that were begun. Raises CliError."""
    from m3i_dsl.runtime.reporting.record import begun_in, read_run, run_folders
    from m3i_dsl.runtime.run_folder import holds_run, run_name

    found, _ = run_folders(folder)
    for path in (folder / name, Path(name), *(path for path in found if run_name(path) == name)):
        if holds_run(path) and (begun := begun_in(path)):
            return [read_run(one) for one in begun]
    known = [run_name(path) for path in found]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else "; `m3ic runs` lists those that there are"
    raise CliError(f"there is no run `{name}` in `{folder}`{hint}")


def _document(record: RunRecord, *, curves: bool) -> dict[str, Any]:
    """A run as JSON. Losses and evaluations are series with `curves`, else their last and best values."""

    def series(steps: Sequence[int], values: Sequence[float]) -> dict[str, Any]:
        return {"steps": list(steps), "values": list(values)}

    evaluations: dict[str, Any] = {}
    for name, one in record.evaluations.items():
        step, best = one.best
        measure = one.measure.plain()
        evaluations[name] = {"measure": measure, "last": one.values[-1], "best": best, "best_step": step}
        if curves:
            evaluations[name] |= series(one.steps, one.values)
    return {
        "name": record.name,
        "folder": str(record.path),
        "recipe": record.identity.recipe,
        "fingerprint": record.identity.fingerprint,
        "versions": record.identity.versions,
        "state": record.state,
        "reason": record.reason,
        "step": record.step,
        "total": record.total,
        "epoch": record.epoch,
        "batch": record.batch,
        "world_size": record.world_size,
        "device": record.device,
        "restarts": record.restarts,
        "resumes": record.resumes,
        "started": record.started,
        "updated": record.updated,
        "trained_seconds": record.trained,
        "losses": {
            name: series(one.steps, one.values) if curves else one.values[-1] for name, one in record.losses.items()
        },
        "evaluations": evaluations,
        "images_per_second": record.images_per_second,
        "mfu": record.mfu,
        "data_wait": record.data_wait,
        "memory": record.memory,
        "damage": None if record.damage is None else record.damage.message,
        "warnings": [{"step": step, "code": code, "message": text} for step, code, text in record.warnings],
    }
