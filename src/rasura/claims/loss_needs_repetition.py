"""Yeom et al.: what the loss tells about membership is overfitting, so a text must have been repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..observations._engine import Progress, quiet
from ..stats.randomness import spearman
from ._decide import Inequality, number, verdict, words
from ._gains import aucs, sides
from ._pool import Sides, clipped, weighted_auc, wider
from ._seeds import each_seed
from ._signal_scores import SignalData, SignalScores

FAMILIES = ("passage", "biography", "canary", "fact", "code")


@method(paper="arXiv:1709.01604")
@dataclass(frozen=True)
class LossNeedsRepetition:
    """The loss separates members only when they are heavily repeated.

    AUC(d): records of all families seen d times an epoch against unseen ones of their own family, pooled by their members.
    (1) Spearman's correlation of AUC(d) with log2 d at least ``trend_at_least``, with a percentile interval over records
    drawn again within dose, family and seed (``resamples`` draws) or over seeds, whichever is wider; (2) AUC at the highest
    dose; (3) AUC at the lowest. Bounds frozen before the run. A record seen once an epoch is seen twice in all.

    Source: Yeom, Giacomelli, Fredrikson and Jha, "Privacy risk in machine learning: analyzing the connection to
    overfitting", CSF 2018. Deviation: they overfit whole models; here single records are, by repetition.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: SignalScores = SignalScores()
    trend_at_least: float = 0.9
    auc_highest_dose_at_least: float = 0.95
    auc_lowest_dose_below: float = 0.75
    resamples: int = 1000

    about: ClassVar[tuple[str, ...]] = ("signals.loss",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[SignalData]) -> Verdict:
        """The rule, on what was measured."""
        strata = [[part for part in map(data.only, FAMILIES) if (part.dose > 0).any()] for data in seeds]
        doses = sorted({int(d) for data in seeds for d in data.dose if d > 0})
        each = {d: aucs(strata, "loss", (d,)) for d in doses}
        low, high = doses[0], doses[-1]
        parts = (
            Inequality("Spearman of AUC with log2 copies", self._trend(strata, doses), ">=", self.trend_at_least),
            Inequality(f"AUC at {high}x", each[high], ">=", self.auc_highest_dose_at_least),
            Inequality(f"AUC at {low}x", each[low], "<", self.auc_lowest_dose_below),
        )
        gaps = {d: _gap(strata, d) for d in doses}
        return verdict(
            type(self).name,
            parts,
            theirs="the advantage of the attacker grows with the gap between the loss on unseen and on seen data",
            found=(
                f"The loss of records seen {low} times an epoch lies {number(gaps[low])} nats a token below that of unseen ones "
                f"of their family, that of records seen {high} times {number(gaps[high])}."
            ),
            table=[
                ("copies an epoch", "AUC of the loss", "loss of unseen records minus theirs, nats a token"),
                *((str(d), words(each[d]), f"{gaps[d]:.2f}") for d in doses),
            ],
        )

    def _trend(self, strata: Sequence[Sequence[SignalData]], doses: Sequence[int]) -> Estimate:
        rng = np.random.default_rng(0)
        cells = [
            [{d: sides(part, "loss", (d,))[0] for d in doses} | {0: sides(part, "loss")[1]} for part in s]
            for s in strata
        ]
        every = [cell for seed in cells for cell in seed]
        draws = [_correlation([_again(cell, rng) for cell in every], doses) for _ in range(self.resamples)]
        low, high = (float(q) for q in np.quantile(draws, [0.025, 0.975]))
        n = sum(len(part.dose) for seed in strata for part in seed)
        each = [_correlation(seed, doses) for seed in cells]
        return clipped(wider(_correlation(every, doses), (low, high), each, n, "Spearman"), -1.0)


Cell = dict[int, np.ndarray]  # dose -> scores of one family in one seed


def _correlation(cells: Sequence[Cell], doses: Sequence[int]) -> float:
    pooled = [weighted_auc([s for cell in cells if len((s := _at(cell, d))[0])]) for d in doses]
    return spearman(np.log2(doses), pooled).value


def _at(cell: Cell, dose: int) -> Sides:
    members, others = (values[~np.isnan(values)] for values in (cell[dose], cell[0]))
    return members, others


def _again(cell: Cell, rng: Any) -> Cell:
    return {d: rng.choice(values, len(values)) if len(values) else values for d, values in cell.items()}


def _gap(strata: Sequence[Sequence[SignalData]], dose: int) -> float:
    """Mean score of the members minus that of the unseen records of their family, a member a vote."""
    pairs = [sides(part, "loss", (dose,)) for seed in strata for part in seed]
    pairs = [(x, y) for x, y in pairs if len(x)]
    return float(np.average([np.nanmean(x) - np.nanmean(y) for x, y in pairs], weights=[len(x) for x, _ in pairs]))
