"""Li and Chen: features of a picture are decided one after the other, in windows that theory predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._windows import _chance
from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..observations._engine import Progress, quiet
from ..stats.intervals import mean_estimate
from ..stats.windows import crossing
from ._decide import Inequality, verdict, words
from ._mixture import Mixture, MixtureData
from ._pool import share, wider
from ._redraws import RedrawData, Redraws
from ._seeds import each_seed


@method(paper="arXiv:2403.01633")
@dataclass(frozen=True)
class CriticalWindowsInOrder:
    """Coarse features are decided before fine ones: background, then colour, then shape; and as the closed form says.

    (1) On the `images` testbed, t_half(attribute) is the noise level at which the share of noised and re-drawn pictures
    that keep the attribute is half way between chance and its best. In at least ``order_at_least`` of ``resamples``
    bootstrap draws over pictures the t_half stand in the order ``order``, latest noise first; seeds each with their draws.
    (2) For a nested Gaussian mixture in 32 dimensions the total variation between where re-draws end and "open within,
    closed to the rest" is at most ``study_of_theory.tolerance`` anywhere inside the closed-form windows, and (3) above it
    1.5 units of time after them, so that the windows say something. Largest and smallest by seed, mean over
    seeds. Thresholds frozen before the run.

    Source: Li and Chen, "Critical windows: non-asymptotic theory for feature emergence in diffusion models", 2024.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Redraws = Redraws()
    study_of_theory: Mixture = Mixture()
    order: tuple[str, ...] = ("background", "colour", "shape")
    order_at_least: float = 0.9
    resamples: int = 500

    modality: ClassVar[str] = "images"
    about: ClassVar[tuple[str, ...]] = ()
    testbed: ClassVar[str] = "images"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        redrawn = each_seed(self.study, self.seeds, store, progress)
        return self.decide(redrawn, each_seed(self.study_of_theory, self.seeds, store, progress))

    def decide(self, seeds: Sequence[RedrawData], theory: Sequence[MixtureData]) -> Verdict:
        """The rule, on what was measured."""
        draws = [self._draws(data) for data in seeds]  # (resamples, attributes) a seed
        ordered = share([(np.diff(d, axis=1) < 0).all(axis=1).astype(float) for d in draws], "share of draws")
        e = self.study_of_theory.tolerance
        inside = mean_estimate([_variation(data, True).max() for data in theory], "total variation")
        outside = mean_estimate([_variation(data, False).min() for data in theory], "total variation")
        parts = (
            Inequality(f"draws in the order {', '.join(self.order)}", ordered, ">=", self.order_at_least),
            Inequality("mixture: largest deviation inside the windows", inside, "<=", e),
            Inequality("mixture: smallest deviation well after them", outside, ">", e),
        )
        halves = {a: self._half(seeds, draws, k) for k, a in enumerate(self.order)}
        return verdict(
            type(self).name,
            parts,
            theirs="features appear in narrow windows, coarse before fine; for Gaussian mixtures the bounds are proved",
            found=f"Half decided at t: {'; '.join(f'{a} {words(h)}' for a, h in halves.items())}.",
            table=_table(seeds, self.order, halves),
        )

    def _draws(self, data: RedrawData) -> np.ndarray:
        rng = np.random.default_rng(0)
        said = [data.said[data.attribute == a] for a in self.order]
        n = len(said[0])
        rows = [rng.integers(n, size=n) for _ in range(self.resamples)]  # the same pictures for every attribute
        return np.array([[half(s[row], data.times[0]) for s in said] for row in rows])

    def _half(self, seeds: Sequence[RedrawData], draws: Sequence[np.ndarray], k: int) -> Estimate:
        each = [half(d.said[d.attribute == self.order[k]], d.times[0]) for d in seeds]
        low, high = np.nanquantile(np.mean([d[:, k] for d in draws], axis=0), [0.025, 0.975])
        n = sum(int((d.attribute == self.order[k]).sum()) for d in seeds)
        return wider(float(np.mean(each)), (float(low), float(high)), each, n, "training timestep")


def half(said: np.ndarray, times: np.ndarray) -> float:
    """The level at which the share that is unchanged is half way between chance and its best; NaN if it never is.

    Two pictures of classes 0 and 1, both lost at t = 900 (called 1 and 0: chance of two is that of the other picture's
    class, 1), both kept at t = 500: best 1 and chance 1, so half way is reached at 500.

    >>> half(np.array([[0, 1, 0], [1, 0, 1]]), np.array([900, 500]))
    500.0
    """
    kept = (said[:, 1:] == said[:, :1]).mean(axis=0)
    return crossing(times.tolist(), kept.tolist(), (float(kept.max()) + _chance(said)) / 2)


def _variation(data: MixtureData, inside: bool) -> np.ndarray:
    within = (data.time >= data.low) & (data.time <= data.high)
    return data.variation[within == inside]


def _table(seeds: Sequence[RedrawData], order: Sequence[str], halves: dict[str, Estimate]) -> list[tuple[str, ...]]:
    times = seeds[0].times[0]
    rows: list[tuple[str, ...]] = [("attribute", "half decided at t", *(f"kept from t = {t}" for t in times))]
    for a in order:
        said = np.concatenate([d.said[d.attribute == a] for d in seeds])
        kept = (said[:, 1:] == said[:, :1]).mean(axis=0)
        rows.append((a, words(halves[a]), *(f"{v:.2f}" for v in kept)))
    return rows
