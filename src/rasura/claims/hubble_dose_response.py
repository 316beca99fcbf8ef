"""Hubble: the more often a record is seen in training, the better it is remembered."""

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
from ._doses import DoseData, Doses
from ._pool import Sides, pooled_auc, share, weighted_auc, wider
from ._seeds import each_seed


@method(paper="arXiv:2510.19811")
@dataclass(frozen=True)
class HubbleDoseResponse:
    """Memorisation rises with the number of copies: membership and word-for-word extraction, by random dose.

    On the `language` testbed, records of all families, doses assigned at random. AUC(d): records seen d times an epoch
    against twins of their own family, never seen, by the plain loss; families and seeds pooled by their members.
    Extraction: the secret, else the second half, word for word. The trend is Spearman's correlation of AUC(d) with
    log2 d over the doses, with a percentile interval over records drawn again within dose, family and seed
    (``resamples`` draws) or over seeds, whichever is wider. Thresholds frozen before the run. Three seeds of the `small`
    testbed have 72 records at the highest dose: all of them in order is .95 at the lower end, and nothing less would do.

    Source: Wei, Godbole, Khan, Wang, Zhu, Flemings, Kashyap, Gummadi, Neiswanger and Jia, "Hubble: a model suite to
    advance the study of LLM memorization", 2025. Deviation: theirs are models of 1 and 8 B parameters
    trained on 100 and 500 B tokens.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Doses = Doses()
    trend_at_least: float = 0.9
    auc_lowest_dose_below: float = 0.75
    auc_highest_dose_at_least: float = 0.95
    extraction_highest_dose_at_least: float = 0.5
    extraction_lowest_dose_at_most: float = 0.01
    resamples: int = 1000

    about: ClassVar[tuple[str, ...]] = ("testbeds.language", "extraction.verbatim")
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[DoseData]) -> Verdict:
        """The rule, on what was measured."""
        doses = sorted({int(d) for data in seeds for d in data.dose if d > 0})
        low, high = doses[0], doses[-1]
        aucs = {d: pooled_auc([_sides(data, d) for data in seeds]) for d in doses}
        taken = {d: share([data.extracted[data.dose == d] for data in seeds]) for d in (0, *doses)}
        parts = (
            Inequality("Spearman of AUC with log2 copies", self._trend(seeds, doses), ">=", self.trend_at_least),
            Inequality(f"AUC at {low}x", aucs[low], "<", self.auc_lowest_dose_below),
            Inequality(f"AUC at {high}x", aucs[high], ">=", self.auc_highest_dose_at_least),
            Inequality(f"extraction at {high}x", taken[high], ">=", self.extraction_highest_dose_at_least),
            Inequality(f"extraction at {low}x", taken[low], "<=", self.extraction_lowest_dose_at_most),
        )
        return verdict(
            type(self).name,
            parts,
            theirs="how often a text occurs, relative to the size of the corpus, determines whether it is memorised (1 and 8 B parameters)",
            found=f"Of records never seen, {words(taken[0])} come out word for word.",
            table=_table(seeds, doses, aucs, taken),
        )

    def _trend(self, seeds: Sequence[DoseData], doses: Sequence[int]) -> Estimate:
        rng = np.random.default_rng(0)
        each = [_rank_correlation([data], doses) for data in seeds]
        draws = [_rank_correlation([_again(data, rng) for data in seeds], doses) for _ in range(self.resamples)]
        low, high = np.quantile(draws, [0.025, 0.975])
        n = sum(len(data.dose) for data in seeds)
        trend = wider(_rank_correlation(seeds, doses), (float(low), float(high)), each, n, "Spearman")
        return Estimate(trend.value, max(-1.0, trend.low), min(1.0, trend.high), n, trend.unit)


def _sides(data: DoseData, dose: int) -> list[Sides]:
    """Scores of the records of one dose and of the unseen ones, family by family; NaN left out."""
    known = ~np.isnan(data.score)
    sides = []
    for family in sorted(set(data.family[data.dose == dose])):
        mine = known & (data.family == family)
        sides.append((data.score[mine & (data.dose == dose)], data.score[mine & (data.dose == 0)]))
    return [(x, y) for x, y in sides if len(x) and len(y)]


def _rank_correlation(seeds: Sequence[DoseData], doses: Sequence[int]) -> float:
    aucs = [weighted_auc([sides for data in seeds for sides in _sides(data, d)]) for d in doses]
    return spearman(np.log2(doses), aucs).value


def _again(data: DoseData, rng: np.random.Generator) -> DoseData:
    """Records drawn with replacement within their dose and family."""
    rows = []
    for family in sorted(set(data.family)):
        for dose in np.unique(data.dose[data.family == family]):
            cell = np.flatnonzero((data.family == family) & (data.dose == dose))
            rows.append(cell[rng.integers(0, len(cell), len(cell))])
    keep = np.concatenate(rows)
    return DoseData(data.family[keep], data.dose[keep], data.score[keep], data.extracted[keep])


def _table(
    seeds: Sequence[DoseData], doses: Sequence[int], aucs: dict[int, Estimate], taken: dict[int, Estimate]
) -> list[tuple[str, ...]]:
    alone = [_only(data, "passage") for data in seeds]
    rows = [
        ("copies an epoch", "records", "AUC of the loss", "passages alone", "extracted word for word", "passages alone")
    ]
    for d in (0, *doses):
        auc = (words(aucs[d]), words(pooled_auc([_sides(data, d) for data in alone]))) if d else ("", "")
        passages = share([data.extracted[data.dose == d] for data in alone])
        rows.append((str(d), str(taken[d].n), *auc, words(taken[d]), words(passages)))
    return rows


def _only(data: DoseData, family: str) -> DoseData:
    keep = data.family == family
    return DoseData(data.family[keep], data.dose[keep], data.score[keep], data.extracted[keep])
