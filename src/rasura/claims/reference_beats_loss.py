"""Difficulty calibration: a model that has not seen the text tells members better than the loss alone."""

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
from ._gains import aucs, by_dose, gain, sides
from ._pool import contrast, pooled_auc, share
from ._seeds import each_seed
from ._signal_scores import SignalData, SignalScores


@method(paper="arXiv:2111.08440")
@dataclass(frozen=True)
class ReferenceBeatsLoss:
    """The loss minus that of a reference model beats the loss alone, and an unrelated reference is not as good.

    Passages seen 2 or 4 times an epoch against passages never seen, same texts. (1) The AUC gains at least
    ``gain_at_least``, (2) true positives at ``fpr`` are at least ``times`` as many, (3) the reference of the same generator
    has a higher AUC than one of the same size trained on made-up molecules alone. Bounds frozen before the run. Of (2)
    the two rates are treated as independent, which makes its interval longer. Deviation: an ideal reference, trained on
    the very background of the target without the planted records; the paper's is trained on other data of the same
    distribution.

    Sources: Carlini et al., "Extracting training data from large language models", 2021; Watson, Guo, Cormode and
    Sablayrolles, "On the importance of difficulty calibration in membership inference attacks", 2022.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: SignalScores = SignalScores()
    doses: tuple[int, ...] = (2, 4)
    gain_at_least: float = 0.05
    fpr: float = 0.01
    times: float = 2.0

    about: ClassVar[tuple[str, ...]] = ("signals.reference",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[SignalData]) -> Verdict:
        """The rule, on what was measured."""
        passages = [[data.only("passage")] for data in seeds]
        ours, plain = (self._found([p for (p,) in passages], name) for name in ("reference", "loss"))
        at = f"at {100 * self.fpr:g} % false positives"
        parts = (
            Inequality(
                "gain in AUC over the loss", gain(passages, "reference", "loss", self.doses), ">=", self.gain_at_least
            ),
            Inequality(
                f"true positives {at} minus {self.times:g} times the loss's",
                contrast(ours, plain, self.times),
                ">=",
                0.0,
            ),
            Inequality(
                "AUC minus that of an unrelated reference",
                gain(passages, "reference", "unrelated", self.doses),
                ">",
                0.0,
            ),
        )
        alone = pooled_auc([[sides(p, p.loss - p.reference, self.doses)] for (p,) in passages])
        return verdict(
            type(self).name,
            parts,
            theirs="calibrated by difficulty, the plainest attacks find several times as many members at low false positives",
            found=(
                f"True positives {at}: {words(ours)} against {words(plain)} of the loss. The reference model's own loss, which "
                f"should say nothing, has an AUC of {words(alone)}; calibrated by the unrelated model it is "
                f"{words(aucs(passages, 'unrelated', self.doses))}."
            ),
            table=by_dose(passages, {"loss": "loss", "reference": "reference", "unrelated reference": "unrelated"}),
        )

    def _found(self, passages: Sequence[SignalData], name: str) -> Estimate:
        """True positives, thresholds within a seed."""
        rates = [tpr_at_fpr(*sides(data, name, self.doses), self.fpr) for data in passages]
        counts = [(round(r.value * r.n), r.n) for r in rates if r.known]
        return share([np.repeat([1.0, 0.0], [k, n - k]) for k, n in counts], "true-positive rate")
