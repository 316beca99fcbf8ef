"""MoPe: the statistic is the trace of the Hessian of a text's loss."""

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
from ..stats.intervals import bootstrap
from ..stats.randomness import spearman
from ._curvature import Curvature, CurvatureData
from ._decide import Inequality, number, verdict, words
from ._seeds import each_seed


@method(paper="arXiv:2310.14369")
@dataclass(frozen=True)
class MopeIsHessianTrace:
    """MoPe approximates the trace of the Hessian: exactly as the noise vanishes, and in rank at its default noise.

    (1) In float64 the ratio of sum_i [L_i(+) + L_i(-) - 2 L_i]/sigma^2 to sum_i eps' H_i eps over texts i, same noise eps
    in both, is 1 within ``within`` at sigma = 1e-4. (2) Over texts, Spearman's correlation of the signal (float32, 20
    perturbed models, the authors' sigma) with Hutchinson's estimate of the trace from independent probes is at least
    ``rank_correlation_at_least``. Interval of (1): texts drawn again. Both frozen before the run. No training besides the
    testbed's, so one model.

    Source: Li, Wang, Wang and Neel, "MoPe: model perturbation based privacy attacks on language models", EMNLP 2023;
    Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines", 1990.
    """

    seeds: tuple[int, ...] = (0,)
    study: Curvature = Curvature()
    at_sigma: float = 1e-4
    within: float = 1e-5
    rank_correlation_at_least: float = 0.8

    about: ClassVar[tuple[str, ...]] = ("signals.mope",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[CurvatureData]) -> Verdict:
        """The rule, on what was measured."""
        quadratic = np.concatenate([d.quadratic for d in seeds])
        differences = np.concatenate([d.differences for d in seeds])
        mope, traces = (np.concatenate([getattr(d, name) for d in seeds]) for name in ("mope", "traces"))
        excess = [_excess(column, quadratic) for column in differences.T]
        at = excess[self.study.sigmas.index(self.at_sigma)]
        rank = spearman(mope, traces.mean(axis=1))
        parts = (
            Inequality(f"|ratio - 1| at sigma {number(self.at_sigma)}", _size(at), "<=", self.within),
            Inequality("Spearman of MoPe with the trace", rank, ">=", self.rank_correlation_at_least),
        )
        return verdict(
            type(self).name,
            parts,
            theirs="the statistic approximates the trace of the Hessian, in theory and in practice",
            found=f"{self._found(quadratic, differences, traces, mope)} {_by_dose(seeds)}",
            table=self._table(seeds, excess, quadratic, differences),
        )

    def _found(self, quadratic: np.ndarray, differences: np.ndarray, traces: np.ndarray, mope: np.ndarray) -> str:
        column = differences[:, self.study.sigmas.index(self.at_sigma)]
        off = np.abs(column / quadratic - 1)
        half = traces.shape[1] // 2
        reliability = spearman(traces[:, :half].mean(axis=1), traces[:, half:].mean(axis=1)).value
        scale = float(np.median(mope / (self.study.sigma**2 / 2 * traces.mean(axis=1))))
        return (
            f"Text by text the ratio is off by {number(float(np.median(off)))} in the median and {number(float(off.max()))} "
            f"at worst. Two halves of the {traces.shape[1]} probes agree with each other at a rank correlation of {number(reliability)}; "
            f"MoPe is {number(scale)} times sigma^2/2 trace in the median."
        )

    def _table(
        self,
        seeds: Sequence[CurvatureData],
        excess: Sequence[Estimate],
        quadratic: np.ndarray,
        differences: np.ndarray,
    ) -> list[tuple[str, ...]]:
        rows = [("measured", "value", "beside it")]
        for sigma, e, column in zip(self.study.sigmas, excess, differences.T, strict=True):
            worst = number(float(np.abs(column / quadratic - 1).max()))
            rows.append((f"ratio - 1 over all texts, sigma {number(sigma)}", words(e), f"{worst} for the worst text"))
        dose = np.concatenate([d.dose for d in seeds])
        traces = np.concatenate([d.traces.mean(axis=1) for d in seeds])
        mope = np.concatenate([d.mope for d in seeds])
        for d in np.unique(dose):
            mine = dose == d
            beside = f"MoPe {number(float(np.nanmean(mope[mine])))} nats a token"
            rows.append((f"mean trace of the Hessian, {d} copies an epoch", number(float(traces[mine].mean())), beside))
        return rows


def _by_dose(seeds: Sequence[CurvatureData]) -> str:
    """Where the trace is largest, and what that means for a signal that takes it for membership."""
    dose, mope = (np.concatenate([getattr(d, name) for d in seeds]) for name in ("dose", "mope"))
    means = {int(d): float(np.nanmean(mope[dose == d])) for d in np.unique(dose)}
    most, peak = max(means), max(means, key=lambda d: means[d])
    return (
        f"Mean MoPe is largest for texts seen {peak} times an epoch ({number(means[peak])}); it is {number(means[most])} for those "
        f"seen {most} times and {number(means[min(means)])} for those seen {min(means)} times."
    )


def _size(e: Estimate) -> Estimate:
    """Of an interval around a number that of its absolute value."""
    ends = abs(e.low), abs(e.high)
    return Estimate(abs(e.value), 0.0 if e.low <= 0 <= e.high else min(ends), max(ends), e.n, e.unit)


def _excess(differences: np.ndarray, quadratic: np.ndarray) -> Estimate:
    """Ratio of the sums minus 1, texts drawn again: its interval says how far other texts could move it."""
    return bootstrap(
        np.stack([differences, quadratic], axis=1),
        lambda rows: float(rows[:, 0].sum() / rows[:, 1].sum() - 1),
        "ratio - 1",
    )
