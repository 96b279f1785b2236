"""Randomness of data as a pure function.

Takes: (seed, epoch, sample ids, slot). Gives: uniform numbers for each sample that depend on nothing else: not on the
batch, the order, the process or the number of workers. Guarantees: the same four give the same bits on every machine.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GOLDEN = 0x9E3779B97F4A7C15
"""The odd constant of SplitMix64: 2**64 divided by the golden ratio."""

_TRIES = 16


@dataclass(frozen=True, eq=False)
class Draws:
    """The random numbers of one slot ("view1/crop", "view1/mask") for a batch of samples.

    `samples` holds the B sample ids (positions in the source, not in the batch).
    """

    seed: int
    epoch: int
    samples: NDArray[np.int64]
    slot: str

    def at(self, slot: str) -> Draws:
        """The draws of a slot inside this one."""
        return Draws(self.seed, self.epoch, self.samples, f"{self.slot}/{slot}")

    def uniform(self, *shape: int) -> NDArray[np.float64]:
        """float64 [B, *shape] in [0, 1). Each call with the same shape returns the same numbers: use slots to differ.

        SplitMix64 in counter mode: the key mixes seed, epoch and slot, then the sample id; the counter is the index of
        the number within the sample.
        """
        import numpy as np

        keys = mixed(np.uint64(self._key()) ^ mixed(self.samples.astype(np.uint64) + np.uint64(GOLDEN)))
        counters = np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * np.uint64(GOLDEN)
        bits = mixed(keys[:, None] + counters[None, :])
        return ((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(len(self.samples), *shape)

    def between(self, low: float, high: float) -> NDArray[np.float64]:
        """float64 [B], uniform in [low, high)."""
        return low + (high - low) * self.uniform()

    def beta(self, alpha: float) -> NDArray[np.float64]:
        """float64 [B] in [0, 1], from Beta(alpha, alpha), alpha > 0."""
        import numpy as np

        logits = self.at("second")._log_gamma(alpha) - self.at("first")._log_gamma(alpha)
        return 1 / (1 + np.exp(np.clip(logits, -700, 700)))

    def _log_gamma(self, shape: float) -> NDArray[np.float64]:
        """The log of Gamma(shape, 1): the first of `_TRIES` that is accepted (Marsaglia, Tsang 2000); each is in more
        than 19 of 20 cases.
        """
        import numpy as np

        d = (shape if shape >= 1 else shape + 1) - 1 / 3
        one, other = (1 - self.at(name).uniform(_TRIES) for name in ("radius", "angle"))
        x = np.sqrt(-2 * np.log(one)) * np.cos(2 * np.pi * other)
        v = np.maximum((1 + x / math.sqrt(9 * d)) ** 3, 1e-300)
        accepted = np.log(1 - self.at("accept").uniform(_TRIES)) < 0.5 * x**2 + d * (1 - v + np.log(v))
        rows = np.arange(len(x))
        gamma = np.log(d * v[rows, accepted.argmax(axis=1)])
        return gamma if shape >= 1 else gamma + np.log(1 - self.at("boost").uniform()) / shape

    def _key(self) -> int:
        return key_of(f"{self.seed}\0{self.epoch}\0{self.slot}")


def key_of(text: str) -> int:
    """A 64-bit key for a name."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014), element by element on arrays; wraps around silently."""
    import numpy as np

    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
