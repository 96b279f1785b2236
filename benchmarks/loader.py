"""How near loading comes to decoding: `python -m benchmarks.loader SHARDS [--workers 2] [--output FILE]`.

SHARDS is a folder of tar files with `.jpg` members. "Decoding" is as many processes as there are workers that decode
images which they hold in memory, and throw them away: no loader can be faster on the same cores. The others deliver
whole batches of uint8 images to the training process, each as one tensor, every image decoded by the same function to
the same canvas and none kept. All run in turns, several times. Processor time is that of all processes for an image
while the clock runs, which other load on the machine disturbs least (Linux only). A library that is not installed is
named as missing; webdataset belongs into `benchmarks/.peers`.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import multiprocessing
import os
import resource
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.speed.machine import machine, versions
from m3i_dsl import driver
from m3i_dsl.data import stream as streams
from m3i_dsl.data.readers.images import decode
from m3i_dsl.data.stream import Stream
from m3i_dsl.ir.inputs import ViewInput
from m3i_dsl.source.includes import read_file
from m3i_dsl.syntax import parse_value

CANVAS = 256
BATCH = 128
AIM = 0.9

RECIPE = Path(__file__).parents[1] / "recipes" / "mae.m3i"
"""Of which only the source, the batch and the order are used."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is measured: `images` images with `workers` processes, from shards in `folder` or the same in `files`."""

    folder: Path
    files: Path
    workers: int
    images: int

    @property
    def batches(self) -> int:
        """Batches while the clock runs."""
        return self.images // BATCH

    @property
    def lead(self) -> int:
        """Batches before the clock starts, until all workers are in step; so many follow when it has stopped, for what
        is under way at the end is to be as much as at the start."""
        return 2 * self.workers

    @property
    def all(self) -> int:
        """Batches of the whole run."""
        return self.batches + 2 * self.lead


@dataclass(frozen=True, slots=True)
class Measured:
    """Images in a second of the clock, and milliseconds of all processors for an image."""

    rate: float
    processor: float


def members(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of all JPEG members."""
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.name.endswith(".jpg") else None
                if file is not None:
                    yield member.name, file.read()


def _decode_all(stored: list[bytes], count: int, ready: Any) -> None:
    torch.set_num_threads(1)
    ready.wait()
    for one in itertools.islice(itertools.cycle(stored), count):
        decode(one, CANVAS)


def decoding(job: Job) -> Iterator[int]:
    """Decoding alone: yields once all processes are ready, and the images when they were decoded."""
    stored = [stored for _, stored in members(job.folder)]
    context = multiprocessing.get_context("fork")
    each = job.images // job.workers
    ready = context.Barrier(job.workers + 1)
    processes = [
        context.Process(target=_decode_all, args=(stored[n :: job.workers], each, ready)) for n in range(job.workers)
    ]
    for process in processes:
        process.start()
    ready.wait()
    yield 0
    for process in processes:
        process.join()
    yield each * job.workers


def ours(job: Job) -> Iterator[int]:
    """The shards through m3ic: its order, its workers, batches as they arrive in the training process."""
    shards = job.folder.resolve()
    # The recipe is evaluated on categories of held-out shards, of which nothing is read here.
    source = f'tar("{shards}", test: "{shards}", category: "cls", canvas: {CANVAS}px)'
    settings = {"source": parse_value(source, "source")}
    program = driver.check_file(read_file(RECIPE), settings).required()
    stream = Stream(program, (ViewInput("x", "view1"),), base=RECIPE.parent, workers=job.workers)
    if program.training.batch != BATCH:
        raise ValueError(f"{RECIPE.name} has batches of {program.training.batch}")
    with closing(stream.decoded(0, job.all)) as batches:
        yield from _counted((part.images["image"] for ((part,),) in batches), job)


def webdataset(job: Job) -> Iterator[int]:
    """The same shards through webdataset, shuffled in a buffer."""
    import webdataset as wds

    urls = [str(path) for path in sorted(job.folder.glob("*.tar"))]
    data = (
        wds.WebDataset(urls, shardshuffle=len(urls), nodesplitter=None)
        .repeat()
        .shuffle(500)
        .to_tuple("jpg")
        .map(_decoded_tuple)
        .batched(BATCH, partial=False)
    )
    loader = wds.WebLoader(data, batch_size=None, num_workers=job.workers).slice(job.all)
    yield from _counted((images for (images,) in loader), job)


class Held(Dataset[torch.Tensor]):
    """The images from memory, decoded when asked for."""

    def __init__(self, folder: Path) -> None:
        self.stored = [stored for _, stored in members(folder)]

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(decode(self.stored[index], CANVAS)[0])


def plain(job: Job) -> Iterator[int]:
    """Torch's DataLoader with nothing around it, from memory: what its way of passing batches costs."""
    yield from _counted(_epochs(Held(job.folder), job), job)


def torchvision_folder(job: Job) -> Iterator[int]:
    """Files of a folder through torchvision's ImageFolder and torch's DataLoader."""
    from torchvision.datasets import ImageFolder

    data = ImageFolder(str(job.files), loader=_decoded_file)
    yield from _counted((images for images, _ in _epochs(data, job)), job)


def _epochs(data: Any, job: Job) -> Iterator[Any]:
    epochs = -(-job.all // (len(data) // BATCH))
    loader: Any = DataLoader(
        data, BATCH, shuffle=True, num_workers=job.workers, drop_last=True, persistent_workers=True
    )
    return itertools.islice(itertools.chain.from_iterable(loader for _ in range(epochs)), job.all)


def _decoded_tuple(sample: tuple[bytes]) -> tuple[torch.Tensor]:
    return (torch.from_numpy(decode(sample[0], CANVAS)[0]),)


def _decoded_file(path: str) -> torch.Tensor:
    return torch.from_numpy(decode(Path(path).read_bytes(), CANVAS)[0])


def _counted(batches: Iterator[torch.Tensor | None], job: Job) -> Iterator[int]:
    """0 when the clock is to start, the images when it is to stop; after that the rest is under way."""
    sum(map(_images, itertools.islice(batches, job.lead)))
    yield 0
    yield sum(map(_images, itertools.islice(batches, job.batches)))
    sum(map(_images, batches))


def _images(batch: torch.Tensor | None) -> int:
    if batch is None or batch.shape != (BATCH, CANVAS, CANVAS, 3) or batch.dtype != torch.uint8:
        raise ValueError(f"a batch of {None if batch is None else (batch.shape, batch.dtype)}")
    return len(batch)


CANDIDATES: dict[str, Callable[[Job], Iterator[int]]] = {
    "decoding alone": decoding,
    "m3ic, tar": ours,
    "webdataset, tar": webdataset,
    "torch's DataLoader, memory": plain,
    "torchvision, folder": torchvision_folder,
}


def measured(candidate: Callable[[Job], Iterator[int]], job: Job) -> Measured:
    """One run in a process of its own, so that the processor time of all its children is known."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(candidate, job, sender))
    process.start()
    sender.close()
    try:
        return Measured(*receiver.recv())
    except EOFError as error:
        raise RuntimeError(f"{candidate.__name__} failed") from error
    finally:
        process.join()


def _measure(candidate: Callable[[Job], Iterator[int]], job: Job, sender: Any) -> None:
    torch.set_num_threads(1)
    streams.MEMORY = 0  # or m3ic would keep decoded images, and not decode them again
    run = candidate(job)
    next(run)
    used, start = _processor(), time.perf_counter()
    images = next(run)
    seconds, used = time.perf_counter() - start, _processor() - used
    for _ in run:
        pass
    sender.send((images / seconds, 1e3 * used / images))


def _processor() -> float:
    """Seconds of processors that this process and its children have used, the running ones too."""
    running = multiprocessing.active_children()  # those that have ended are counted with this process from here on
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
    for process in running:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def main() -> None:
    """Measures, prints, and writes the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path, help="a folder of tar files")
    parser.add_argument("--workers", type=int, default=2, help="processes that decode (default: 2)")
    parser.add_argument("--images", type=int, default=2048, help="in each run (default: 2048)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (default: 5)")
    parser.add_argument("--output", type=Path, help="the page to write")
    arguments = parser.parse_args()
    found: dict[str, list[Measured]] = {}
    missing: list[str] = []
    for name in CANDIDATES:
        library = name.split(",")[0]
        if library in ("webdataset", "torchvision") and importlib.util.find_spec(library) is None:
            missing.append(library)
        else:
            found[name] = []
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "all"
        files.mkdir()
        for name, stored in members(arguments.shards):
            (files / Path(name).name).write_bytes(stored)
        job = Job(arguments.shards, Path(folder), arguments.workers, arguments.images)
        for _ in range(arguments.rounds):
            for name, runs in found.items():
                runs.append(measured(CANDIDATES[name], job))
    table = rendered(found)
    print(table)
    for library in missing:
        print(f"{library} is not installed", file=sys.stderr)
    if arguments.output is not None:
        arguments.output.write_text(page(table, arguments, missing), encoding="utf-8")


def rendered(found: dict[str, list[Measured]]) -> str:
    """The table."""
    lines = [
        "| loader | images/s: best, median | share: best, median | processor ms/image: least, median | share |",
        "|---|---:|---:|---:|---:|",
    ]
    alone = found["decoding alone"]
    for name, runs in found.items():
        # Of the same round: what else the machine did then slowed both.
        share = statistics.median(run.rate / base.rate for run, base in zip(runs, alone, strict=True))
        best, least = max(run.rate for run in runs), min(run.processor for run in runs)
        of_best, of_least = best / max(run.rate for run in alone), min(run.processor for run in alone) / least
        lines.append(
            f"| {name} | {best:.0f}, {statistics.median(run.rate for run in runs):.0f} | {of_best:.0%}, {share:.0%}"
            f" | {least:.3f}, {statistics.median(run.processor for run in runs):.3f} | {of_least:.0%} |"
        )
    return "\n".join(lines)


def page(table: str, arguments: argparse.Namespace, missing: list[str]) -> str:
    """RESULTS_LOADER.md."""
    load = os.getloadavg()[2]
    busy = f" Other programs were running (load {load:.1f}); compare shares and processor times." if load > 4 else ""
    without = f" Not installed here: {', '.join(missing)}." if missing else ""
    return f"""# How near loading comes to decoding

Written by `python -m benchmarks.loader SHARDS --output benchmarks/RESULTS_LOADER.md`.

{arguments.workers} processes decode JPEG images (shorter side 256) to {CANVAS}x{CANVAS} and deliver uint8 batches of
{BATCH}, each as one tensor; nothing is kept decoded. {arguments.rounds} runs of {arguments.images} images each, in
turns. Decoding alone is as many processes that throw the images away. Its share is of the best rates, and the median of
the shares in each round. The last column compares the least processor times, of all processes together: the share that
is reached where cores are what limits both. The aim is {AIM:.0%}.

{table}

{machine()}; {versions()}.{busy}{without}
"""


if __name__ == "__main__":
    main()
