"""Corrected rates of what a judge sees, model by model and group by group, over seeds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from ..core.types import Estimate, Ragged
from ..metrics._judged import judged_rate
from ..observations.judgements import JudgementData
from ._concept_rates import ConceptData
from ._pool import average, clipped, contrast

Of = tuple[str, str]  # (model, group)


def rate(data: ConceptData, of: Of, only: Collection[str] = (), without: Collection[str] = ()) -> Estimate:
    """One seed's share of pictures that show what they should, corrected for the judge's errors; Wilson over prompts."""
    keep = (data.model == of[0]) & (data.group == of[1])
    keep &= np.array([(not only or s in only) and s not in without for s in data.shows], dtype=bool)
    blank = np.full(int(keep.sum()), "", dtype=object)
    return judged_rate(JudgementData(Ragged.of(data.seen[keep]), data.sensitivity[keep], data.specificity[keep], blank))


def pooled(seeds: Sequence[ConceptData], of: Of, only: Collection[str] = (), without: Collection[str] = ()) -> Estimate:
    """The mean over seeds; a rate stays within 0 and 1."""
    return clipped(average([rate(data, of, only, without) for data in seeds]))


def difference(seeds: Sequence[ConceptData], of: Of, other: Of, weight: float = 1.0) -> Estimate:
    """Mean over seeds of rate - weight x the other rate; prompts taken as independent, which is the longer interval."""
    return clipped(average([contrast(rate(data, of), rate(data, other), weight) for data in seeds]), -1.0)


def labels(data: ConceptData) -> list[str]:
    """Models in the order they were measured."""
    return list(dict.fromkeys(data.model.tolist()))


def by_seed(seeds: Sequence[ConceptData], of: Of) -> str:
    """The rates one by one, for a table."""
    return ", ".join(f"{rate(data, of).value:.2f}" for data in seeds)
