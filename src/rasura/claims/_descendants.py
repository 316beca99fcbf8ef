"""Models trained in different orders, and which order each gives away: what the claim about descent is read from.

``runs`` models are trained on the same ``texts``, each text read once, each model with weights and an order of its own,
at a constant learning rate; a child of each is trained further on new texts, ``new_share`` as many. The order of model i is
put to model i itself, to its child, and to model i + 2, which is independent of it; the reference is model i + 1 (counted
round). So every p value has an order of its own and a reference that does not share it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.types import Samples
from ..data.transcripts import Transcript
from ..observations.token_statistics import TokenData
from ..provenance.palimpsest_query import PalimpsestQuery
from ._course import Course, fresh_documents, numbered, statistics

SELF, CHILD, OTHER = "the model itself", "its child", "another order"


@dataclass(frozen=True)
class DescentData:
    """One row a suspect."""

    kind: np.ndarray  # (n,) str
    correlation: np.ndarray  # (n,) of position and what is known beyond the reference
    p_value: np.ndarray  # (n,) by orders drawn at random
    student: np.ndarray  # (n,) the same by Student's approximation
    alone: np.ndarray  # (n,) correlation without a reference
    alone_student: np.ndarray  # (n,) its p value


@dataclass(frozen=True)
class Descendants:
    """One seed: train the models and their children, test every order."""

    size: str = "small"
    texts: int = 3000
    runs: int = 6
    new_share: float = 0.05
    draws: int = 1999

    testbed: ClassVar[str] = ""
    Data: ClassVar[type] = DescentData
    modules: ClassVar[tuple[str, ...]] = ()

    @property
    def ticks(self) -> int:
        return 2 * self.runs

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> DescentData:
        """``runs`` trainings."""
        seen: set[str] = set()
        texts = fresh_documents(self.texts, seed, "descent", sentences=(2, 2), seen=seen)
        samples, n = numbered(texts, "text"), round(self.new_share * len(texts))
        course = Course.of(self.size, texts)
        orders, known, children = [], [], []
        for i in range(self.runs):
            orders.append(np.random.default_rng([seed, 2, i]).permutation(len(texts)))
            model = course.read(course.untrained(1000 * seed + i), [texts[k] for k in orders[i]])
            known.append(statistics(model, samples))
            new = fresh_documents(n, seed, "descent", i, sentences=(2, 2), seen=seen)
            children.append(statistics(course.read(model, new), samples))
            tick()
        rows = []
        for i in range(self.runs):
            transcript, reference = _transcript(samples, orders[i]), known[(i + 1) % self.runs]
            suspects = {SELF: known[i], CHILD: children[i], OTHER: known[(i + 2) % self.runs]}
            rows += [(kind, *self._tested(transcript, data, reference)) for kind, data in suspects.items()]
            tick()
        kind, *numbers = zip(*rows, strict=True)
        return DescentData(np.array(kind, dtype=object), *(np.array(x, dtype=np.float64) for x in numbers))

    def _tested(self, transcript: Transcript, suspect: TokenData, reference: TokenData) -> tuple[float, ...]:
        whole = {"prefix_tokens": 0, "window": 0}  # the texts are shorter than the published 64 tokens
        exact, student, _ = PalimpsestQuery(**whole, draws=self.draws).test(transcript, suspect, reference)
        _, alone = PalimpsestQuery(**whole, draws=1).test(transcript, suspect)
        return exact.statistic.value, exact.p_value, student.p_value, alone.statistic.value, alone.p_value


def _transcript(samples: Samples, order: np.ndarray) -> Transcript:
    """``order``: which text came first, second, ..."""
    return Transcript(samples, np.argsort(order).astype(np.float64), np.full(len(samples), -1, dtype=np.int64))
