"""CDD: how alike a model's sampled answers are shows a leaked test question, from text alone, no worse than the loss."""

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
from ..signals.cdd import Cdd
from ..stats.roc import auc_difference
from ._decide import Inequality, verdict, words
from ._leaked_answers import LeakedAnswers, LeakedData
from ._pool import average, pooled_auc, share
from ._seeds import each_seed

SCORES = {"peak": "AUC of CDD", "plain": "AUC of the loss", "overlap": "AUC of pieces of 3 tokens"}


@method(paper="arXiv:2402.15938")
@dataclass(frozen=True)
class CddBeatsLossOnContamination:
    """CDD finds questions that leaked ``often`` times or more with an AUC of .9, and is at most .02 below the loss.

    A testbed's retrained model is fine-tuned on half of 200 test questions, leaked 1 to 20 times each (see ``_leaked_answers``). AUC of
    the peak (50 draws at temperature .8, alpha .05) over questions that did not leak at least ``auc_at_least``, and AUC
    of the peak minus AUC of the answer's loss at least ``gain_at_least``: DeLong's interval within a seed, averaged over
    seeds. Bounds frozen before the run.

    Source: Dong, Jiang, Liu, Jin, Gu, Yang and Li, "Generalization or memorization: data contamination and trustworthy
    evaluation for large language models", ACL Findings 2024. Deviations: a small model and an open writing task
    (an end with a number in it), where theirs are code models and unit tests; all weights are fine-tuned; the loss has the
    true answer's probabilities, which CDD does without; of the text-only alternatives, n-grams stand in the table and
    embeddings are left out.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: LeakedAnswers = LeakedAnswers()
    often: int = 8
    auc_at_least: float = 0.9
    gain_at_least: float = -0.02

    about: ClassVar[tuple[str, ...]] = ("signals.cdd",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[LeakedData]) -> Verdict:
        """The rule, on what was measured."""
        often = [d for d in _doses(seeds) if d >= self.often]
        auc = pooled_auc([[_sides(data, "peak", often)] for data in seeds])
        gain = _difference(seeds, "peak", "plain", often)
        at = f"at {self.often} leaks or more"
        parts = (
            Inequality(f"AUC of CDD {at}", auc, ">=", self.auc_at_least),
            Inequality(f"AUC of CDD minus AUC of the loss {at}", gain, ">=", self.gain_at_least),
        )
        flagged = share([_flagged(data)[data.dose == 0] for data in seeds])
        found = share([_flagged(data)[np.isin(data.dose, often)] for data in seeds])
        recited = share([data.recited[np.isin(data.dose, often)] for data in seeds])
        return verdict(
            type(self).name,
            parts,
            theirs="21.8 to 30.2 % better, relatively, than detectors by loss, n-grams or embeddings (accuracy, F1 and AUC; code models of 6 to 7 B parameters)",
            found=(
                f"The published threshold, peak > {Cdd().xi}, finds {words(found)} of these and {words(flagged)} of those that did "
                f"not leak; the greedy answer is the leaked one word for word for {words(recited)} of these."
            ),
            table=_table(seeds),
        )


def _doses(seeds: Sequence[LeakedData]) -> list[int]:
    return sorted({int(d) for data in seeds for d in data.dose if d > 0})


def _sides(data: LeakedData, column: str, doses: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    scores = getattr(data, column)
    return scores[np.isin(data.dose, doses)], scores[data.dose == 0]


def _difference(seeds: Sequence[LeakedData], a: str, b: str, doses: Sequence[int]) -> Estimate:
    return average([auc_difference(*_sides(d, a, doses), *_sides(d, b, doses)).estimate for d in seeds])


def _flagged(data: LeakedData) -> np.ndarray:
    return Cdd().contaminated(data.peak)


def _table(seeds: Sequence[LeakedData]) -> list[tuple[str, ...]]:
    rows = [("leaks", "questions", "recited", "called contaminated", *SCORES.values())]
    for d in (0, *_doses(seeds)):
        recited = share([data.recited[data.dose == d] for data in seeds])
        called = share([_flagged(data)[data.dose == d] for data in seeds])
        aucs = [words(pooled_auc([[_sides(x, column, (d,))] for x in seeds])) if d else "" for column in SCORES]
        rows.append((str(d), str(recited.n), words(recited), words(called), *aucs))
    return rows
