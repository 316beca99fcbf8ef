"""Carlini et al.: how much worse a text is in lower case tells members, though not as well as a reference model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..observations._engine import Progress, quiet
from ._decide import Inequality, verdict, words
from ._gains import aucs, by_dose, gain
from ._pool import share
from ._seeds import each_seed
from ._signal_scores import SignalData, SignalScores


@method(paper="arXiv:2012.07805")
@dataclass(frozen=True)
class LowercaseBelowReference:
    """The lowercase signal detects memorised texts, less well than a reference model, and says when it cannot know.

    (1) Passages seen ``from_dose`` or more times an epoch against passages never seen: AUC above 1/2; (2) the reference
    model's AUC on the same texts is higher. (3) Of the same passages in lower case at least ``unscorable_at_least`` have no
    score at all, instead of a score that says nothing. Bounds frozen before the run.

    Source: Carlini et al., "Extracting training data from large language models", 2021, where the signal is one of six
    and finds texts the others miss.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: SignalScores = SignalScores()
    from_dose: int = 8
    auc_above: float = 0.5
    unscorable_at_least: float = 0.99

    about: ClassVar[tuple[str, ...]] = ("signals.lowercase",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[SignalData]) -> Verdict:
        """The rule, on what was measured."""
        passages = [[data.only("passage")] for data in seeds]
        doses = sorted({int(d) for (data,) in passages for d in data.dose if d >= self.from_dose})
        at = f"at {self.from_dose} copies and more"
        none = share([np.isnan(data.lowered).astype(float) for (data,) in passages])
        parts = (
            Inequality(f"AUC {at}", aucs(passages, "lowercase", doses), ">", self.auc_above),
            Inequality(
                f"AUC of the reference minus that {at}", gain(passages, "reference", "lowercase", doses), ">", 0.0
            ),
            Inequality("unscorable in lower case", none, ">=", self.unscorable_at_least),
        )
        cased = share([np.isfinite(data.lowercase).astype(float) for (data,) in passages])
        return verdict(
            type(self).name,
            parts,
            theirs="one of six signals that each find memorised texts of GPT-2",
            found=(
                f"{words(cased)} of the passages as written can be scored. Against the plain loss the signal gains "
                f"{words(gain(passages, 'lowercase', 'loss', doses))} in AUC."
            ),
            table=by_dose(passages, {"lowercase": "lowercase", "loss": "loss", "reference": "reference"}),
        )
