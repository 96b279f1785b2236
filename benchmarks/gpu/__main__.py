"""Measurements and checks on a GPU: `python -m benchmarks.gpu [--session 12min] [--dry-run] [--piece NAME] ...`.

Without `--session` or `--piece`: throughput of ViT-B/16 and ViT-L/16 at 224 px in bf16 on synthetic data, compiled
recipes beside hand-written steps: images a second, share of the rate of a large matrix product measured in the same
run (MFU), and peak memory.

`--session 12min` runs everything in order of value, each piece in a process with a limit of its own, and writes one
line of JSON for each as soon as it is done; pieces that no longer fit are left out.

`--dry-run` needs no GPU: throughput is counted on meta tensors, and the checks run small, on a CPU.

To bring to a machine that has torch 2.11 or later and no m3ic: this repository, and on PYTHONPATH what
`pip install --target packages --no-deps` fetches of lark, rich, markdown-it-py, mdurl, pygments, timm, safetensors,
tokenizers, simplejpeg, pyarrow, scikit-learn, threadpoolctl, joblib, pydantic, pydantic-core, annotated-types and
typing-inspection, as far as it lacks them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence

import torch

from benchmarks.gpu import session, throughput


def main(arguments: list[str] | None = None) -> int:
    """0: everything passed. 1: a piece failed. 2: there is no GPU, or a name is none."""
    options = _options(arguments)
    if not options.dry_run and not torch.cuda.is_available():
        print("error: there is no GPU here; --dry-run checks every case without one", file=sys.stderr)
        return 2
    device = "cpu" if options.dry_run else "cuda"
    if options.piece is not None:
        try:
            print(json.dumps(session.piece_named(options.piece, device)))
        except KeyError:
            print(f"error: there is no piece {options.piece!r}", file=sys.stderr)
            return 2
        return 0
    if options.session is not None:
        failed = 0

        def start(command: Sequence[str], limit: float) -> session.Found:
            return session.in_a_process([*command, *(["--dry-run"] if options.dry_run else [])], limit)

        for line in session.run_session(options.session, start):
            print(line, flush=True)
            failed += json.loads(line)["outcome"] in ("failed", "too long")
        return 1 if failed else 0
    return throughput.table(options)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--session", type=_seconds, metavar="TIME", help="everything within 12min, 90s or the like")
    parser.add_argument("--piece", metavar="NAME", help="one check or measurement of a session")
    parser.add_argument("--dry-run", action="store_true", help="without a GPU; nothing is timed")
    throughput.add_options(parser)
    return parser.parse_args(arguments)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)(min|s)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"`{text}` is not a time such as `12min` or `90s`")
    return float(match.group(1)) * (60 if match.group(2) == "min" else 1)


if __name__ == "__main__":
    raise SystemExit(main())
