"""A case in a process of its own.

The memory that an earlier case leaves behind decides what costs a page fault in a later one: of the time of a loss
that was 40% (`info_nce` alone and after `multi_crop_16`).
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.speed.cases.case import Context
from benchmarks.speed.outcome import Outcome


def alone(name: str, context: Context) -> Outcome:
    """The outcome of the case. Raises what the case raised."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        return processes.submit(_measured, name, context).result()


def _measured(name: str, context: Context) -> Outcome:
    import torch

    from benchmarks.speed.cases import CASES

    torch.set_num_threads(context.threads)
    torch.manual_seed(0)
    return CASES[name](context)
