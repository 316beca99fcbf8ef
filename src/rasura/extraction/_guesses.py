"""An attacker's guesses at one record: draws cut to the length asked for, each counted once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Guesses:
    """Distinct guesses in the order of their first appearance."""

    tokens: tuple[tuple[int, ...], ...]
    counts: np.ndarray  # (u,) int64
    first: np.ndarray  # (u,) int64: number of the draw that said it first

    def right(self, true: np.ndarray) -> np.ndarray:
        """Which guesses are exactly ``true``: (u,) bool. Suffix tokens alone are compared, never the prompt."""
        wanted = tuple(map(int, true))
        return np.array([guess == wanted for guess in self.tokens], dtype=bool)


def distinct(draws: Sequence[np.ndarray], tokens: int) -> Guesses:
    """The different beginnings of ``tokens`` tokens among the draws.

    A draw that went on after the end of the record's suffix says the same as one that stopped there:

    >>> found = distinct([np.array([5, 6, 7]), np.array([5, 6]), np.array([5, 9, 9])], 2)
    >>> found.tokens, found.counts.tolist(), found.first.tolist()
    (((5, 6), (5, 9)), [2, 1], [0, 2])
    """
    seen: dict[tuple[int, ...], list[int]] = {}
    for j, draw in enumerate(draws):
        seen.setdefault(tuple(map(int, draw[:tokens])), []).append(j)
    counts = np.array([len(where) for where in seen.values()], dtype=np.int64)
    return Guesses(tuple(seen), counts, np.array([where[0] for where in seen.values()], dtype=np.int64))
