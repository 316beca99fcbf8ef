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
        n = len(self.samples)
        if n == 0:
            return Samples()
        at = range(step * self.size, (step + 1) * self.size)
        orders = {epoch: self._order(epoch) for epoch in sorted({i // n for i in at})}
        return self.samples.take(orders[i // n][i % n] for i in at)

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, zlib.crc32(self.name.encode()), epoch]).permutation(len(self.samples))
