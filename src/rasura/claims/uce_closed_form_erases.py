"""UCE: a concept goes from direct prompts by one closed-form edit, and what is near it stays."""

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
from ._edits import BEFORE, GUIDED, PUBLISHED, UCE
from ._judged_rates import by_seed, difference, labels, pooled
from ._seeds import each_seed


@method(paper="arXiv:2308.14761")
@dataclass(frozen=True)
class UceClosedFormErases:
    """After UCE's closed-form edit direct prompts no longer show the concept, and its neighbours are drawn as before.

    On the `images` testbed, with the settings ``erasers.edits.uce`` names for testbeds, under which the direct prompts
    themselves are the edited ones, towards the empty prompt: (1) the judge's corrected rate of the concept on direct prompts is at most ``direct_at_most``; (2) it was
    higher by at least ``drop_at_least`` before, so that there was something to erase; (3) accuracy on neighbours is at least
    ``near_share`` of the original model's. Reported, not decided: whether paraphrases (synonyms no eraser was told) show
    the concept more often than direct prompts by ``paraphrase_gap``, the paper's settings (the bare word, last position),
    and the same edit towards another class. Thresholds frozen before the run.

    Source: Gandikota, Orgad, Belinkov, Materzynska and Bau, "Unified concept editing in diffusion models", 2024.
    Deviation: one concept of a model of 1.1 million parameters in place of artists and objects of Stable Diffusion.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: ConceptRates = ConceptRates()
    direct_at_most: float = 0.15
    drop_at_least: float = 0.5
    near_share: float = 0.9
    paraphrase_gap: float = 0.2

    modality: ClassVar[str] = "images"
    about: ClassVar[tuple[str, ...]] = ("erasers.edits.uce",)
    testbed: ClassVar[str] = "images"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[ConceptData]) -> Verdict:
        """The rule, on what was measured."""
        drop = difference(seeds, (BEFORE, "forget"), (UCE, "forget"))
        near = difference(seeds, (UCE, "near"), (BEFORE, "near"), self.near_share)
        parts = (
            Inequality("concept on direct prompts", pooled(seeds, (UCE, "forget")), "<=", self.direct_at_most),
            Inequality("fall of that rate", drop, ">=", self.drop_at_least),
            Inequality(f"near accuracy minus {self.near_share:g} of the original's", near, ">=", 0.0),
        )
        gap = difference(seeds, (UCE, "paraphrases"), (UCE, "forget"))
        reported = Inequality("paraphrases minus direct prompts", gap, ">=", self.paraphrase_gap)
        guided, published = (pooled(seeds, (edit, "forget")) for edit in (GUIDED, PUBLISHED))
        return verdict(
            type(self).name,
            parts,
            theirs="many concepts are erased at once by a closed-form edit with little interference (artists, objects)",
            found=(
                f"Paraphrases show the concept more often than direct prompts by {words(gap)} (+{self.paraphrase_gap:g} "
                f"{reported.outcome}, not decided here). Towards the class '{self.study.guide}' instead of the empty "
                f"prompt, direct prompts show it at {words(guided)}; with the paper's settings at {words(published)}."
            ),
            table=table(seeds),
        )


def table(seeds: Sequence[ConceptData]) -> list[tuple[str, ...]]:
    """A model a row."""
    groups = ("forget", "paraphrases", "near", "far")
    rows = [("model", "direct prompts", "paraphrases", "near", "far", "direct prompts by seed")]
    for m in labels(seeds[0]):
        rows.append((m, *(words(pooled(seeds, (m, group))) for group in groups), by_seed(seeds, (m, "forget"))))
    return rows
