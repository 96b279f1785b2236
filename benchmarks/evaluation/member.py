"""One of the processes that evaluate."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.evaluation.memory import Curve, watched
from benchmarks.evaluation.source import CATEGORIES, SIDE, TEST, TRAIN, Repeating, Small
from m3i_dsl import driver
from m3i_dsl.data.evaluation import LabelledSource
from m3i_dsl.evaluation.measure import Evaluation
from m3i_dsl.evaluation.streamed import StreamedSplit
from m3i_dsl.evaluation.subject import EncoderSubject
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.team import ProcessTeam
from m3i_dsl.source import read_file
from m3i_dsl.vocabulary.evaluators import Knn, LinearProbe, ZeroShot
from m3i_dsl.vocabulary.kinds import Evaluator, Splits
from m3i_dsl.vocabulary.transforms import Normalize

EVALUATORS: tuple[Evaluator, ...] = (Knn(), LinearProbe(c=(0.01,)), ZeroShot())


@dataclass(frozen=True)
class Measured:
    """One process: what the evaluators gave, and its memory."""

    results: dict[str, float]
    curve: Curve


def chosen(arguments: argparse.Namespace) -> list[Evaluator]:
    """What is measured."""
    return [each for each in EVALUATORS if arguments.evaluator is None or each.name in arguments.evaluator]


def measured(rank: int, arguments: argparse.Namespace, meeting: str, found: Any) -> None:
    """One of the processes."""
    torch.set_num_threads(arguments.threads)
    size, control = arguments.processes, None
    if size > 1:
        store = dist.FileStore(meeting, size)  # pyright: ignore[reportPrivateImportUsage]
        dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timedelta(hours=2))
        control = dist.group.WORLD
    team = ProcessTeam(Processes(torch.device("cpu"), rank, size, size, control=control))
    program = driver.check_file(read_file(Path("recipes/m3i.m3i"))).required()

    def split(name: str, count: int, first: int) -> StreamedSplit:
        source = Repeating(max(1, round(count * arguments.share)), first)
        labelled = LabelledSource(source, size=(SIDE, SIDE), normalize=Normalize(), workers=arguments.workers)
        return StreamedSplit(name, labelled, program=program)

    encoder = Small(arguments.width)
    splits = Splits(
        split("training", TRAIN, 0),
        split("test", TEST, 2048),
        tuple(f"thing {n}" for n in range(CATEGORIES)),
        team=team,
    )
    subject = EncoderSubject(encoder, 0, encoder, team=team)
    evaluation = Evaluation(splits, lambda: subject)
    curve, results, start = Curve(), dict[str, float](), time.monotonic()
    with watched(curve):
        for evaluator in chosen(arguments):
            results[evaluator.name] = evaluation.result(evaluator, subject).value
            curve.stages.append((time.monotonic() - start, evaluator.name))
            if rank == 0:
                print(f"{evaluator.name} {results[evaluator.name]:.4f} after {curve.stages[-1][0]:.0f} s", flush=True)
    found[rank] = Measured(results, curve)
    if size > 1:
        dist.barrier()
        dist.destroy_process_group()
