"""Dori: pruned memories are out of a caption's reach, not gone."""

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
from ._pool import contrast, share
from ._pruned import Pruned, PrunedData
from ._seeds import each_seed


@method(paper="arXiv:2507.16880")
@dataclass(frozen=True)
class WandaPruningSilencesAndEmbeddingsBringBack:
    """Pruning by Wanda scores stops memorised captions from bringing their pictures back; searched embeddings still do.

    On the `images` testbed, pictures seen ``study.high_from`` times or more. Copies are pictures within .15 of the own one
    (root mean square) and nearer to it than to any other planted picture, drawn at guidance 1. After
    ``erasers.pruning.wanda`` with its settings for testbeds on their captions: (1) the share of copies by caption is at most
    ``by_caption_at_most`` and (2) lower than before by more than ``fall_above``, so that there was something to silence; (3)
    the share of copies from embeddings searched on the pruned model (``attacks.adversarial_embedding``), minus that for
    pictures never trained on, is at least ``gap_at_least``. Captions are the sample, each with its mean over draws.
    Thresholds frozen before the run. Pruning with the paper's settings, and copies within .25, are listed.

    Source: Kowalczuk, Hintersdorf, Struppek, Kersting, Dziedzic and Boenisch, "Finding Dori: memorization in
    text-to-image diffusion models is less local than assumed", 2025, first part. Deviation: copies by pixels, not SSCD.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Pruned = Pruned()
    by_caption_at_most: float = 0.2
    fall_above: float = 0.0
    gap_at_least: float = 0.5

    modality: ClassVar[str] = "images"
    about: ClassVar[tuple[str, ...]] = ("erasers.pruning.wanda", "attacks.adversarial_embedding")
    testbed: ClassVar[str] = "images"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[PrunedData]) -> Verdict:
        """The rule, on what was measured."""
        before, after, back, ceiling = (
            _copied(seeds, name, True) for name in ("before", "after", "embedded", "ceiling")
        )
        never = _copied(seeds, "embedded", False)
        parts = (
            Inequality("copies by caption after pruning", after, "<=", self.by_caption_at_most),
            Inequality("fall of that share by pruning", contrast(before, after), ">", self.fall_above),
            Inequality(
                "copies by embedding, memorised minus never trained", contrast(back, never), ">=", self.gap_at_least
            ),
        )
        here, published = (100 * np.mean([data.removed[0, k] for data in seeds]) for k in (0, 1))
        return verdict(
            type(self).name,
            parts,
            theirs="after pruning by Wanda no prompt copies (.00), embeddings bring back .72 (SSCD at least .7)",
            found=(
                f"{here:.2g} % of all weights were pruned ({published:.2g} % with the paper's settings). Before pruning "
                f"{words(before)} of the pictures drawn from the captions are copies; embeddings bring back {words(back)}, and "
                f"{words(never)} of pictures never trained on; without pruning {words(ceiling)}, which is what the search can reach."
            ),
            table=self._table(seeds),
        )

    def _table(self, seeds: Sequence[PrunedData]) -> list[tuple[str, ...]]:
        names = ("before", "published", "after", "embedded", "ceiling")
        head = (
            "by caption before",
            "by caption, paper's pruning",
            "by caption after pruning",
            "by embedding after pruning",
            "by embedding without pruning",
        )
        rows: list[tuple[str, ...]] = [("times seen", "pictures", "copies within", *head)]
        for dose in sorted({int(d) for data in seeds for d in data.dose}):
            for k, distance in enumerate(self.study.distances):
                cells = [share([getattr(d, name)[d.dose == dose, k] for d in seeds]) for name in names]
                rows.append(
                    (str(dose), str(cells[3].n), f"{distance:g}", *(words(c) if c.known else "" for c in cells))
                )
        return rows


def _copied(seeds: Sequence[PrunedData], name: str, memorised: bool) -> Estimate:
    return share([getattr(data, name)[(data.dose > 0) == memorised, 0] for data in seeds])
