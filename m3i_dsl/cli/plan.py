"""`m3ic plan RECIPE`: what training will take, before a device is booked.

Counts parameters, FLOPs, memory and bytes sent on the graph that training runs, with no content in any tensor, and
models the time of a step on `--world N` devices of `--gpu NAME`; docs/plan.md says how. Needs no GPU and no memory. The
data is opened only for its numbers of samples and categories; with `--categories N` not at all. `--dry-run` builds the
step of `--world N` processes on torch's fake backend, and shows the collectives that it calls beside the plan's.
`--against FOLDER` compares the recipe with a compiled artifact: words, targets, parameters, encoder calls, FLOPs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import (
    STDIN,
    CliError,
    add_command,
    add_output_format,
    add_settings,
    add_stdin_name,
    colored,
    read,
    report,
    settings,
)
from m3i_dsl.cli.stages import add_stage, program_of, say_stage

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.plan import Accelerator, Plan
    from m3i_dsl.semantics.program import Program


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "plan", "what training will take", __doc__ or "")
    parser.add_argument("path", metavar="RECIPE", help="a recipe, or `-`")
    parser.add_argument("--world", type=int, default=1, metavar="N", help="number of devices; default 1")
    parser.add_argument("--gpu", default="h200", metavar="NAME", help="b200, h200 (default), h100, a100 or cpu")
    parser.add_argument(
        "--shard",
        choices=("none", "fsdp", "hsdp"),
        default="none",
        help="weights, moments and averages in shards: over all devices, or within each node (default: none)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="build the step of --world N processes and count what it sends"
    )
    parser.add_argument("--categories", type=int, metavar="N", help="the number of categories, instead of the data's")
    parser.add_argument(
        "--constant",
        dest="constants",
        action="append",
        default=[],
        type=_constant,
        metavar="NAME=VALUE",
        help="another value of a constant of the time model",
    )
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="what differs from this artifact")
    parser.add_argument("--json", action="store_true", help="the plan, or the differences, as JSON")
    add_stage(parser)
    add_stdin_name(parser)
    add_settings(parser)
    add_output_format(parser)


def _constant(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not NAME=NUMBER, such as efficiency=0.5") from None


def run(arguments: argparse.Namespace) -> int:
    """0: planned. 1: the recipe has errors, the artifact of --against differs, or the dry run does from the plan."""
    from m3i_dsl import driver
    from m3i_dsl.plan.communication import disagreements
    from m3i_dsl.plan.render import print_plan

    accelerator = _accelerator(arguments)
    checked = driver.check_file(read(arguments.path, arguments.stdin_filename), settings(arguments))
    report(checked.diagnostics, arguments, sys.stderr)
    program = program_of(checked, arguments)
    if program is None:
        return 1
    say_stage(checked, arguments)
    against = None if arguments.against is None else _same_stage(arguments.against, program)
    base = Path(arguments.stdin_filename if arguments.path == STDIN else arguments.path).parent
    plan = _plan(program, base, _Counts(arguments.categories), accelerator, arguments)
    if against is not None:
        return _against(against, program, plan, accelerator, arguments)
    if arguments.json:
        sys.stdout.write(plan.text())
    else:
        print_plan(plan, accelerator, color=colored(arguments, sys.stdout))
    return 1 if disagreements(plan.communication) else 0


def _accelerator(arguments: argparse.Namespace) -> Accelerator:
    from m3i_dsl.plan import ACCELERATORS

    if arguments.world < 1:
        raise CliError(f"--world takes a number of devices from 1, not {arguments.world}")
    if arguments.dry_run and arguments.against is not None:
        raise CliError("--dry-run says what a recipe sends and --against what differs: give one of them")
    if arguments.categories is not None and arguments.categories < 1:
        raise CliError(f"--categories takes a number from 1, not {arguments.categories}")
    accelerator = ACCELERATORS.get(arguments.gpu.lower())
    if accelerator is None:
        raise CliError(f"there is no `{arguments.gpu}` in the tables of --gpu: {', '.join(ACCELERATORS)}")
    try:
        return accelerator.replaced(dict(arguments.constants))
    except ValueError as fault:
        raise CliError(f"--constant: {fault}") from None


@dataclass(slots=True)
class _Counts:
    """Numbers of samples and names of categories by the source's name: opened, given or recorded."""

    given: int | None = None
    recorded: Mapping[str, tuple[str, ...]] | None = None
    samples: dict[str, int] = field(default_factory=dict[str, int])
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


def _plan(
    program: Program, base: Path, counts: _Counts, accelerator: Accelerator, arguments: argparse.Namespace
) -> Plan:
    import torch

    from m3i_dsl import driver
    from m3i_dsl.artifact.lock import DataLock, Lock
    from m3i_dsl.plan import Setting, WorldFault, plan_of
    from m3i_dsl.semantics.categories import categories_of

    plain, graph = driver.graphs(program)
    needed = {str(m.get("data")) for m in graph.modules if m.section == "representations" and m.get("rows") == "C"}
    needed |= {source.name for m in program.mixtures.values() if m.name in needed for source in m.sources}
    for name in program.data:
        _count(program, name, base, counts, needed=name in needed)
    named = counts.categories
    lock = Lock(
        data={name: DataLock(samples=0, categories=found, fingerprint="") for name, found in named.items()}, files={}
    )
    categories = {name: len(found) for name, found in named.items()}
    categories |= {mixture.name: len(categories_of(mixture, named)) for mixture in program.mixtures.values()}
    with torch.device("meta"):
        executable = driver.lower_graph(program, graph, lock, base, load_weights=False)
    setting = Setting(arguments.world, accelerator, arguments.shard, counts.samples, arguments.dry_run)
    try:
        return plan_of(executable, plain, categories, setting)
    except WorldFault as fault:
        raise CliError(f"--world {arguments.world}: {fault}") from None


def _count(program: Program, name: str, base: Path, counts: _Counts, *, needed: bool) -> None:
    from m3i_dsl.vocabulary.kinds import WordError

    if counts.recorded is not None:
        counts.categories[name] = counts.recorded.get(name, ())
    elif counts.given is not None:
        counts.categories[name] = tuple(f"{name} {number}" for number in range(counts.given))
    else:
        try:
            found = program.data[name].source.word.describe(base)
        except WordError as fault:
            if needed:
                why = f"data `{name}` cannot be opened: {fault.message}"
                raise CliError(f"{why}; its categories are a part of the model: give `--categories N`") from None
            return
        counts.samples[name], counts.categories[name] = found.samples, found.categories


def _against(
    folder: Path, program: Program, plan: Plan, accelerator: Accelerator, arguments: argparse.Namespace
) -> int:
    from m3i_dsl import driver
    from m3i_dsl.artifact.load import load
    from m3i_dsl.artifact.manifest import RECIPE
    from m3i_dsl.plan.difference import differences
    from m3i_dsl.plan.render import print_differences
    from m3i_dsl.source import SourceFile

    artifact = load(folder, allow_stale=True)
    old = driver.check_file(SourceFile(str(folder / RECIPE), artifact.recipe)).required()
    recorded = {name: data.categories for name, data in artifact.lock.data.items()}
    old_plan = _plan(old, artifact.base, _Counts(recorded=recorded), accelerator, arguments)
    found = differences(driver.resolve(old), old_plan, driver.resolve(program), plan)
    if arguments.json:
        import json

        print(json.dumps([difference.model_dump(mode="json") for difference in found], indent=2))
    else:
        print_differences(found, folder, color=colored(arguments, sys.stdout))
    return 1 if found else 0


def _same_stage(folder: Path, program: Program) -> Path:
    """The artifact to compare with: `folder`, or of one of stages that of the stage called as the program's.

    Raises RecipeError and CliError.
    """
    from m3i_dsl.artifact.pipeline import is_pipeline, load_pipeline

    if not is_pipeline(folder):
        return folder
    pipeline = load_pipeline(folder)
    names = pipeline.manifest.names
    if program.stage in names:
        return pipeline.stage_folder(program.stage)
    what = "the recipe has none" if program.stage is None else f"none is called `{program.stage}`"
    folders = ", ".join(f"`{pipeline.stage_folder(name)}`" for name in names)
    raise CliError(f"--against: `{folder}` has stages and {what}; name the folder of one: {folders}")
