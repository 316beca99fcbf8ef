"""UCE and RECE: what is not the concept is drawn as well as before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..observations._engine import Progress, quiet
from ._concept_rates import ConceptData, ConceptRates
from ._decide import Inequality, verdict, words
from ._edits import BEFORE, RECE, UCE
from ._judged_rates import difference, labels, pooled
from ._seeds import each_seed


@method(paper="arXiv:2407.12383")
@dataclass(frozen=True)
class EditsPreserveNeighbours:
    """After UCE and RECE, prompts of the concept's neighbours and of everything else are judged right as often as before.

    On the `images` testbed, with the settings each edit's file names for testbeds: the corrected
    accuracy after the edit is at most ``loss_at_most`` below the original model's, on near prompts (the other classes of
    the concept's kind, all of them) and on far ones (everything else), for both edits. The look-alike, ``look_alike``, is in
    the near prompts and listed by itself as well; TIME, whose edit moves the start and padding positions of every
    prompt, is listed and not decided. Thresholds frozen before the run.

    Source: Gong, Chen, Wei, Chen and Jiang, "Reliable and efficient concept erasure of text-to-image diffusion models",
    2024; Gandikota, Orgad, Belinkov, Materzynska and Bau, "Unified concept editing in diffusion models", 2024.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: ConceptRates = ConceptRates()
    loss_at_most: float = 0.05
    look_alike: str = "disc"

    modality: ClassVar[str] = "images"
    about: ClassVar[tuple[str, ...]] = ("erasers.edits.uce", "erasers.edits.rece")
    testbed: ClassVar[str] = "images"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[ConceptData]) -> Verdict:
        """The rule, on what was measured."""
        parts = tuple(
            Inequality(
                f"{edit}: {group} accuracy, change",
                difference(seeds, (edit, group), (BEFORE, group)),
                ">=",
                -self.loss_at_most,
            )
            for edit in (UCE, RECE)
            for group in ("near", "far")
        )
        shown = {m: words(pooled(seeds, (m, "near"), only=(self.look_alike,))) for m in (BEFORE, UCE, RECE)}
        return verdict(
            type(self).name,
            parts,
            theirs="erasing a concept leaves the generation of other content as it was",
            found=f"The look-alike, {self.look_alike}: {', '.join(f'{m} {said}' for m, said in shown.items())}.",
            table=self._table(seeds),
        )

    def _table(self, seeds: Sequence[ConceptData]) -> list[tuple[str, ...]]:
        alike = (self.look_alike,)
        rows = [("model", "near", f"near, {self.look_alike} alone", "near without it", "far", "the concept")]
        for m in labels(seeds[0]):
            cells = (
                pooled(seeds, (m, "near")),
                pooled(seeds, (m, "near"), only=alike),
                pooled(seeds, (m, "near"), without=alike),
                pooled(seeds, (m, "far")),
                pooled(seeds, (m, "forget")),
            )
            rows.append((m, *map(words, cells)))
        return rows
