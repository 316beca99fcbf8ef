"""LexiMark: texts whose words were replaced by rare synonyms are told from unseen ones better than plain texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..observations._engine import Progress, quiet
from ..stats.intervals import mean_estimate
from ..stats.roc import auc_estimate
from ._decide import Inequality, verdict, words
from ._marked_texts import ARMS, PLAIN, RANDOM, RARE, MarkedData, MarkedTexts
from ._pool import average, contrast, pooled_auc
from ._seeds import each_seed


@method(paper="arXiv:2506.14474")
@dataclass(frozen=True)
class LexicalMarksAreDetectedBetter:
    """Rare synonyms raise the AUC of Min-K%++ by ``gain_at_least`` at 1, 2 and 4 copies, and by more than random ones.

    A small model reads texts of three arms, which a coin assigned: plain, marked with rare synonyms, and with a random
    synonym in the same places (see ``_marked_texts``). AUC of Min-K%++ (20 %), members of all three doses over
    non-members that were marked in the same way: rare minus plain at least ``gain_at_least``, rare minus random above
    nothing; differences of two estimates within a seed, averaged over seeds. Bounds frozen before the run.

    Source: German, Antebi, Habler, Shabtai and Elovici, "LexiMark: robust watermarking via lexical substitutions to
    enhance membership verification of an LLM's textual training data", 2025. Deviations: pretraining of a small model on
    generated texts; synonyms from a table made of the generator's own words, so that every substitute is grammatical and
    has been read elsewhere.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: MarkedTexts = MarkedTexts()
    gain_at_least: float = 0.05

    about: ClassVar[tuple[str, ...]] = ("provenance.lexical_mark",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[MarkedData]) -> Verdict:
        """The rule, on what was measured."""
        over_plain, over_random = (_gain(seeds, RARE, other) for other in (PLAIN, RANDOM))
        parts = (
            Inequality("AUC of rare synonyms minus AUC of plain texts", over_plain, ">=", self.gain_at_least),
            Inequality("AUC of rare synonyms minus AUC of random ones", over_random, ">", 0.0),
        )
        level = {arm: average([_unseen(data, arm) for data in seeds]) for arm in ARMS}
        once, never = (_shift(seeds, lambda dose, yes=yes: (dose > 0) == yes) for yes in (True, False))
        return verdict(
            type(self).name,
            parts,
            theirs="substituted texts are told better than the originals and than texts with random substitutes (fine-tuned and pretrained models up to 7 B)",
            found=(
                f"{_strangeness(level)} The owner's paired statistic, published minus twin, is {words(once)} nats a text where "
                f"the marked text was read and {words(never)} where it was not."
            ),
            table=_table(seeds),
        )


def _sides(data: MarkedData, arm: str, column: str, dose: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Members (of one dose, or of all) and non-members of an arm."""
    scores, mine = getattr(data, column), data.kind == arm
    return scores[mine & ((data.dose == dose) if dose else (data.dose > 0))], scores[mine & (data.dose == 0)]


def _gain(seeds: Sequence[MarkedData], arm: str, other: str, column: str = "lowest") -> Estimate:
    each = [[auc_estimate(*_sides(data, a, column)) for a in (arm, other)] for data in seeds]
    return average([contrast(a, b) for a, b in each])


def _strangeness(level: dict[str, Estimate]) -> str:
    """What the substitutes do to texts that nobody has read."""
    stranger = "stranger" if level[RARE].value < level[PLAIN].value else "no stranger"
    return (
        f"To this model the rare synonyms are {stranger} than the words they replace: texts never read have "
        f"{words(level[RARE])} nats a token with them and {words(level[PLAIN])} without."
    )


def _unseen(data: MarkedData, arm: str) -> Estimate:
    return mean_estimate(data.score[(data.kind == arm) & (data.dose == 0)], "nats a token")


def _shift(seeds: Sequence[MarkedData], which: object) -> Estimate:
    rows = [data.shift[(data.kind == RARE) & which(data.dose)] for data in seeds]  # type: ignore[operator]
    return average([mean_estimate(r, "nats a text") for r in rows])


def _table(seeds: Sequence[MarkedData]) -> list[tuple[str, ...]]:
    doses = sorted({int(d) for data in seeds for d in data.dose[data.kind == PLAIN] if d > 0})
    head = ("texts", "score", *(f"AUC at {d}x" for d in doses), "AUC, all of these", "minus plain texts")
    rows = [head]
    for arm in ARMS:
        for column, name in (("lowest", "Min-K%++"), ("score", "loss")):
            aucs = [pooled_auc([[_sides(data, arm, column, d)] for data in seeds]) for d in (*doses, 0)]
            gain = "" if arm == PLAIN else words(_gain(seeds, arm, PLAIN, column))
            rows.append((arm, name, *map(words, aucs), gain))
    shifts = [_shift(seeds, lambda dose, d=d: dose == d) for d in doses]
    return [*rows, (RARE, "published minus twin, nats a text", *map(words, shifts), "", "")]
