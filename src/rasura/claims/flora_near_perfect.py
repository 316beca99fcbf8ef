"""Pandora's White-Box: the ratio of the fine-tuned model's loss to the base model's tells members almost perfectly."""

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
from ..stats.roc import tpr_at_fpr
from ._decide import Inequality, verdict, words
from ._finetuning import Finetuning, FinetuningData
from ._pool import pooled_auc, share
from ._seeds import each_seed

SHOWN = 5  # epochs in the table


@method(paper="arXiv:2402.17012")
@dataclass(frozen=True)
class FloraNearPerfect:
    """The fine-tuned loss ratio l_ft/l_base detects fine-tuning data almost perfectly after ``epoch`` epochs.

    A testbed's retrained model is fine-tuned on 200 fresh two-sentence texts; 200 of the same generator, chosen by the
    same coin, are the non-members (see ``_finetuning``). AUC and true positives at ``fpr`` of the ratio, pooled over
    seeds, thresholds within a seed. Both bounds frozen before the run; the learning rate was chosen in an earlier one.

    Source: Wang, Wang, Li and Neel, "Pandora's White-Box: precise training data detection and extraction in large
    language models", 2024 (FLoRa). Deviation: the authors' script fine-tunes Pythia-1B on 2000 records.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Finetuning = Finetuning()
    epoch: int = 3
    auc_at_least: float = 0.99
    fpr: float = 0.01
    tpr_at_least: float = 0.9

    about: ClassVar[tuple[str, ...]] = ("signals.reference",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[FinetuningData]) -> Verdict:
        """The rule, on what was measured."""
        auc, tpr = self._auc(seeds, "ratio", self.epoch), self._tpr(seeds, "ratio", self.epoch)
        at = f"after {self.epoch} epochs"
        parts = (
            Inequality(f"AUC of the ratio {at}", auc, ">=", self.auc_at_least),
            Inequality(f"true positives at {100 * self.fpr:g} % false positives {at}", tpr, ">=", self.tpr_at_least),
        )
        plain = self._tpr(seeds, "plain", self.epoch)
        return verdict(
            type(self).name,
            parts,
            theirs="near-perfect membership inference on fine-tuned models (the authors' script: Pythia-1B, 2000 records, 3 epochs)",
            found=f"The plain loss of the fine-tuned model finds {words(plain)} of the members at the same false positives.",
            table=self._table(seeds),
        )

    def _auc(self, seeds: Sequence[FinetuningData], form: str, epoch: int) -> Estimate:
        return pooled_auc([[self._sides(data, form, epoch)] for data in seeds])

    def _tpr(self, seeds: Sequence[FinetuningData], form: str, epoch: int) -> Estimate:
        return share([_found(*self._sides(data, form, epoch), self.fpr) for data in seeds], "true-positive rate")

    @staticmethod
    def _sides(data: FinetuningData, form: str, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        scores = getattr(data, form)[:, epoch - 1]
        return scores[data.member == 1], scores[data.member == 0]

    def _table(self, seeds: Sequence[FinetuningData]) -> list[tuple[str, ...]]:
        forms = {"ratio": "ratio", "difference": "difference", "plain": "plain loss"}
        rows = [("epoch", "loss members / others", *(f"{words_}: AUC; true positives" for words_ in forms.values()))]
        for epoch in range(1, min(SHOWN, seeds[0].ratio.shape[1]) + 1):
            inside, outside = (np.mean([-_side_mean(d, epoch, m) for d in seeds]) for m in (1, 0))
            cells = [f"{words(self._auc(seeds, f, epoch))}; {words(self._tpr(seeds, f, epoch))}" for f in forms]
            rows.append((str(epoch), f"{inside:.2f} / {outside:.2f}", *cells))
        return rows


def _side_mean(data: FinetuningData, epoch: int, member: int) -> float:
    return float(np.mean(data.plain[data.member == member, epoch - 1]))


def _found(members: np.ndarray, nonmembers: np.ndarray, fpr: float) -> np.ndarray:
    """1 for each member that is found at this rate of false positives, in no order: (m,); empty if it has no answer."""
    rate = tpr_at_fpr(members, nonmembers, fpr)
    return (
        np.repeat([1.0, 0.0], [round(rate.value * rate.n), rate.n - round(rate.value * rate.n)])
        if rate.known
        else np.zeros(0)
    )
