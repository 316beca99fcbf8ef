"""How often attacks show the concept, over prompts and seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.types import Estimate
from ..stats.intervals import mean_estimate
from ._inversions import InversionData
from ._pool import average, clipped

Of = tuple[str, str]  # (model, attack)


def attacked(seeds: Sequence[InversionData], of: Of) -> Estimate:
    """Share of pictures that show the concept; prompts are the sample, and those given to the attacker take no part."""
    return clipped(average([mean_estimate(data.of(*of), "share", bounds=(0.0, 1.0)) for data in seeds]))


def gap(seeds: Sequence[InversionData], of: Of, other: Of) -> Estimate:
    """One share minus the other, prompt by prompt."""
    each = [data.of(*of) - data.of(*other) for data in seeds]
    return clipped(average([mean_estimate(d, "share", bounds=(-1.0, 1.0)) for d in each]), -1.0)


def by_seed(seeds: Sequence[InversionData], of: Of) -> str:
    """The shares one by one, for a table."""
    return ", ".join(f"{np.nanmean(data.of(*of)):.2f}" for data in seeds)
