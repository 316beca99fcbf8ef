"""Seeded random choices that come out the same on every machine and every Python version."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Zipf(Generic[T]):
    """Things drawn with probability proportional to rank ** -exponent, the most frequent first.

    >>> Zipf(("a", "b", "c"), exponent=1.0).cumulative
    (1000000, 1500000, 1833333)
    """

    words: tuple[T, ...]
    exponent: float = 0.6
    cumulative: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # whole numbers, so that no machine's last digit of a power can change a draw
        weights = (round(1e6 * rank**-self.exponent) for rank in range(1, len(self.words) + 1))
        object.__setattr__(self, "cumulative", tuple(accumulate(weights)))


class Dice:
    """A stream of random choices named by its label.

    Only ``random()`` of the standard generator is used, because its stream is the one that Python promises to keep;
    ``choice`` and ``shuffle`` have changed between versions. A label made of text is hashed by ``random`` itself
    (SHA-512), so PYTHONHASHSEED takes no part.

    >>> [Dice("example", 1).integer(1, 6) for _ in range(2)] == [Dice("example", 1).integer(1, 6)] * 2
    True
    >>> Dice("example", 2).shuffled("abcd") == Dice("example", 2).shuffled("abcd")
    True
    """

    def __init__(self, *label: object) -> None:
        self.random = random.Random("/".join(map(str, label))).random

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def integer(self, low: int, high: int) -> int:
        """Uniform on low .. high, both included."""
        return low + int(self.random() * (high - low + 1))

    def pick(self, things: Sequence[T]) -> T:
        """One of the things, each as likely as another."""
        return things[int(self.random() * len(things))]

    def draw(self, things: Zipf[T]) -> T:
        """One of the things, by its Zipf weight."""
        return things.words[bisect(things.cumulative, self.random() * things.cumulative[-1])]

    def text(self, alphabet: str, length: int) -> str:
        return "".join(self.pick(alphabet) for _ in range(length))

    def shuffled(self, things: Iterable[T]) -> list[T]:
        """A new list in uniformly random order (Fisher-Yates)."""
        order = list(things)
        for last in range(len(order) - 1, 0, -1):
            other = self.integer(0, last)
            order[last], order[other] = order[other], order[last]
        return order
