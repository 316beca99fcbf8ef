"""Seshadri et al.: generated pictures are more one-sided than the pictures trained on."""

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
from ._decide import Inequality, verdict, words
from ._occupations import OccupationData, Occupations
from ._pool import share
from ._seeds import each_seed


@method(paper="arXiv:2308.00755")
@dataclass(frozen=True)
class BiasIsAmplified:
    """A word whose training pictures are mostly of one colour is drawn in that colour more often still.

    On the `images` testbed, occupations whose pictures have their usual colour in exactly 90, 70 and 50 % of cases.
    Share of generated pictures, at guidance ``guidance``, in which the judge sees the usual colour, among all pictures of
    the word (a third colour counts against it): above the planted share for the words of ``splits``, with the lower end.
    The judge's errors are not corrected for. Guidance 1 and the even word are listed. Thresholds frozen before the run.

    Source: Seshadri, Singh and Elazar, "The bias amplification paradox in text-to-image generation", 2023: Stable Diffusion
    appears to amplify gender shares of occupations, and much less once prompts are like the training captions. Here
    prompts are the training captions, which never name the colour: only what remains then is tested.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Occupations = Occupations()
    guidance: float = 4.0
    splits: tuple[str, ...] = ("90/10", "70/30")

    modality: ClassVar[str] = "images"
    about: ClassVar[tuple[str, ...]] = ()
    testbed: ClassVar[str] = "images"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[OccupationData]) -> Verdict:
        """The rule, on what was measured."""
        parts = tuple(
            Inequality(f"usual colour, {s} planted", _usual(seeds, s, self.guidance), ">", planted(s))
            for s in self.splits
        )
        without = ", ".join(f"{words(_usual(seeds, s, 1.0))} of {s}" for s in self.splits)
        return verdict(
            type(self).name,
            parts,
            theirs="gender shares of occupations are more extreme in generated pictures; less so for prompts like captions",
            found=f"Without guidance: {without}.",
            table=_table(seeds),
        )


def planted(split: str) -> float:
    """Share of the usual colour in the training pictures.

    >>> planted("70/30")
    0.7
    """
    usual, other = map(float, split.split("/"))
    return usual / (usual + other)


def _usual(seeds: Sequence[OccupationData], split: str, guidance: float, column: str = "usual") -> Estimate:
    return share([getattr(d, column)[(d.split == split) & (d.guidance == guidance)] for d in seeds])


def _table(seeds: Sequence[OccupationData]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        (
            "planted",
            "guidance",
            "pictures",
            "usual colour",
            "other planted colour",
            "neither",
            "usual of the two",
            "by seed",
        )
    ]
    for split in dict.fromkeys(seeds[0].split.tolist()):
        for guidance in np.unique(seeds[0].guidance):
            usual, other = (_usual(seeds, split, guidance, column) for column in ("usual", "other"))
            two = usual.value / (usual.value + other.value) if usual.value + other.value else np.nan
            cells = [d.usual[(d.split == split) & (d.guidance == guidance)].mean() for d in seeds]
            by_seed = ", ".join(f"{v:.2f}" for v in cells)
            rows.append(
                (
                    split,
                    f"{guidance:g}",
                    str(usual.n),
                    words(usual),
                    words(other),
                    f"{1 - usual.value - other.value:.3f}",
                    f"{two:.3f}",
                    by_seed,
                )
            )
    return rows
