"""TED: leaving out recitations takes back most of what leaked questions added to a score, and little from the others."""

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
from ._decide import Inequality, number, verdict, words
from ._leaked_answers import LeakedAnswers, LeakedData
from ._pool import average
from ._seeds import each_seed

UNIT = "share of draws"


@method(paper="arXiv:2402.15938")
@dataclass(frozen=True)
class TedTakesBackTheInflatedScore:
    """TED removes half of the accuracy gained by leaks, and takes at most 5 points from questions that did not leak.

    On questions that leaked ``often`` times or more: the leaky model's accuracy minus that of the clean model, which was
    fine-tuned on the same texts with others in their place, is above zero; and TED lowers the leaky model's accuracy by at least
    ``part_at_least`` of that gain. On questions that did not leak it lowers it by at most ``fall_at_most``. Means over
    questions with t intervals, averaged over seeds; see ``_leaked_answers``. Bounds frozen before the run.

    Source: Dong, Jiang, Liu, Jin, Gu, Yang and Li, "Generalization or memorization: data contamination and trustworthy
    evaluation for large language models", ACL Findings 2024. Deviation: a small model and an open writing task
    (an end with a number in it), where theirs are code models and unit tests.

    Two earlier set-ups of the study were given up after their numbers were seen, thresholds untouched: in the first the
    clean model solved .4 % of the questions (not resolvable), in the second questions that never leaked gained .24 (fails
    here, at a gain of .32). Read this outcome with that in mind.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: LeakedAnswers = LeakedAnswers()
    often: int = 8
    part_at_least: float = 0.5
    fall_at_most: float = 0.05

    about: ClassVar[tuple[str, ...]] = ()
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[LeakedData]) -> Verdict:
        """The rule, on what was measured."""
        often = [data.dose >= self.often for data in seeds]
        gain = _mean(seeds, often, lambda d: d.raw - d.clean)
        surplus = _mean(seeds, often, lambda d: (d.raw - d.corrected) - self.part_at_least * (d.raw - d.clean))
        fall = _mean(seeds, [data.dose == 0 for data in seeds], lambda d: d.raw - d.corrected)
        parts = (
            Inequality("accuracy gained by the leak", gain, ">", 0.0),
            Inequality(f"taken back by TED, less {number(self.part_at_least)} of the gain", surplus, ">=", 0.0),
            Inequality("fall of questions that did not leak", fall, "<=", self.fall_at_most),
        )
        residue = _mean(seeds, often, lambda d: d.corrected - d.clean)
        empty = _mean(seeds, often, lambda d: (d.left == 0).astype(float))
        return verdict(
            type(self).name,
            parts,
            theirs="up to 66.9 % of the improvement by contamination taken back, at little cost to clean models",
            found=(
                f"After TED the leaky model's accuracy on these questions is {words(residue)} above the clean model's; of a "
                f"share of {words(empty)} of them no draw is left, and those count as failed."
            ),
            table=_table(seeds),
        )


def _mean(seeds: Sequence[LeakedData], rows: Sequence[np.ndarray], of: object) -> Estimate:
    return average([mean_estimate(of(data)[mine], UNIT) for data, mine in zip(seeds, rows, strict=True)])  # type: ignore[operator]


def _table(seeds: Sequence[LeakedData]) -> list[tuple[str, ...]]:
    columns = {
        "clean": "right, clean model",
        "raw": "right, leaky model",
        "corrected": "after TED",
        "left": "draws left",
    }
    rows = [("leaks", "questions", *columns.values())]
    for dose in sorted({int(d) for data in seeds for d in data.dose}):
        mine = [data.dose == dose for data in seeds]
        means = [words(_mean(seeds, mine, lambda d, c=c: getattr(d, c))) for c in columns]
        rows.append((str(dose), str(sum(int(m.sum()) for m in mine)), *means))
    return rows
