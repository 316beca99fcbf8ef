"""The last part of a training in many orders, and whose text is whose: what the claim about text alone is read from.

A small model reads ``texts`` documents once in a drawn order, at a constant learning rate; the last ``last`` of them are
read ``orders`` times, from the same checkpoint and each time in another order drawn at random, the optimiser starting
anew. No order is more the true one than another: trial i takes order i for the true one and the others for the reshuffled,
and tests text of ``prompts`` continuations, ``new_tokens`` tokens each after ``prompt_tokens`` of a document never read:

- *base*: text of model i, one trial an order;
- *child*: text of a copy of it trained further on new documents, ``new_share`` as many as in the training;
- *outsider*: text of a model that read the same documents in another order from the start, ``outsiders`` trials.

No text is used twice. Beside that the partition test, without any model: the text of all bases together (and of the
outsider), by the position of the documents before the last phase, which is the same for all bases.

The retrained true order is the base itself, bit for bit, because both are made by the same steps on one thread.
Deviation: a continuation is scored as text, so its tokens may be cut differently than they were drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.store import take
from ..core.types import Sample, Samples
from ..data.transcripts import Transcript
from ..observations.generations import Generations
from ..provenance.palimpsest_observational import PalimpsestObservational
from ._course import Course, fresh_documents, numbered, observed, statistics

BASE, CHILD, OUTSIDER = "base", "child", "outsider"
PARTITION = {BASE: "partition, bases", OUTSIDER: "partition, outsider"}
LENGTHS = (3, 6)  # sentences a document


@dataclass(frozen=True)
class LastPhaseData:
    """One row a trial."""

    kind: np.ndarray  # (n,) str
    p_value: np.ndarray  # (n,)
    distance: np.ndarray  # (n,) nats above the mean of the other orders; for a partition the rank correlation
    tokens: np.ndarray  # (n,) scored tokens of the text; for a partition its words


@dataclass(frozen=True)
class LastPhase:
    """One seed: train to the last phase, read it in every order, let all of them write."""

    size: str = "small"
    texts: int = 600
    last: float = 0.1
    orders: int = 20
    new_share: float = 0.05
    outsiders: int = 60
    prompts: int = 10
    prompt_tokens: int = 20
    new_tokens: int = 32
    longest: int = 4  # words of a run in the partition test

    testbed: ClassVar[str] = ""
    Data: ClassVar[type] = LastPhaseData
    modules: ClassVar[tuple[str, ...]] = ()

    @property
    def ticks(self) -> int:
        return self.orders + 2

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> LastPhaseData:
        """One training, and its end in every order."""
        seen: set[str] = set()
        texts = fresh_documents(self.texts, seed, "last", sentences=LENGTHS, seen=seen)
        fresh = _Fresh(seed, seen)
        course = Course.of(self.size, texts)
        rng = np.random.default_rng([seed, 3])
        order, turn = rng.permutation(len(texts)), round((1 - self.last) * len(texts))
        head = [texts[k] for k in order[:turn]]
        before = course.read(course.untrained(1000 * seed), head)
        tick()
        bases, said = [], []
        for i in range(self.orders):
            tail = [texts[k] for k in rng.permutation(order[turn:])]
            bases.append(course.read(before.clone(), tail))
            child = course.read(bases[-1].clone(), fresh(round(self.new_share * len(texts))))
            said += [self._said(kind, i, model, fresh) for kind, model in ((BASE, bases[-1]), (CHILD, child))]
            tick()
        other = [texts[k] for k in rng.permutation(len(texts))]
        outsider = course.read(course.untrained(1000 * seed + 1), other)
        said += [self._said(OUTSIDER, i, outsider, fresh) for i in range(self.outsiders)]
        rows = [*self._tested(bases, said), *self._partitioned(head, said)]
        tick()
        kind, *numbers = zip(*rows, strict=True)
        return LastPhaseData(np.array(kind, dtype=object), *(np.array(x, dtype=np.float64) for x in numbers))

    def _said(self, kind: str, trial: int, model: Any, fresh: _Fresh) -> tuple[str, int, Samples]:
        """The text of one trial: continuations, each with its prompt as context."""
        asked = numbered(fresh(self.prompts), f"{kind}-{trial}")
        drawn = Generations(prefix_tokens=self.prompt_tokens, new_tokens=self.new_tokens, temperature=1.0, seed=trial)
        data = observed(model, asked, drawn)
        prompts = [s.text[: len(s.text) - len(true)] for s, true in zip(asked, data.true_text, strict=True)]
        texts = Samples(
            Sample(s.id, p + row[0], start=len(p)) for s, p, row in zip(asked, prompts, data.texts, strict=True)
        )
        return kind, trial, model.fit(texts, truncate=True)

    def _tested(self, bases: list[Any], said: list[tuple[str, int, Samples]]) -> list[tuple[str, float, float, float]]:
        """Every trial: order ``trial`` (counted round) among all."""
        every = Samples(s for _, _, texts in said for s in texts)
        scored = [statistics(model, every) for model in bases]
        rows, at = [], 0
        for kind, trial, texts in said:
            mine = [take(data, np.arange(at, at + len(texts))) for data in scored]
            at += len(texts)
            true = mine.pop(trial % len(mine))
            others = {f"shuffle_{j + 1}": data for j, data in enumerate(mine)}
            (test,) = PalimpsestObservational().test(texts, true, **others)
            rows.append((kind, test.p_value, test.statistic.value, float(true.tokens.sum())))
        return rows

    def _partitioned(
        self, head: list[str], said: list[tuple[str, int, Samples]]
    ) -> list[tuple[str, float, float, float]]:
        order = np.arange(len(head), dtype=np.float64)
        transcript = Transcript(numbered(head, "head"), order, np.full(len(head), -1, dtype=np.int64))
        rows = []
        for kind, name in PARTITION.items():
            texts = Samples.of(s.text[s.start :] for k, _, written in said if k == kind for s in written)
            test = PalimpsestObservational(longest=self.longest).partition(texts, transcript)
            rows.append((name, test.p_value, test.statistic.value, float(sum(len(t.split()) for t in texts.texts))))
        return rows


class _Fresh:
    """Documents that nobody has read; never the same twice."""

    def __init__(self, seed: int, seen: set[str]) -> None:
        self.seed, self.seen, self.calls = seed, seen, 0

    def __call__(self, n: int) -> list[str]:
        self.calls += 1
        return fresh_documents(n, self.seed, "last", "fresh", self.calls, sentences=LENGTHS, seen=self.seen)
