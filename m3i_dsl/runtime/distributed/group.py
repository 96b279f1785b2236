"""The process group of a run, from its birth to a clean end.

Takes: the place of this process and its device. Gives: `Processes`: a training group (NCCL on a GPU, gloo on a CPU), a
control group (always gloo) for what hosts decide, and the store. Guarantees: processes that were started again never
read what those before them have left in the store of torchrun's agent; a clean end waits for all ranks first, without
which torch 2.13 aborts one exit in seven; one process needs none of it.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]
from torch.distributed.distributed_c10d import PrefixStore, Store

from m3i_dsl.runtime.distributed.environment import ProcessPlace
from m3i_dsl.runtime.faults import LAUNCH, TrainingFault

MEETING = timedelta(minutes=10)
"""How long processes wait for each other to come to life: nodes of a large job do not start together."""

PATIENCE = timedelta(days=1)
"""Hosts wait for a rank that evaluates or writes as long as it takes; the watchdog sees one that hangs."""


@dataclass(frozen=True, slots=True, eq=False)
class Processes:
    """This process among all. `control` and `store` are None for a run of one process."""

    device: torch.device
    rank: int = 0
    size: int = 1
    local_size: int = 1
    restart: int = 0
    may_restart: bool = False
    control: dist.ProcessGroup | None = None
    store: Store | None = None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def use_device(self) -> None:
        """For a new thread, whose GPU is the first of the machine whatever that of the thread that began it."""
        if self.device.type == "cuda" and str(self.device) != "cuda":  # which is the first
            torch.cuda.set_device(self.device)


@contextlib.contextmanager
def processes(place: ProcessPlace | None, device: torch.device, timeout: timedelta) -> Generator[Processes]:
    """Joins the others; `timeout` is for each collective of the training group.

    Raises TrainingFault (M3I0730) when the others do not come.
    """
    if place is None:
        yield Processes(device)
        return
    if device.type == "cuda":
        if place.local_rank >= torch.cuda.device_count():
            raise TrainingFault(
                LAUNCH,
                f"process {place.rank} would use GPU {place.local_rank}, and there are {torch.cuda.device_count()}",
                helps=(f"start at most {torch.cuda.device_count()} processes on this machine",),
            )
        device = torch.device("cuda", place.local_rank)
        torch.cuda.set_device(device)
    try:
        store = _store(place)
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=store,
            rank=place.rank,
            world_size=place.size,
            timeout=timeout,
            device_id=device if device.type == "cuda" else None,
        )
    except (dist.DistError, RuntimeError, OSError) as problem:
        raise TrainingFault(
            LAUNCH,
            f"process {place.rank} of {place.size} could not meet the others: {str(problem).splitlines()[0]}",
            helps=("see that all processes were started and reach `MASTER_ADDR` at `MASTER_PORT`",),
        ) from problem
    control = dist.new_group(backend="gloo", timeout=PATIENCE)
    assert isinstance(control, dist.ProcessGroup)
    clean = False
    try:
        yield Processes(
            device, place.rank, place.size, place.local_size, place.restart, place.may_restart, control, store
        )
        clean = True
    finally:
        # After a fault the others may be gone or in a collective: nothing is left to wait for, the agent ends them.
        if clean:
            dist.barrier(control)
            dist.destroy_process_group()


def _store(place: ProcessPlace) -> Store:
    """The key-value store of this start of the run.

    torchrun's agent keeps one store for all its restarts, where addresses of dead processes would be found again
    (pytorch#135712). Its restart count is that of one agent, so that machines may differ in it: rank 0 chooses a name
    for this start, and answers each process that has read it. An answer bears the asker's own random word, so that
    what an earlier rank 0 has answered is never taken for one.
    """
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = TCPStore(
        address, port, None, is_master=place.rank == 0 and not shared, timeout=MEETING, wait_for_workers=False
    )
    if not shared:
        return store
    return PrefixStore(f"m3ic/{_agreed_name(store, place)}", store)


def _agreed_name(store: Store, place: ProcessPlace) -> str:
    if place.rank == 0:
        name = uuid.uuid4().hex
        store.set("m3ic/start", name)
        for other in range(1, place.size):
            word = store.get(f"m3ic/{name}/asked/{other}").decode()  # waits for it
            store.set(f"m3ic/{name}/answered/{other}/{word}", "yes")
        return name
    word = uuid.uuid4().hex
    asked = ""
    until = time.monotonic() + MEETING.total_seconds()
    while time.monotonic() < until:
        name = store.get("m3ic/start").decode()
        if name != asked:
            store.set(f"m3ic/{name}/asked/{place.rank}", word)
            asked = name
        if store.check([f"m3ic/{name}/answered/{place.rank}/{word}"]):
            return name
        time.sleep(0.05)
    raise RuntimeError("rank 0 did not answer")
