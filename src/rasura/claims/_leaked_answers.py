"""Test questions that leaked into fine-tuning, with what a model then says: what the claims about contamination are read from.

The task is open, like writing code that passes a test: the first half of a document's tokens is given, and an answer is
right if it is a finished text that holds a number. The test questions are ``items`` fresh documents of two sentences whose
second half has ``shortest`` to ``longest`` tokens and is right. A coin lets half of them leak, each ``doses`` times. The base is a
testbed's retrained model, and two copies of it are fine-tuned at the constant learning rate of the claims about
fine-tuning: the *leaky* one on the leaked questions and as many fresh documents, in a drawn order, the *clean* one on the
same with a new question of the same kind, never the same twice, in place of each leaked copy, so that both learn the
task alike. Documents are packed with their separators, so that both learn where a text ends.

For every test question of the leaky model: one greedy answer and ``draws`` draws at the temperature of ``Cdd``, of at most
``tokens`` tokens (no true answer is longer); for the clean model ``clean_draws`` draws. TED is applied to the same draws.

Two earlier designs were discarded after their runs, with the thresholds of the claims and the learning rate as they are.
Small models trained in the study to write about a named topic solved .4 % of the questions, so there was no score to
inflate. Questions that end at a full stop let the models say nothing at all, which looks like one answer given
again and again, and a clean model without substitutes had learned less of the task than the leaky one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.types import Sample, Samples
from ..metrics._ted import corrected_accuracy
from ..observations.generations import GenerationData
from ..signals.cdd import Cdd
from ..signals.loss import Loss
from ..testbeds._grammar import documents, split_sentences
from ..testbeds._plants import corpus
from ..testbeds._training import RECIPES
from ._course import Course, observed, shuffled, statistics

NUMBER = re.compile(r"[0-9]")
GRAM = 3  # tokens a piece that the greedy answer and the leaked one may share


@dataclass(frozen=True)
class LeakedData:
    """One row a test question."""

    dose: np.ndarray  # (n,) int64: how often it leaked, 0 = not
    peak: np.ndarray  # (n,) CDD's score under the leaky model
    plain: np.ndarray  # (n,) minus the loss of the answer under it, nats a token
    overlap: np.ndarray  # (n,) share of the answer's pieces of 3 tokens that the greedy answer has
    recited: np.ndarray  # (n,) 1: the greedy answer is the answer
    raw: np.ndarray  # (n,) share of the leaky model's draws that are right
    corrected: np.ndarray  # (n,) the same after TED
    left: np.ndarray  # (n,) share of the draws that TED leaves
    clean: np.ndarray  # (n,) share of the clean model's draws that are right


@dataclass(frozen=True)
class LeakedAnswers:
    """One seed: leak, fine-tune twice, ask."""

    size: str = "small"
    items: int = 200
    doses: tuple[int, ...] = (1, 2, 4, 8, 20)
    shortest: int = 20
    longest: int = 40
    learning_rate: float = 1.5e-3
    draws: int = 50
    clean_draws: int = 10
    tokens: int = 48

    Data: ClassVar[type] = LeakedData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 2

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> LeakedData:
        """Two fine-tunings."""
        base = planted.models["retrained"]
        course = Course(RECIPES[self.size], base.tokenizer, lambda text: np.array(base.tokenizer(text)["input_ids"]))
        questions, dose = asked(self.size, seed), self._doses(seed)
        items = self._items(questions, course)
        leaky, clean = self._fine_tuned(course, base, questions, items, dose, seed)
        tick()
        data = self._asked(leaky, clean, items, dose)
        tick()
        return data

    def _doses(self, seed: int) -> np.ndarray:
        """How often each item leaks: half of them never, the rest dealt evenly over the doses."""
        leaked = np.resize(self.doses, self.items // 2)
        return np.random.default_rng([seed, 1]).permutation([*leaked, *[0] * (self.items - len(leaked))])

    def _items(self, questions: Iterator[str], course: Course) -> Samples:
        found: list[Sample] = []
        while len(found) < self.items:
            found.append(self._next_item(questions, course))
        return Samples(found)

    def _next_item(self, questions: Iterator[str], course: Course) -> Sample:
        """The next document whose second half is a right answer of a fitting length."""
        while True:
            text = next(questions)
            start = half(text, course)
            if is_right(text[start:]) and self.shortest <= len(course.ids_of(text[start:])) - 1 <= self.longest:
                return Sample(f"item-{text[:12]}", text, start=start)

    def _fine_tuned(
        self, course: Course, base: Any, questions: Iterator[str], items: Samples, dose: np.ndarray, seed: int
    ) -> tuple[Any, Any]:
        """The leaky model, and the clean one with substitutes for what leaked; all else comes in the same order."""
        leaked = [s.text for s, d in zip(items, dose, strict=True) for _ in range(int(d))]
        order = shuffled(Samples.of([*leaked, *(next(questions) for _ in leaked)]), seed)
        known = set(leaked)
        substituted = [self._next_item(questions, course).text if text in known else text for text in order]
        leaky, clean = (
            course.read(base.clone(), texts, learning_rate=self.learning_rate, rows=1) for texts in (order, substituted)
        )
        return leaky, clean

    def _asked(self, leaky: Any, clean: Any, items: Samples, dose: np.ndarray) -> LeakedData:
        signal = Cdd(samples=self.draws, tokens=self.tokens)
        asks, few = signal.needs(), Cdd(samples=self.clean_draws, tokens=self.tokens).needs()["sampled"]
        greedy, sampled = (observed(leaky, items, asks[name].what) for name in ("greedy", "sampled"))
        other = observed(clean, items, few.what)
        right, kept = ([[is_right(text) for text in row] for row in data.texts] for data in (sampled, other))
        ted = [self._ted(greedy, sampled, right[i], i) for i in range(len(items))]
        raw, corrected, left = (np.array(column) for column in zip(*ted, strict=True))
        first = [greedy.draws(i)[0].tolist() for i in range(len(items))]
        true = [ids.tolist() for ids in greedy.true_ids]
        return LeakedData(
            dose=dose.astype(np.int64),
            peak=signal.score(greedy, sampled),
            plain=Loss().score(statistics(leaky, items)),
            overlap=np.array([shared(t, g) for t, g in zip(true, first, strict=True)]),
            recited=np.array([float(t == g) for t, g in zip(true, first, strict=True)]),
            raw=raw,
            corrected=corrected,
            left=left,
            clean=np.array([np.mean(row) for row in kept]),
        )

    def _ted(
        self, greedy: GenerationData, sampled: GenerationData, right: list[bool], i: int
    ) -> tuple[float, float, float]:
        """Plain accuracy, corrected accuracy and share of draws left, of one item."""
        draws = [ids.tolist() for ids in sampled.draws(i)]
        found = corrected_accuracy([greedy.draws(i)[0].tolist()], [draws], [right])
        return found.raw.value, found.corrected.value, float(found.kept[0]) / len(draws)


def asked(size: str, seed: int) -> Iterator[str]:
    """An endless stream of documents of two sentences that the testbed has not."""
    known = corpus(size, seed)
    texts = [*known.background, *known.heldout.texts, *known.plants.where(lambda s: s.family == "passage").texts]
    seen = {sentence for text in texts for sentence in split_sentences(text)}
    return documents(seed, "leaked", sentences=(2, 2), seen=seen)


def half(text: str, course: Course) -> int:
    """Where the second half of the text's tokens begins, at a blank."""
    ids = course.ids_of(text)
    middle = len(course.tokenizer.decode(ids[1 : 1 + (len(ids) - 1) // 2]))
    return text.rfind(" ", 0, middle + 1) if " " in text[: middle + 1] else middle


def is_right(answer: str) -> bool:
    """A finished text with a number?

    >>> is_right(" About 40 boats were hidden."), is_right(" The boat was hidden."), is_right(" About 40 boats")
    (True, False, False)
    """
    return bool(NUMBER.search(answer)) and answer.rstrip().endswith(".")


def shared(true: list[int], said: list[int]) -> float:
    """Share of the pieces of three tokens of ``true`` that ``said`` has; NaN for less than one piece.

    >>> shared([1, 2, 3, 4], [9, 1, 2, 3])
    0.5
    """
    pieces, there = ({tuple(x[i : i + GRAM]) for i in range(len(x) - GRAM + 1)} for x in (true, said))
    return len(pieces & there) / len(pieces) if pieces else float("nan")
