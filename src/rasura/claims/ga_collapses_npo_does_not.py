"""NPO: gradient ascent collapses when it goes on, negative preference optimisation does not."""

from __future__ import annotations

import math
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
from ._decide import Inequality, verdict, words
from ._erasing import FORGET, HELDOUT, Erasing, ErasingData
from ._pool import average
from ._seeds import each_seed

UNIT = "nats a token"


@method(paper="arXiv:2404.05868")
@dataclass(frozen=True)
class GaCollapsesNpoDoesNot:
    """Continued to 3 times the steps of matched forgetting, gradient ascent ruins the model and NPO does at most half of that.

    Each objective with its own recipe, on the testbed's target model and forget set. *Matched forgetting*: the first look
    (every 5 steps) at which word-for-word extraction of the forget set is at most the retrained model's plus .02. At
    ``factor`` times that many steps, the rise of the loss of held-out background above its value before erasing is at
    least ``collapse_at_least`` nats a token for gradient ascent, and NPO's is at most ``npo_share_at_most`` of gradient
    ascent's (record by record, then over seeds). Bounds frozen before the run. A run that never reaches matched forgetting
    leaves no number; one that stops early counts with the last weights it had, which is a lower bound on its rise.

    Source: Zhang, Lin, Bai and Mei, "Negative preference optimization: from catastrophic collapse to effective
    unlearning", 2024; Jang et al., "Knowledge unlearning for mitigating privacy risks in language models", 2023.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    ascent: Erasing = Erasing(objective="gradient_ascent")
    preference: Erasing = Erasing(objective="npo", relearn=True)
    factor: int = 3
    collapse_at_least: float = 0.5
    npo_share_at_most: float = 0.5

    about: ClassVar[tuple[str, ...]] = ("erasers.objectives.npo", "erasers.objectives.gradient_ascent")
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        runs = [each_seed(study, self.seeds, store, progress) for study in (self.ascent, self.preference)]
        return self.decide(*runs)

    def decide(self, ascent: Sequence[ErasingData], preference: Sequence[ErasingData]) -> Verdict:
        """The rule, on what was measured."""
        pairs = [(self._rises(a), self._rises(p)) for a, p in zip(ascent, preference, strict=True)]
        beyond = [p - self.npo_share_at_most * a for a, p in pairs]
        parts = (
            Inequality("rise under gradient ascent", _over(a for a, _ in pairs), ">=", self.collapse_at_least),
            Inequality(f"NPO's rise minus {self.npo_share_at_most:g} of gradient ascent's", _over(beyond), "<=", 0.0),
        )
        own = words(_over(p for _, p in pairs))
        return verdict(
            type(self).name,
            parts,
            theirs="the progression toward collapse is exponentially slower than gradient ascent's; a better balance with utility on TOFU",
            found=f"NPO's own rise at that point is {own} nats a token on text nobody trained on.",
            table=self._table(ascent, preference),
        )

    def _late(self, data: ErasingData) -> int | None:
        """Column of ``factor`` times the steps of matched forgetting, or the last there is; None if never matched."""
        at = data.matched()
        return None if at is None else min(self.factor * at, data.loss.shape[1] - 1)

    def _rises(self, data: ErasingData) -> np.ndarray:
        """Rise of each held-out record's loss; NaN where forgetting was never matched."""
        rows, late = data.of(HELDOUT), self._late(data)
        return data.loss[rows, late] - data.loss[rows, 0] if late is not None else np.full(int(rows.sum()), math.nan)

    def _table(self, ascent: Sequence[ErasingData], preference: Sequence[ErasingData]) -> list[tuple[str, ...]]:
        header = (
            "seed",
            "objective",
            "matched at step",
            "extracted before",
            "rise there",
            "looked at step",
            "rise there",
            "forget loss there",
            "retrained model's",
        )
        rows: list[tuple[str, ...]] = [header]
        for name, study, runs in (("gradient ascent", self.ascent, ascent), ("NPO", self.preference, preference)):
            for seed, data in zip(self.seeds, runs, strict=True):
                rows.append((str(seed), name, *self._row(study, data)))
        return rows

    def _row(self, study: Erasing, data: ErasingData) -> tuple[str, ...]:
        at, late = data.matched(), self._late(data)
        held, forget = data.of(HELDOUT), data.of(FORGET)
        before = f"{np.nanmean(data.extracted[forget, 0]):.2f}"
        if at is None or late is None:
            return ("never", before, "", "", "", "", "")
        rise = [float(np.nanmean(data.loss[held, j] - data.loss[held, 0])) for j in (at, late)]
        forgotten, target = np.nanmean(data.loss[forget, late]), np.nanmean(data.retrained_loss[forget])
        looks = (str(at * study.every), before, f"{rise[0]:.2f}", str(late * study.every), f"{rise[1]:.2f}")
        return (*looks, f"{forgotten:.2f}", f"{target:.2f}")


def _over(rises: object) -> Estimate:
    """Mean over records and seeds."""
    return average([mean_estimate(r, UNIT) for r in rises])  # type: ignore[attr-defined]
