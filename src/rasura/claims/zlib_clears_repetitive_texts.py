"""Carlini et al.: divided by what zlib makes of a text, the loss no longer takes repetitive texts for members."""

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
from ._decide import Inequality, number, verdict, words
from ._gains import aucs
from ._pool import contrast, share
from ._seeds import each_seed
from ._signal_scores import REPEATED_DIGITS, REPEATED_WORDS, SignalData, SignalScores

SIGNALS = ("loss", "zlib")


@method(paper="arXiv:2012.07805")
@dataclass(frozen=True)
class ZlibClearsRepetitiveTexts:
    """zlib removes at least half of the false positives of the loss that are repetitive texts.

    64 unseen texts each of one common word or of one or two digits over and over; the threshold of either signal lets
    ``fpr`` of the unseen passages pass. Premise: the loss takes more than ``fpr`` of the repetitive texts for members, for
    else there is nothing to remove. Claim: zlib takes at most ``times`` as many. Both frozen before the run; the two
    rates are treated as independent, which makes the interval longer.

    Source: Carlini et al., "Extracting training data from large language models", 2021. Deviation: theirs are samples
    drawn from GPT-2, ranked, in which repetitions came out on top.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: SignalScores = SignalScores()
    fpr: float = 0.05
    times: float = 0.5

    about: ClassVar[tuple[str, ...]] = ("signals.zlib",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[SignalData]) -> Verdict:
        """The rule, on what was measured."""
        both = (REPEATED_WORDS, REPEATED_DIGITS)
        plain, zlib = (self._passed(seeds, name, both) for name in SIGNALS)
        parts = (
            Inequality("repetitive texts the loss takes for members", plain, ">", self.fpr),
            Inequality(
                f"the same of zlib minus {self.times:g} times that", contrast(zlib, plain, self.times), "<=", 0.0
            ),
        )
        passages = [[data.only("passage")] for data in seeds]
        return verdict(
            type(self).name,
            parts,
            theirs="of what the plain likelihood ranks highest most is repeated text, of what zlib does far less (GPT-2)",
            found=(
                f"zlib takes {words(zlib)} of them. A repetitive text has a loss of {number(_mean_loss(seeds, both))} nats a token "
                f"on average, an unseen passage {number(_mean_loss(seeds, ('passage',)))}. On passages of every dose the AUC is "
                f"{words(aucs(passages, 'loss'))} for the loss and {words(aucs(passages, 'zlib'))} for zlib."
            ),
            table=self._table(seeds),
        )

    def _passed(self, seeds: Sequence[SignalData], name: str, groups: Sequence[str]) -> Estimate:
        """Share of texts above the threshold of their own seed."""
        above = []
        for data in seeds:
            scores, limit = getattr(data.only(*groups), name), self._threshold(data, name)
            above.append(np.where(np.isnan(scores), np.nan, scores > limit))
        return share(above, "false-positive rate")

    def _threshold(self, data: SignalData, name: str) -> float:
        """What at most ``fpr`` of the unseen passages exceed."""
        passages = data.only("passage")
        scores = getattr(passages, name)[passages.dose == 0]
        return float(np.quantile(scores[~np.isnan(scores)], 1 - self.fpr, method="higher"))

    def _table(self, seeds: Sequence[SignalData]) -> list[tuple[str, ...]]:
        rows = [("unseen texts", "mean loss", "the loss takes for members", "zlib takes for members")]
        for group in (REPEATED_WORDS, REPEATED_DIGITS):
            cells = [words(self._passed(seeds, name, (group,))) for name in SIGNALS]
            rows.append((group, number(_mean_loss(seeds, (group,))), *cells))
        return rows


def _mean_loss(seeds: Sequence[SignalData], groups: Sequence[str]) -> float:
    kept = [data.only(*groups) for data in seeds]
    return float(-np.nanmean(np.concatenate([data.loss[data.dose == 0] for data in kept])))
