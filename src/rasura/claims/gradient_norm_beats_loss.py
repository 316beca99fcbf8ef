"""Pandora's White-Box: the norm of a text's gradient tells members better than its loss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..observations._engine import Progress, quiet
from ..stats.roc import auc
from ._decide import Inequality, number, verdict, words
from ._gains import LOW, paired_gain, sides
from ._gradient_scores import WHOLE, GradientScores, GradientScoresData
from ._pool import Sides, pooled_auc
from ._seeds import each_seed


@method(paper="arXiv:2402.17012")
@dataclass(frozen=True)
class GradientNormBeatsLoss:
    """The best norm of a text's gradient detects members of a pre-trained model better than its loss.

    Passages seen 1, 2 or 4 times an epoch against passages never seen. In every seed a coin halves members and
    non-members; the norm (L1, L2 or largest entry, of all parameters, of one tensor or at the embedding) with the highest
    AUC on one half is tested on the other: its AUC minus the loss's is at least ``gain_at_least``. Frozen before the run.

    Source: Wang, Wang, Li and Neel, "Pandora's White-Box: precise training data detection and extraction in large
    language models", 2024. Deviation: they train a classifier on all norms; here it is the best single one.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: GradientScores = GradientScores()
    gain_at_least: float = 0.02

    about: ClassVar[tuple[str, ...]] = ("signals.gradient_norm",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[GradientScoresData]) -> Verdict:
        """The rule, on what was measured."""
        chosen, tested = zip(*(self._halved(data, k) for k, data in enumerate(seeds)), strict=True)
        gain = paired_gain([[pair] for pair in tested])
        names = [" of ".join((_order(order), group)) for group, order in (self.study.choices[c] for c in chosen)]
        picked = ", ".join(f"{name} ({n} of {len(names)})" for name, n in Counter(names).items())
        return verdict(
            type(self).name,
            (Inequality("gain of the best norm over the loss", gain, ">=", self.gain_at_least),),
            theirs="gradient norms are stronger than the loss on pre-trained models, Pythia up to 6.9 B parameters",
            found=f"Chosen: {picked}. {self._shape(seeds)}",
            table=self._table(seeds),
        )

    def _halved(self, data: GradientScoresData, number_: int) -> tuple[int, tuple[Sides, Sides]]:
        """Column chosen on one half, and both signals' scores on the other."""
        low = np.flatnonzero(np.isin(data.dose, (0, *LOW)))
        member = data.dose[low] > 0
        halves = np.zeros(len(low), dtype=bool)
        rng = np.random.default_rng([number_, 17])
        for side in (member, ~member):
            rows = rng.permutation(np.flatnonzero(side))
            halves[rows[: len(rows) // 2]] = True
        a, b = low[halves], low[~halves]
        found = [auc(*_sides_of(data, data.norms[:, c], a)) for c in range(data.norms.shape[1])]
        best = int(np.argmax(found))
        return best, (_sides_of(data, data.norms[:, best], b), _sides_of(data, data.loss, b))

    def _shape(self, seeds: Sequence[GradientScoresData]) -> str:
        """How the norm goes with the dose: a half-learned text could pull more than one never seen."""
        doses = sorted({int(d) for data in seeds for d in data.dose})
        norms = ", ".join(f"{d}x {number(self._mean_norm(seeds, d))}" for d in doses)
        return f"The mean L2 norm over all parameters, by copies an epoch: {norms}."

    def _mean_norm(self, seeds: Sequence[GradientScoresData], dose: int) -> float:
        column = self.study.choices.index((WHOLE, "2"))
        return float(np.nanmean(np.concatenate([-data.norms[data.dose == dose, column] for data in seeds])))

    def _table(self, seeds: Sequence[GradientScoresData]) -> list[tuple[str, ...]]:
        columns = {order: self.study.choices.index((WHOLE, order)) for order in ("1", "2", "inf")}
        heads = (f"AUC of minus the {_order(order)} norm, all parameters" for order in columns)
        rows = [("copies an epoch", "AUC of the loss", *heads, "mean L2 norm")]
        for d in sorted({int(d) for data in seeds for d in data.dose if d > 0}):
            cells = [words(pooled_auc([[sides(s, s.norms[:, c], (d,))] for s in seeds])) for c in columns.values()]
            plain = words(pooled_auc([[sides(data, "loss", (d,))] for data in seeds]))
            rows.append((str(d), plain, *cells, number(self._mean_norm(seeds, d))))
        return rows


def _order(order: str) -> str:
    """
    >>> _order("1"), _order("inf")
    ('L1', 'Linf')
    """
    return f"L{order}"


def _sides_of(data: GradientScoresData, scores: np.ndarray, rows: np.ndarray) -> Sides:
    return scores[rows[data.dose[rows] > 0]], scores[rows[data.dose[rows] == 0]]
