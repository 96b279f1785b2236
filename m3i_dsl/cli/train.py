"""`m3ic train [ARTIFACT]`: trains a compiled recipe, or continues a run.

Takes: an artifact (the last one compiled by default) or, with `--resume`, a run (the last one started by default).
Gives: a run folder, whose path is the one line on standard output. Guarantees: exit code 0 when training is complete or
`--max-steps` is reached, 1 for a fault, 75 when SIGTERM or SIGUSR1 stopped it, 130 for SIGINT; the last two can be
continued. On several processes (`--nproc-per-node`, torchrun, srun) all of this is that of the run, told once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

from m3i_dsl.cli.options import add_command, report, say_notes
from m3i_dsl.cli.reporting import check_installed
from m3i_dsl.cli.train_flags import add_flags, again
from m3i_dsl.diagnostics import Diagnostic, RecipeError
from m3i_dsl.front.request import TrainRequest

if TYPE_CHECKING:
    from m3i_dsl.cli.options import Subparsers
    from m3i_dsl.runtime.distributed.environment import ProcessPlace
    from m3i_dsl.runtime.distributed.group import Processes


def add_parser(subparsers: Subparsers) -> None:
    """Declares the command."""
    parser = add_command(subparsers, "train", "train a compiled recipe", __doc__ or "")
    add_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """0: trained. 1: a fault. 75 or 130: stopped by a signal."""
    from m3i_dsl.runtime.distributed.environment import place
    from m3i_dsl.runtime.faults import TrainingFault

    check_installed(arguments)
    try:
        where = place()
        if where is None and arguments.nproc_per_node is not None:
            return _launched(arguments)
        return _process(arguments, where)
    except TrainingFault as fault:
        print(fault.text(), file=sys.stderr)
        say_notes(fault)
        return fault.exit_code


def _launched(arguments: argparse.Namespace) -> int:
    """Starts the processes. They are told the run's folder, so that those started again find it."""
    from m3i_dsl.front.training import path_of
    from m3i_dsl.runtime.distributed.launch import launch
    from m3i_dsl.runtime.last_word import going_on

    request = _request(arguments)
    path = path_of(request)
    words = list(arguments.words)
    words.remove("train")
    return launch(
        [*words, "--run", str(path)],
        arguments.nproc_per_node,
        restarts=arguments.max_restarts,
        grace=arguments.grace,
        last_word=lambda: going_on(path, request.again),
    )


def _process(arguments: argparse.Namespace, where: ProcessPlace | None) -> int:
    """One process of a run: the only one, or one of several that were started by `launch`, torchrun or srun."""
    from datetime import timedelta

    from m3i_dsl.front.training import kernels_of
    from m3i_dsl.runtime.distributed.agreement import Elsewhere
    from m3i_dsl.runtime.distributed.group import processes
    from m3i_dsl.runtime.distributed.launch import enrol, has_reader, note_outcome, outcome
    from m3i_dsl.runtime.distributed.watchdog import FIRST
    from m3i_dsl.runtime.faults import HUNG, TrainingFault
    from m3i_dsl.runtime.options import device_named

    if outcome() is not None:
        return 0  # this run ended for good: its processes were started again in vain
    if where is not None:
        enrol(where.rank)
    kernels_of(_request(arguments)).prepare()
    device = device_named(arguments.device)
    if where is None:
        with processes(None, device, timedelta(seconds=arguments.timeout)) as alone:
            return _train(arguments, alone)
    try:
        # The watchdog comes first: it knows more than a collective that gives up.
        with processes(where, device, FIRST * timedelta(seconds=arguments.timeout)) as group:
            code = _train(arguments, group)
            noted = note_outcome(code) if group.first else has_reader()
        return 0 if noted else code
    except (RecipeError, TrainingFault) as fault:
        # Others may wait in a collective for ever: this process ends without meeting them, and the agent ends those.
        lost = isinstance(fault, TrainingFault) and fault.code == HUNG
        told_elsewhere = isinstance(fault, Elsewhere) or (lost and outcome() is not None)  # by the one that was lost
        if not told_elsewhere:
            if isinstance(fault, RecipeError):
                report(fault.diagnostics, arguments, sys.stderr)
            else:
                print(fault.text(), file=sys.stderr)
            say_notes(fault)
            if not lost:
                note_outcome(1)
        sys.stderr.flush()
        os._exit(1)


def _train(arguments: argparse.Namespace, processes: Processes) -> int:
    from m3i_dsl.front.training import train

    outcome = train(_request(arguments), processes)
    if processes.first:
        print(outcome.run)
    return outcome.exit_code


def _request(arguments: argparse.Namespace) -> TrainRequest:
    """What the flags ask for."""

    def show(diagnostics: Iterable[Diagnostic]) -> None:
        if found := list(diagnostics):
            report(found, arguments, sys.stderr)

    own = ("show", "again")
    named = {field.name: getattr(arguments, field.name) for field in fields(TrainRequest) if field.name not in own}
    return TrainRequest(**named, show=show, again=lambda run: again(run, arguments.words))
