"""MoPe: noise in the weights tells members better than the loss does."""

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
from ._decide import Inequality, number, verdict, words
from ._noise import HELDOUT, Noise, NoiseData
from ._pool import average, pooled_auc
from ._seeds import each_seed


@method(paper="arXiv:2310.14369")
@dataclass(frozen=True)
class MopeBeatsLoss:
    """MoPe detects members better than the plain loss where memory is faint: at up to 4 copies an epoch.

    AUC of MoPe minus AUC of the loss, passages seen 1, 2 or 4 times an epoch against passages never seen, same texts, at
    least ``gain_at_least``; DeLong's interval within a seed. The noise is the strongest of the study's sigmas that raises
    the median loss of held-out background by at most ``rise_at_most`` of itself: chosen without looking at any text that
    is reported. Both bounds frozen before the run.

    Source: Li, Wang, Wang and Neel, "MoPe: model perturbation based privacy attacks on language models", EMNLP 2023.
    Deviations: antithetic pairs of noise, and sigma fitted to the model instead of .005; both help MoPe here.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Noise = Noise()
    gain_at_least: float = 0.02
    rise_at_most: float = 0.05

    about: ClassVar[tuple[str, ...]] = ("signals.mope",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[NoiseData]) -> Verdict:
        """The rule, on what was measured."""
        chosen = self._strongest(seeds)
        gain = _gain(seeds, chosen)
        every = {sigma: _gain(seeds, k) for k, sigma in enumerate(self.study.sigmas)}
        best = max(every, key=lambda sigma: every[sigma].value)
        return verdict(
            type(self).name,
            (Inequality("AUC of MoPe minus AUC of the loss", gain, ">=", self.gain_at_least),),
            theirs="more effective than existing loss-based attacks, language models from 70 M to 12 B parameters",
            found=(
                f"Sigma {number(self.study.sigmas[chosen])} was chosen on held-out background; even the best of the sigmas in "
                f"hindsight ({number(best)}) gains {words(every[best])}."
            ),
            table=self._table(seeds),
        )

    def _strongest(self, seeds: Sequence[NoiseData]) -> int:
        """Column of the strongest noise within the allowed rise; the weakest if none is."""
        allowed = [k for k in range(len(self.study.sigmas)) if _rise(seeds, k) <= self.rise_at_most]
        return max(allowed or [0], key=lambda k: self.study.sigmas[k])

    def _table(self, seeds: Sequence[NoiseData]) -> list[tuple[str, ...]]:
        doses = sorted({int(d) for data in seeds for d in data.dose if d > 0})
        rows = [
            (
                "signal",
                "median rise of held-out loss",
                *(f"AUC at {d}x" for d in doses),
                "gain over the loss, all of these",
            )
        ]
        plain = [pooled_auc([[_sides(data, data.plain, (d,))] for data in seeds]) for d in doses]
        rows.append(("loss", "", *map(words, plain), ""))
        for k, sigma in enumerate(self.study.sigmas):
            aucs = [pooled_auc([[_sides(data, data.mope[:, k], (d,))] for data in seeds]) for d in doses]
            rows.append(
                (
                    f"MoPe, sigma {number(sigma)}",
                    f"{100 * _rise(seeds, k):.2g} %",
                    *map(words, aucs),
                    words(_gain(seeds, k)),
                )
            )
        return rows


def _sides(data: NoiseData, scores: np.ndarray, doses: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    member = np.isin(data.dose, doses) if doses else data.dose > 0
    return scores[member], scores[data.dose == 0]


def _gain(seeds: Sequence[NoiseData], k: int) -> Estimate:
    """AUC of MoPe minus AUC of the loss over all members, paired within each seed."""
    return average([auc_difference(*_sides(d, d.mope[:, k]), *_sides(d, d.plain)).estimate for d in seeds])


def _rise(seeds: Sequence[NoiseData], k: int) -> float:
    """Median over held-out texts of the rise of the loss, as a share of the loss."""
    rows = [(d.mope[d.dose == HELDOUT, k], -d.plain[d.dose == HELDOUT]) for d in seeds]
    return float(np.nanmedian(np.concatenate([rise / loss for rise, loss in rows])))
