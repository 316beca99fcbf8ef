"""Dataset inference: a collection that was trained on is found out, and one that was not is left in peace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.stats import norm

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..observations._engine import Progress, quiet
from ._collections import BLIND, CONTROL, SUSPECT, TEST, VALIDATION, CollectionData, Collections
from ._decide import Inequality, number, verdict, words
from ._pool import average, pooled_auc, share
from ._seeds import each_seed

SMALLEST = 1e-300  # a p value below it is given as this


@method(paper="arXiv:2406.06443")
@dataclass(frozen=True)
class DatasetInferenceHasNoFalsePositives:
    """Dataset inference gives p < .01 for passages seen once an epoch, and rejects unseen ones as often as it says.

    Suspect: the passages of dose 1; validation: their twins; one cut into halves A and B, fixed by the seed. What is
    bounded is the p value as a normal quantile, z = Phi^-1(1 - p), which has standard error 1 in every seed; its mean over
    the seeds must lie above that of ``p_below``. Control: random halves of the never-seen passages against each other;
    the share of p < ``level`` lies between ``rejected_at_least`` and ``rejected_at_most``. Bounds frozen before the run.

    Source: Maini, Jia, Papernot and Dziedzic, "LLM dataset inference: did you train on my dataset?", NeurIPS 2024.
    Deviations: 192 suspect passages and their twins a seed, where the authors take up to 2000 and 2000; no reference
    models among the features.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Collections = Collections()
    p_below: float = 0.01
    level: float = 0.1
    rejected_at_least: float = 0.06
    rejected_at_most: float = 0.14

    about: ClassVar[tuple[str, ...]] = ("signals.dataset_inference",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[CollectionData]) -> Verdict:
        """The rule, on what was measured."""
        evidence = average([_quantile(data) for data in seeds])
        rejected = share([_below(data.of(CONTROL), self.level) for data in seeds], "share rejected")
        control = f"share of unseen collections with p < {number(self.level)}"
        parts = (
            Inequality("normal quantile of the p value", evidence, ">", round(float(norm.isf(self.p_below)), 3)),
            Inequality(control, rejected, ">=", self.rejected_at_least),
            Inequality(control, rejected, "<=", self.rejected_at_most),
        )
        auc = pooled_auc([[(data.of(SUSPECT), data.of(VALIDATION))] for data in seeds])
        return verdict(
            type(self).name,
            parts,
            theirs="p < 0.1 for every subset of the Pile that was trained on, no false positives (Pythia, 12 B parameters)",
            found=(
                f"Text by text the same scores tell suspect from validation passages with an AUC of {words(auc)}; a classifier "
                f"that never sees the model has p values of {', '.join(number(float(d.of(BLIND)[0])) for d in seeds)}."
            ),
            table=self._table(seeds),
        )

    def _table(self, seeds: Sequence[CollectionData]) -> list[tuple[str, ...]]:
        head = (
            "seed",
            "suspect texts tested",
            "validation texts tested",
            "p value",
            "controls",
            "rejected at .01, .05, .1",
        )
        rows = [head]
        for seed, data in zip(self.seeds, seeds, strict=False):
            p = data.of(CONTROL)
            rejected = ", ".join(f"{np.mean(p < level):.3f}" for level in (0.01, 0.05, 0.1))
            sides = (str(len(data.of(side))) for side in (SUSPECT, VALIDATION))
            rows.append((str(seed), *sides, f"{data.of(TEST)[0]:.2g}", str(len(p)), rejected))
        return rows


def _quantile(data: CollectionData) -> Estimate:
    """Normal quantile of one p value; its standard error is 1."""
    z = float(norm.isf(max(data.of(TEST)[0], SMALLEST)))
    half = float(norm.isf(0.025))
    return Estimate(z, z - half, z + half, len(data.of(SUSPECT)) + len(data.of(VALIDATION)), "standard errors")


def _below(p_values: np.ndarray, level: float) -> np.ndarray:
    return np.where(np.isnan(p_values), np.nan, (p_values < level).astype(np.float64))
