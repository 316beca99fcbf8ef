"""Which records meet in which step: drawn by seed and step, by nothing else.

Every pass over a set is a fresh seeded permutation, cut into batches one after the other, so each record is used once
a pass (no sampling with replacement) and step k's batch can be computed without steps 0 to k-1, whichever process or
worker asks. A batch may straddle two passes; a set smaller than a batch is repeated inside it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from ..core.types import Samples


@dataclass(frozen=True)
class Partners:
    """Batches of ``size`` from ``samples``. ``name`` keeps the draws of two sets with the same seed apart.

    >>> draws = Partners(Samples.of("abcde"), 2, seed=0)
    >>> sorted(s.text for k in range(5) for s in draws.batch(k))  # two passes
    ['a', 'a', 'b', 'b', 'c', 'c', 'd', 'd', 'e', 'e']
    >>> draws.batch(3) == Partners(Samples.of("abcde"), 2, seed=0).batch(3)
    True
    """

    samples: Samples
    size: int
    seed: int = 0
    name: str = ""

    def batch(self, step: int) -> Samples:
        """The records of one step; empty when the set is."""
        return self.samples.take(drawn(len(self.samples), self.size, step, self.seed, self.name))


def drawn(n: int, size: int, step: int, seed: int = 0, name: str = "") -> list[int]:
    """Which ``size`` of ``n`` things meet in one step; none when there is none."""
    if n == 0:
        return []
    at = range(step * size, (step + 1) * size)
    orders = {epoch: _order(n, epoch, seed, name) for epoch in sorted({i // n for i in at})}
    return [int(orders[i // n][i % n]) for i in at]


def _order(n: int, epoch: int, seed: int, name: str) -> np.ndarray:
    return np.random.default_rng([seed, zlib.crc32(name.encode()), epoch]).permutation(n)
