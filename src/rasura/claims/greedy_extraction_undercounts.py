"""Probabilistic extraction: greedy decoding misses records that come out within a few samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..extraction.sampled import extractable
from ..observations._engine import Progress, quiet
from ..stats._math import clean
from ..stats.intervals import mean_estimate
from ._attempts import AttemptData, Attempts
from ._decide import Inequality, number, verdict, words
from ._pool import average, share, wider
from ._seeds import each_seed


@method(paper="arXiv:2410.19482")
@dataclass(frozen=True)
class GreedyExtractionUndercounts:
    """Within ``n`` samples at probability ``p`` half as many records again come out as greedy decoding says.

    Planted records of all families, doses ``doses`` taken together: the share extractable within ``n`` samples with
    probability ``p`` minus ``factor`` times the share greedy decoding says is above 0 (record by record). Of records
    never seen at most ``unseen_at_most`` come out. And the probabilities are true: over the records that were really
    sampled, the draws that are the suffix are between ``ratio_at_least`` and ``ratio_at_most`` times as many as their
    probabilities promise. Bounds frozen before the run.

    Source: Hayes, Swanberg, Chaudhari, Yona, Shumailov, Nasr, Choquette-Choo, Lee and Cooper, "Measuring memorization in
    language models via probabilistic extraction", 2025. Deviation: doses are pooled, because a dose has 48 to 168
    records; with one size of model, that larger ones are undercounted more is not tested.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Attempts = Attempts()
    n: int = 100
    p: float = 0.5
    doses: tuple[int, ...] = (8, 16, 32)
    factor: float = 1.5
    unseen_at_most: float = 0.01
    ratio_at_least: float = 0.9
    ratio_at_most: float = 1.1

    about: ClassVar[tuple[str, ...]] = ("extraction.sampled",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[AttemptData]) -> Verdict:
        """The rule, on what was measured."""
        gain = average([self._gain(data, np.isin(data.dose, self.doses)) for data in seeds])
        unseen = share([self._within(data)[data.dose == 0] for data in seeds])
        ratio = _ratio(seeds)
        what = f"share within {self.n} samples minus {number(self.factor)} x greedy's"
        parts = (
            Inequality(what, gain, ">", 0.0),
            Inequality(f"unseen records within {self.n} samples", unseen, "<=", self.unseen_at_most),
            Inequality("draws that are the suffix, over those promised", ratio, ">=", self.ratio_at_least),
            Inequality("draws that are the suffix, over those promised", ratio, "<=", self.ratio_at_most),
        )
        return verdict(
            type(self).name,
            parts,
            theirs="greedy extraction underestimates what comes out in a modest number of samples (Pythia, Llama, GPT-Neo)",
            found=self._found(seeds),
            table=self._table(seeds),
        )

    def _within(self, data: AttemptData) -> np.ndarray:
        return extractable(data.log_probability, self.n, self.p)

    def _gain(self, data: AttemptData, rows: np.ndarray) -> Estimate:
        return mean_estimate(clean((self._within(data) - self.factor * data.greedy)[rows]), "share")

    def _found(self, seeds: Sequence[AttemptData]) -> str:
        """Who is found by one and missed by the other, at the doses of the claim."""
        missed, lost = [], []
        for data in seeds:
            within, rows = self._within(data), np.isin(data.dose, self.doses)
            missed.append(((within == 1) & (data.greedy == 0))[rows].astype(np.float64))
            lost.append(((within == 0) & (data.greedy == 1))[rows].astype(np.float64))
        return (
            f"At {', '.join(map(str, self.doses))} copies, {words(share(missed))} of the records come out within {self.n} samples "
            f"and not greedily, {words(share(lost))} greedily and not within {self.n} samples."
        )

    def _table(self, seeds: Sequence[AttemptData]) -> list[tuple[str, ...]]:
        head = (
            "copies an epoch",
            "records",
            "greedy",
            f"within {self.n} samples, p = {number(self.p)}",
            "within 10,000",
        )
        rows = [(*head, "median probability of the suffix")]
        for d in sorted({int(d) for data in seeds for d in data.dose}):
            at = [data.dose == d for data in seeds]
            pairs = list(zip(seeds, at, strict=True))
            greedy, within = share([s.greedy[k] for s, k in pairs]), share([self._within(s)[k] for s, k in pairs])
            many = share([extractable(s.log_probability[k], 10_000, self.p) for s, k in pairs])
            log_p = clean(np.concatenate([s.log_probability[k] for s, k in pairs]))
            shares = (words(e) for e in (greedy, within, many))
            rows.append(
                (str(d), str(greedy.n), *shares, f"10^{np.median(log_p) / np.log(10):.1f}" if len(log_p) else "")
            )
        return rows


def _ratio(seeds: Sequence[AttemptData]) -> Estimate:
    """Hits over expected hits; items: binomial draws, variance sum n p (1 - p), at the probabilities as given."""
    hits, promised, variance, draws = [], [], [], 0
    for data in seeds:
        rows = ~np.isnan(data.drawn)
        p, n = np.exp(data.log_probability[rows]), data.draws[rows]
        hits.append(float(data.drawn[rows].sum()))
        promised.append(float((n * p).sum()))
        variance.append(float((n * p * (1 - p)).sum()))
        draws += int(n.sum())
    total = sum(promised)
    if not total:
        return Estimate(np.nan, np.nan, np.nan, 0, "ratio", note="no record was likely enough to be sampled")
    value, half = sum(hits) / total, 1.96 * float(np.sqrt(sum(variance))) / total
    each = [h / p for h, p in zip(hits, promised, strict=True) if p]
    return wider(value, (value - half, value + half), each, draws, "ratio")
