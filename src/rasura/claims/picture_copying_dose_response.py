"""Carlini et al.: what comes out of a diffusion model is what was in its training set often."""

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
from ._copies import Copies, CopyData
from ._decide import Inequality, verdict, words
from ._pool import share, wider
from ._seeds import each_seed


@method(paper="arXiv:2301.13188")
@dataclass(frozen=True)
class PictureCopyingDoseResponse:
    """The more often a picture is in the training data, the more surely its caption brings it back.

    On the `images` testbed, doses assigned at random. A picture is extracted when one of 8 drawn from its caption at
    guidance 1 lies within .15 of it (root mean square) and nearer to it than to any other planted picture
    (``extraction.nearest_picture``). (1) The largest fall of the extracted share from one dose to the next higher one is
    at most ``fall_at_most``, with a percentile interval over pictures drawn again within dose and seed (``resamples`` draws)
    or over seeds, whichever is wider; (2) the share at the highest dose is at least ``highest_at_least``; (3) at one copy
    at most ``lowest_at_most``. Thresholds frozen before the run. To resolve (2) takes 17 pictures, (3) 183.

    Source: Carlini, Hayes, Nasr, Jagielski, Sehwag, Tramer, Balle, Ippolito and Wallace, "Extracting training data from
    diffusion models", 2023. Deviations: 8 pictures a caption in place of 500; at guidance 1, since higher guidance
    saturates colours, which moves every pixel without changing what is shown. The file of the extraction names .25 for
    testbeds, beyond which pictures never trained on stay; that is listed.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Copies = Copies()
    fall_at_most: float = 0.0
    highest_at_least: float = 0.8
    lowest_at_most: float = 0.02
    resamples: int = 1000

    modality: ClassVar[str] = "images"
    about: ClassVar[tuple[str, ...]] = ("testbeds.images", "extraction.nearest_picture")
    testbed: ClassVar[str] = "images"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[CopyData]) -> Verdict:
        """The rule, on what was measured."""
        doses = sorted({int(d) for data in seeds for d in data.dose if d > 0})
        taken = {d: _share(seeds, d, 0) for d in (0, *doses)}
        looser = _share(seeds, doses[-1], 1)
        low, high = doses[0], doses[-1]
        parts = (
            Inequality("largest fall from a dose to the next", self._fall(seeds, doses), "<=", self.fall_at_most),
            Inequality(f"extracted at {high}x", taken[high], ">=", self.highest_at_least),
            Inequality(f"extracted at {low}x", taken[low], "<=", self.lowest_at_most),
        )
        return verdict(
            type(self).name,
            parts,
            theirs="94 pictures extracted from Stable Diffusion with the 350 000 captions it saw most often; rarely seen ones stay",
            found=(
                f"Of planted pictures never trained on, {words(taken[0])} are drawn all the same. Within "
                f"{self.study.distances[1]:g}, the distance the extraction's file names for testbeds, {words(looser)} come out at "
                f"{high}x; not decided here."
            ),
            table=_table(seeds, taken, self.study.distances),
        )

    def _fall(self, seeds: Sequence[CopyData], doses: Sequence[int]) -> Estimate:
        rng = np.random.default_rng(0)
        cells = [[data.extracted[data.dose == d, 0] for d in doses] for data in seeds]
        each = [largest_fall([c.mean() for c in seed]) for seed in cells]

        def pooled(draw: bool) -> float:
            kept = [[rng.choice(c, len(c)) if draw else c for c in seed] for seed in cells]
            return largest_fall([np.concatenate(column).mean() for column in zip(*kept, strict=True)])

        low, high = np.quantile([pooled(True) for _ in range(self.resamples)], [0.025, 0.975])
        n = sum(len(c) for seed in cells for c in seed)
        return wider(pooled(False), (float(low), float(high)), each, n, "share")


def largest_fall(shares: Sequence[float]) -> float:
    """How far a sequence falls at most from one entry to the next; negative where it always rises.

    >>> round(largest_fall([0.0, 0.3, 0.2, 1.0]), 9), largest_fall([0.0, 0.25, 1.0])
    (0.1, -0.25)
    """
    return float(max(a - b for a, b in zip(shares, shares[1:], strict=False)))


def _share(seeds: Sequence[CopyData], dose: int, column: int, name: str = "extracted") -> Estimate:
    return share([getattr(data, name)[data.dose == dose, column] for data in seeds])


def _table(seeds: Sequence[CopyData], taken: dict[int, Estimate], distances: Sequence[float]) -> list[tuple[str, ...]]:
    strict, loose = (f"within {d:g}" for d in distances)
    head = ("times seen", "pictures", f"extracted {strict}", f"draws {strict}", f"extracted {loose}", f"draws {loose}")
    rows: list[tuple[str, ...]] = [
        (*head, "draws nearest to the own picture", "median distance", f"guidance 4, extracted {loose}")
    ]
    for d, estimate in taken.items():
        hits, nearest, distance = (
            np.concatenate([getattr(data, name)[data.dose == d] for data in seeds])
            for name in ("hits", "nearest", "distance")
        )
        cells = (words(estimate), f"{hits[:, 0].mean():.3f}", words(_share(seeds, d, 1)), f"{hits[:, 1].mean():.3f}")
        more = (f"{nearest.mean():.3f}", f"{np.median(distance):.3f}", words(_share(seeds, d, 1, "guided")))
        rows.append((str(d), str(estimate.n), *cells, *more))
    return rows
