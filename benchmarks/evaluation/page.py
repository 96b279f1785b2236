"""RESULTS_EVALUATION.md."""

from __future__ import annotations

import argparse
import os

from benchmarks.evaluation.member import EVALUATORS, Measured, chosen
from benchmarks.evaluation.memory import MIB
from benchmarks.evaluation.source import CATEGORIES, SIDE, TEST, TRAIN
from benchmarks.speed.machine import machine, versions

BOUND = 2048
"""MiB of a process beside the model."""

POINTS = 20


def page(found: list[Measured], arguments: argparse.Namespace) -> str:
    """From what each process has measured."""
    peaks = [one.curve.peak() for one in found]
    rows = "\n".join(f"| {rank} | {own / MIB:.0f} | {all_ / MIB:.0f} |" for rank, (own, all_) in enumerate(peaks))
    curve = found[0].curve
    last = curve.points[-1][0]
    points = [next(point for point in curve.points if point[0] >= tick * last / POINTS) for tick in range(POINTS)]
    over_time = "\n".join(f"| {at:.0f} | {own / MIB:.0f} | {all_ / MIB:.0f} |" for at, own, all_ in points)
    ended = ", ".join(f"`{name}` after {seconds:.0f} s" for seconds, name in curve.stages)
    results = ", ".join(f"{name} {value:.4f}" for name, value in found[0].results.items())
    train, test = (max(1, round(count * arguments.share)) for count in (TRAIN, TEST))
    command = f"--share {arguments.share:g} --processes {arguments.processes} --width {arguments.width}"
    command += "".join(f" --evaluator {name}" for name in arguments.evaluator or ())
    named = ", ".join(f"`{evaluator.text()}`" for evaluator in chosen(arguments))
    others = [f"`{each.name}`" for each in EVALUATORS if each not in chosen(arguments)]
    unseen = f", without {' and '.join(others)}" if others else ""
    labels = 16 * TRAIN / MIB
    solver = 22 * 8 * 768 * 1000 / MIB
    return f"""# The memory of an evaluation of ImageNet's length

Written by `python -m benchmarks.evaluation {command} --output benchmarks/RESULTS_EVALUATION.md`.

{train} training and {test} test pictures at {SIDE} px, {arguments.share:.0%} of ImageNet's,
which repeat and are cheap to read, through a small encoder to features of width {arguments.width};
{named}
with {CATEGORIES} categories{unseen},
on {arguments.processes} processes, each with workers: {arguments.workers}. All processes gave the same: {results}.

MiB of a process beside what it had when the encoder stood: its own memory and its share of what is shared, without
pages of files, which the system takes back when it needs them. The activations of the encoder are in it. The bound is
{BOUND} MiB.

| process | most, alone | most, with its workers |
|---|---:|---:|
{rows}

Process 0 over time; {ended}:

| seconds | alone | with its workers |
|---:|---:|---:|
{over_time}

The length of the data adds to this only its labels and indices, 16 bytes a picture ({labels:.0f} MiB for ImageNet),
a few times while they are exchanged: of features a process keeps at most 128 MiB of each split and way of pooling in
memory, and the rest in a file ({4 * 768 * TRAIN / 2**30:.1f} GiB for ImageNet at 768 channels, over all processes).
The probe's solver has 22 float64 numbers for each weight in the first process: {solver:.0f} MiB for 768 channels and
1000 categories, which were not run here.

{machine()}; {versions()}. Load {os.getloadavg()[2]:.1f}.
"""
