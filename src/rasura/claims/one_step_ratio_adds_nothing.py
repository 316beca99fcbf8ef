"""Pandora's White-Box: the loss after one step over the loss before says what the gradient's norm says."""

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
from ..stats.randomness import spearman
from ._decide import Inequality, verdict, words
from ._gains import paired_gain, sides, size
from ._gradient_scores import WHOLE, GradientScores, GradientScoresData
from ._pool import average, clipped, pooled_auc
from ._seeds import each_seed


@method(paper="arXiv:2402.17012")
@dataclass(frozen=True)
class OneStepRatioAddsNothing:
    """The one-step loss ratio is comparable to the gradient's norm, because it is the norm over the loss.

    All planted passages. (1) AUC of the ratio minus AUC of minus the L2 norm of the gradient, same texts: within ``within`` of
    0 on either side. (2) Spearman's correlation of the ratio with -||g||^2/l, from two other passes, at least
    ``rank_correlation_at_least``. Frozen before the run, as is the sign: a higher ratio is counted as member.

    Source: Wang, Wang, Li and Neel, "Pandora's White-Box: precise training data detection and extraction in large
    language models", 2024. Deviation: the authors' plots count a lower ratio as member.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: GradientScores = GradientScores()
    within: float = 0.05
    rank_correlation_at_least: float = 0.95

    about: ClassVar[tuple[str, ...]] = ("signals.one_step_ratio",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[GradientScoresData]) -> Verdict:
        """The rule, on what was measured."""
        over_norm = self._gain(seeds, [self._norm(data) for data in seeds])
        over_loss = self._gain(seeds, [data.loss for data in seeds])
        rank = clipped(average([spearman(data.one_step, self._expected(data)) for data in seeds]), -1.0)
        together = clipped(average([spearman(data.loss, self._norm(data)) for data in seeds]), -1.0)
        parts = (
            Inequality("|AUC of the ratio minus AUC of the gradient's norm|", size(over_norm), "<=", self.within),
            Inequality("Spearman of the ratio with -||g||^2/l", rank, ">=", self.rank_correlation_at_least),
        )
        return verdict(
            type(self).name,
            parts,
            theirs="an approximation of the loss ratio where the model before training is not available, beside gradient norms",
            found=(
                f"The ratio gains {words(over_norm)} over the norm and {words(over_loss)} over the plain loss. To divide ||g||^2 by "
                f"the loss takes away what sets members apart: the loss itself ranks with the norm at {words(together)}."
            ),
            table=self._table(seeds),
        )

    def _norm(self, data: GradientScoresData) -> np.ndarray:
        """Minus the L2 norm over all parameters."""
        return data.norms[:, self.study.choices.index((WHOLE, "2"))]

    def _expected(self, data: GradientScoresData) -> np.ndarray:
        """-||g||^2/l: what an infinitely small step depends on."""
        return -(self._norm(data) ** 2) / -data.loss

    @staticmethod
    def _gain(seeds: Sequence[GradientScoresData], other: Sequence[np.ndarray]) -> Estimate:
        pairs = zip(seeds, other, strict=True)
        return paired_gain([[(sides(data, "one_step"), sides(data, values))] for data, values in pairs])

    def _table(self, seeds: Sequence[GradientScoresData]) -> list[tuple[str, ...]]:
        rows = [("copies an epoch", "AUC of the loss", "AUC of minus the gradient's norm", "AUC of the ratio")]
        for d in sorted({int(d) for data in seeds for d in data.dose if d > 0}):
            columns = ([d_.loss for d_ in seeds], [self._norm(d_) for d_ in seeds], [d_.one_step for d_ in seeds])
            cells = [pooled_auc([[sides(s, v, (d,))] for s, v in zip(seeds, c, strict=True)]) for c in columns]
            rows.append((str(d), *map(words, cells)))
        return rows
