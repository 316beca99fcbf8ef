"""The secret sharer: exposure of planted codes rises with their copies, to where search finds them."""

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
from ..stats._math import clean
from ..stats.intervals import mean_estimate
from ..stats.randomness import spearman
from ._decide import Inequality, number, verdict, words
from ._exposures import SPACE_BITS, ExposureData, Exposures
from ._pool import average, share, wider
from ._seeds import each_seed

POOR_FIT = 0.1  # p value of the skew-normal below which the method itself says not to use it


@method(paper="arXiv:1802.08232")
@dataclass(frozen=True)
class ExposureRisesWithCopies:
    """Exposure is what chance gives for unseen codes, rises with copies, and near log2 |R| greedy decoding says the code.

    Canaries of the `language` testbed, the last six digits being the secret: |R| = 10^6, 19.9 bits. Mean exposure by rank
    of codes never seen lies between ``unseen_at_least`` and ``unseen_at_most`` bits (chance alone: 1.44); Spearman's
    correlation of mean exposure by rank with copies is at least ``trend_at_least`` (percentile interval over canaries
    drawn again within dose and seed, or over seeds, whichever is wider); at the highest dose the mean extrapolated
    exposure is at least ``highest_dose_at_least``; and "extrapolated exposure above ``extractable_above``" agrees with
    greedy decoding for a share of at least ``agreement_at_least`` of the codes. Bounds frozen before the run.

    Source: Carlini, Liu, Erlingsson, Kos and Song, "The secret sharer: evaluating and testing unintended memorization in
    neural networks", USENIX Security 2019. Deviations: doses 0, 1, 4, 16 and 64 with 32, 32, 16, 8 and 4 codes a seed;
    above the 7.65 bits that 200 sampled alternatives can show, exposure is the extrapolated one, cut off at log2 |R|, and
    the true rank is searched to see how far that is off.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Exposures = Exposures()
    unseen_at_least: float = 0.8
    unseen_at_most: float = 2.2
    trend_at_least: float = 0.9
    highest_dose_at_least: float = 15.0
    extractable_above: float = 18.0
    agreement_at_least: float = 0.9
    resamples: int = 1000

    about: ClassVar[tuple[str, ...]] = ("extraction.exposure",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[ExposureData]) -> Verdict:
        """The rule, on what was measured."""
        doses = sorted({int(d) for data in seeds for d in data.dose})
        unseen, highest = _mean(seeds, "ranked", 0), _mean(seeds, "extrapolated", doses[-1])
        above = f"exposure above {number(self.extractable_above)} bits agrees with greedy decoding"
        parts = (
            Inequality("exposure of unseen codes, bits", unseen, ">=", self.unseen_at_least),
            Inequality("exposure of unseen codes, bits", unseen, "<=", self.unseen_at_most),
            Inequality("Spearman of exposure with copies", self._trend(seeds, doses), ">=", self.trend_at_least),
            Inequality(f"extrapolated exposure at {doses[-1]}x, bits", highest, ">=", self.highest_dose_at_least),
            Inequality(above, self._agreement(seeds, "extrapolated"), ">=", self.agreement_at_least),
        )
        return verdict(
            type(self).name,
            parts,
            theirs="exposure rises with the number of insertions; near log2 |R| the secret is found by search",
            found=self._found(seeds),
            table=self._table(seeds, doses),
        )

    def _agreement(self, seeds: Sequence[ExposureData], name: str) -> Estimate:
        return share([_agrees(_bits(data, name), data.extracted, self.extractable_above) for data in seeds])

    def _trend(self, seeds: Sequence[ExposureData], doses: Sequence[int]) -> Estimate:
        rng = np.random.default_rng(0)
        draws = [_rank_correlation([_again(data, rng) for data in seeds], doses) for _ in range(self.resamples)]
        low, high = np.quantile(draws, [0.025, 0.975])
        each = [_rank_correlation([data], doses) for data in seeds]
        n = sum(len(data.dose) for data in seeds)
        trend = wider(_rank_correlation(seeds, doses), (float(low), float(high)), each, n, "Spearman")
        return Estimate(trend.value, max(-1.0, trend.low), min(1.0, trend.high), n, trend.unit)

    def _found(self, seeds: Sequence[ExposureData]) -> str:
        """How good the extrapolation is, against the true rank where that is known."""
        known = [~np.isnan(data.searched) & ~np.isnan(data.extrapolated) for data in seeds]
        off = np.concatenate([(_bits(d, "extrapolated") - d.searched)[k] for d, k in zip(seeds, known, strict=True)])
        if not len(off):
            return "The true rank is known of no code."
        fits = share(
            [(data.fit_p_value >= POOR_FIT).astype(np.float64)[k] for data, k in zip(seeds, known, strict=True)]
        )
        right = share(
            [
                _agrees(data.searched, data.extracted, self.extractable_above)[k]
                for data, k in zip(seeds, known, strict=True)
            ]
        )
        return (
            f"Of {len(off)} codes the true rank is known: the extrapolated exposure is off by {np.median(off):+.1f} bits in the "
            f"median (from {off.min():+.1f} to {off.max():+.1f}), the skew-normal is not rejected for {words(fits)} of them, and the "
            f"true exposure agrees with greedy decoding for {words(right)}."
        )

    def _table(self, seeds: Sequence[ExposureData], doses: Sequence[int]) -> list[tuple[str, ...]]:
        head = ("copies an epoch", "codes", "exposure by rank (of 7.65 bits)", "extrapolated")
        rows = [(*head, f"true, of {SPACE_BITS:.1f} bits (codes searched)", "said by greedy decoding")]
        for d in doses:
            true = np.concatenate([clean(data.searched[data.dose == d]) for data in seeds])
            said = share([data.extracted[data.dose == d] for data in seeds])
            searched = f"{true.mean():.1f} ({len(true)})" if len(true) else "(0)"
            cells = (words(_mean(seeds, name, d)) for name in ("ranked", "extrapolated"))
            rows.append((str(d), str(said.n), *cells, searched, words(said)))
        return rows


def _mean(seeds: Sequence[ExposureData], name: str, dose: int) -> Estimate:
    return average([mean_estimate(clean(_bits(data, name)[data.dose == dose]), "bits") for data in seeds])


def _bits(data: ExposureData, name: str) -> np.ndarray:
    """Exposures, at most what one of 10^6 codes can have: a curve that is read far outside its data knows no end."""
    return np.minimum(getattr(data, name), SPACE_BITS)


def _agrees(bits: np.ndarray, extracted: np.ndarray, above: float) -> np.ndarray:
    """1 where both or neither say that the code comes out; NaN where either is unknown."""
    same = ((bits > above) == (extracted == 1)).astype(np.float64)
    return np.where(np.isnan(bits) | np.isnan(extracted), np.nan, same)


def _rank_correlation(seeds: Sequence[ExposureData], doses: Sequence[int]) -> float:
    means = [np.mean([np.nanmean(data.ranked[data.dose == d]) for data in seeds]) for d in doses]
    return spearman(np.array(doses, dtype=np.float64), means).value


def _again(data: ExposureData, rng: np.random.Generator) -> ExposureData:
    """Canaries drawn with replacement within their dose."""
    cells = [np.flatnonzero(data.dose == d) for d in np.unique(data.dose)]
    keep = np.concatenate([cell[rng.integers(0, len(cell), len(cell))] for cell in cells])
    columns = (data.ranked, data.extrapolated, data.fit_p_value, data.searched, data.extracted)
    return ExposureData(data.dose[keep], *(column[keep] for column in columns))
