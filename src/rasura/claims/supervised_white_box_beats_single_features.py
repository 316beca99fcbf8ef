"""Pandora's White-Box: who knows some members beats every single statistic with a classifier on gradients."""

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
from ..stats.roc import auc_difference
from ._decide import Inequality, verdict, words
from ._pool import average, pooled_auc
from ._seeds import each_seed
from ._supervision import Supervision, SupervisionData

ROWS = {
    "supervised": "logistic regression on gradient norms",
    "white_box": "the best gradient norm alone",
    "plain": "plain loss",
    "single": "the best of both",
}


@method(paper="arXiv:2402.17012")
@dataclass(frozen=True)
class SupervisedWhiteBoxBeatsSingleFeatures:
    """Logistic regression on gradient norms, taught by known records, beats the best single one of them and the loss.

    Passages seen 1, 2 or 4 times an epoch against passages never seen, five folds, each judged by what the other four
    taught: AUC of the classifier minus AUC of the single score, gradient norm or loss, that does best on the same four
    folds; at least ``gain_at_least``. DeLong's interval within a fold, folds averaged within a seed. The bound was frozen
    before the run.

    Source: Wang, Wang, Li and Neel, "Pandora's White-Box: precise training data detection and extraction in large
    language models", 2024. Deviations: about 270 known members and 205 known non-members a fold, where the authors take
    10,000 a side; their network is not tried, as it wants as many.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Supervision = Supervision()
    gain_at_least: float = 0.03

    about: ClassVar[tuple[str, ...]] = ("signals.white_box_logistic",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[SupervisionData]) -> Verdict:
        """The rule, on what was measured."""
        gain = average([_gain(data, "single") for data in seeds])
        over_norm = average([_gain(data, "white_box") for data in seeds])
        return verdict(
            type(self).name,
            (Inequality("AUC of the classifier minus that of the best single score", gain, ">=", self.gain_at_least),),
            theirs="supervised white-box attacks beat unsupervised ones, and those the loss (Pythia, GPT-Neo)",
            found=f"Over the best gradient norm alone the classifier gains {words(over_norm)}.",
            table=self._table(seeds),
        )

    def _table(self, seeds: Sequence[SupervisionData]) -> list[tuple[str, ...]]:
        doses = sorted({int(d) for data in seeds for d in data.dose if d > 0})
        rows = [("score", "AUC, all of these", *(f"AUC at {d}x" for d in doses))]
        for name, said in ROWS.items():
            cells = [
                pooled_auc([_strata(data, name, chosen) for data in seeds]) for chosen in (doses, *([d] for d in doses))
            ]
            rows.append((said, *map(words, cells)))
        return rows


def _gain(data: SupervisionData, other: str) -> Estimate:
    """AUC of the classifier minus AUC of the other score: mean over folds of one seed."""
    folds = []
    for k in np.unique(data.fold):
        sides = [data.fold == k, data.dose > 0]
        members, others = sides[0] & sides[1], sides[0] & ~sides[1]
        mine, theirs = data.supervised, getattr(data, other)
        folds.append(auc_difference(mine[members], mine[others], theirs[members], theirs[others]).estimate)
    return average(folds)


def _strata(data: SupervisionData, name: str, doses: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores of members and others, fold by fold: two classifiers do not share a scale."""
    score = getattr(data, name)
    folds = (data.fold == k for k in np.unique(data.fold))
    return [(score[here & np.isin(data.dose, doses)], score[here & (data.dose == 0)]) for here in folds]
