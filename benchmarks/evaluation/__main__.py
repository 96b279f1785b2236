"""Measures, prints, and writes the page if asked to."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch.multiprocessing as multiprocessing

import benchmarks.evaluation
from benchmarks.evaluation.member import EVALUATORS, measured
from benchmarks.evaluation.page import page


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=benchmarks.evaluation.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=0.1, help="of ImageNet's number of pictures (default: 0.1)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that decode, for each (default: 1)")
    parser.add_argument("--width", type=int, default=32, help="of the features (default: 32)")
    parser.add_argument("--threads", type=int, default=1)
    names = [evaluator.name for evaluator in EVALUATORS]
    parser.add_argument("--evaluator", action="append", choices=names, help="what is measured (default: all)")
    parser.add_argument("--output", type=Path, help="the page to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, multiprocessing.Manager() as manager:
        found = manager.dict()
        multiprocessing.spawn(measured, (arguments, f"{folder}/meeting", found), arguments.processes)
        all_ = [found[rank] for rank in range(arguments.processes)]
    if any(one.results != all_[0].results for one in all_):
        raise SystemExit("the processes disagree")
    text = page(all_, arguments)
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
