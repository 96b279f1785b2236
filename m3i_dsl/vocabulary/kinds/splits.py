"""What is measured on, and who measures.

Takes: images and labels. Gives: `Split`, in parts that processes deal out among them, and `Team`, these processes.
Guarantees: the parts of a split are the same whatever the number of processes; no torch at import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")

PART = 256
"""Images that are read, encoded and compared at a time. The last bits of results depend on it: it is no setting."""


class Team(Protocol):
    """The processes that measure together. What it says of one of them, `rank` of `size`, it says in that one.

    Where several of them measure, all call the same methods in the same order.
    """

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def lockstep(self) -> bool:
        """Whether the encoder computes only when all call it: its parameters lie on all of them."""
        ...

    def round(self, where: str) -> None:
        """All have come so far; `where` says to what, such as `part 3 of 12 of the test images`."""
        ...

    def gathered(self, value: T) -> list[T]:
        """The value of each, in their order."""
        ...

    def total(self, part: Tensor) -> Tensor:
        """The sum of i64 tensors of one shape, which is the same in any order."""
        ...

    def led(self, action: Callable[[], T], serve: Callable[[Any], object]) -> T:
        """The first acts, all are given its result. Whatever it `ask`s for, the others do with `serve` meanwhile."""
        ...

    def ask(self, request: object) -> None:
        """Inside `led`, of the first: the others serve `request`."""
        ...


def in_order(team: Team, own: Mapping[int, T]) -> list[T]:
    """What all processes have of each part, by its number, in the order of the parts; `own` is what this one has."""
    found = {number: part for each in team.gathered(own) for number, part in each.items()}
    return [found[number] for number in sorted(found)]


class Lone:
    """A team of one process."""

    rank = 0
    size = 1
    lockstep = False

    def round(self, where: str) -> None:
        return

    def gathered(self, value: T) -> list[T]:
        return [value]

    def total(self, part: Tensor) -> Tensor:
        return part

    def led(self, action: Callable[[], T], serve: Callable[[Any], object]) -> T:
        return action()

    def ask(self, request: object) -> None:
        return


ALONE = Lone()


class Split:
    """N labelled images in memory; another that reads them part by part is a class below this one.

    An evaluator that goes through `parts`, or asks a subject for features, can measure on splits of any size.
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        """f32 `images` [N, 3, H, W], normalised as in training; i64 `labels` [N]; both on the host."""
        self._images, self._labels = images, labels

    @property
    def images(self) -> Tensor:
        """f32 [N, 3, H, W] on the host, all in memory at once. Raises EvaluationError (M3I0756) for too many."""
        return self._images

    @property
    def labels(self) -> Tensor:
        """i64 [N] on the host; all 0 of data without categories."""
        return self._labels

    @property
    def broken(self) -> tuple[str, ...]:
        """The samples that were found to be unreadable, each with the reason: they are not among the N."""
        return ()

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self._images.shape[-2:]
        return height, width

    def parts(self, team: Team = ALONE) -> Iterator[tuple[int | None, Tensor]]:
        """(number of the part, its images f32 [n, 3, H, W]): of all parts those that fall to this process.

        Where the `team` is in lockstep, each process is given equally many; those to make up the number are None, with
        images that are to be computed and of no account.
        """
        pieces = list(self._images.split(PART)) if len(self._images) else []
        for first in range(0, len(pieces), team.size):
            team.round(f"part {first + 1} of {len(pieces)}")
            number = first + team.rank
            if number < len(pieces):
                yield number, pieces[number]
            elif team.lockstep:
                yield None, pieces[0][:1]

    def places(self) -> list[range]:
        """The places of each part's images among all N."""
        count = len(self.labels)
        return [range(start, min(start + PART, count)) for start in range(0, count, PART)]

    def some(self, places: Sequence[int]) -> Tensor:
        """f32 [P, 3, H, W]: the images at `places`."""
        return self._images[list(places)]


@dataclass(frozen=True, eq=False)
class Splits:
    """What is measured on. `categories` are the names in label order, `device` is where large computations run, and
    `team` the processes that call a `measure` which is made on all of them.
    """

    train: Split
    test: Split
    categories: tuple[str, ...]
    device: torch.device | str = "cpu"
    team: Team = ALONE
