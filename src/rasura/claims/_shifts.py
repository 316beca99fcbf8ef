"""What texts alone give away: on the testbed's randomised design, and on members and others of different topics.

*Design*: the passages of a corpus, members against others; the testbed's own corpus and ``designs - 1`` more, drawn by
the same generator with other seeds, which need no model. *Shifted*: members are the passages on the first half of the
generator's topics, others the never-seen passages on the second half; here the model has its say too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask, Samples
from ..observations._engine import Engine
from ..observations.token_statistics import TokenStatistics
from ..signals.loss import Loss
from ..signals.min_k import MinK
from ..signals.min_k_plus_plus import MinKPlusPlus
from ..signals.reference import Reference
from ..signals.zlib import Zlib
from ..stats.blind import Blind, blind_baseline
from ..testbeds._dice import Dice
from ..testbeds._grammar import Story
from ..testbeds._plants import corpus
from ..testbeds._world import world

OF_TARGET = (Loss(), Zlib(), MinK(), MinKPlusPlus())
COLUMNS = ("loss", "zlib", "Min-K%", "Min-K%++", "difference to the reference model")
DESIGN, SHIFTED, TEXT = "design", "shifted", "text"


@dataclass(frozen=True)
class ShiftData:
    """One row a blind classifier (DESIGN, SHIFTED) or a text of the shifted benchmark (TEXT)."""

    what: np.ndarray  # (n,) str
    blind: np.ndarray  # (n, 4) AUC, its interval, p value; NaN for texts
    dose: np.ndarray  # (n,) int64: copies an epoch, 0 never seen; for a classifier how many texts it saw
    scores: np.ndarray  # (n, 5) by COLUMNS; NaN for classifiers


@dataclass(frozen=True)
class Shifts:
    """One seed: the blind classifier on many designs, everybody on the shifted benchmark."""

    size: str = "small"
    designs: int = 10
    dose: int = 1  # copies an epoch of the shifted benchmark's members: what a crawl holds is mostly held once

    Data: ClassVar[type] = ShiftData
    modules: ClassVar[tuple[str, ...]] = ()

    @property
    def ticks(self) -> int:
        return self.designs + 1

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> ShiftData:
        """Classifiers on texts, and one pass of target and reference model."""
        rows = []
        for k in range(self.designs):
            plants = corpus(self.size, seed if k == 0 else 1000 * (seed + 1) + k).plants
            rows.append(_classified(DESIGN, *_sides(plants), seed))
            tick()
        members, others = _sides(Samples([*planted.members, *planted.nonmembers]))
        topics = topic_of({*members.texts, *others.texts}, seed)
        half = len(world().topics) // 2
        members = members.where(lambda s: s.repeats == self.dose and topics[s.text] < half)
        others = others.where(lambda s: topics[s.text] >= half)
        rows.append(_classified(SHIFTED, members, others, seed))
        rows.append(_scored(planted.models, Samples([*members, *others])))
        tick()
        return ShiftData(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def topic_of(texts: set[str], seed: int) -> dict[str, int]:
    """The number of the topic each passage was written on, by writing the generator's passages again."""
    names = [topic.name for topic in world().topics]
    found: dict[str, int] = {}
    for number in count():
        dice = Dice(seed, "passage", number)
        story = Story(world(), dice)
        text = " ".join(story.sentences(dice.integer(2, 2)))
        if text in texts:
            found[text] = names.index(story.topic.name)
        if len(found) == len(texts) or number > 100 * len(texts):
            return found
    raise AssertionError("count() never ends")


def _sides(plants: Samples) -> tuple[Samples, Samples]:
    """Passages trained on, and the others."""
    passages = plants.where(lambda s: s.family == "passage")
    return passages.where(lambda s: bool(s.repeats)), passages.where(lambda s: not s.repeats)


def _classified(what: str, members: Samples, others: Samples, seed: int) -> tuple[np.ndarray, ...]:
    found: Blind = blind_baseline(members.texts, others.texts, seed=seed)
    numbers = np.array([[found.auc.value, found.auc.low, found.auc.high, found.p_value]])
    sides = len(members) + len(others)
    return np.array([what], dtype=object), numbers, np.array([sides]), np.full((1, len(COLUMNS)), np.nan)


def _scored(models: Any, texts: Samples) -> tuple[np.ndarray, ...]:
    engine = Engine(store=Store())
    target, reference = (engine.observe(Ask(TokenStatistics(), of=r), models, texts) for r in ("target", "reference"))
    scores = [*(signal.score(target) for signal in OF_TARGET), Reference().score(target, reference)]
    n, dose = len(texts), np.array([s.repeats or 0 for s in texts], dtype=np.int64)
    return np.array([TEXT] * n, dtype=object), np.full((n, 4), np.nan), dose, np.stack(scores, axis=1)
