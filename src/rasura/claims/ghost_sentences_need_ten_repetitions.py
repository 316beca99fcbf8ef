"""Ghost sentences: about ten repetitions until the model completes one, fewer until its perplexity tells."""

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
from ._marked_texts import FRESH, GHOST, MarkedData, MarkedTexts
from ._pool import pooled_auc, share
from ._seeds import each_seed

LEVEL = 0.05


@method(paper="arXiv:2403.15740")
@dataclass(frozen=True)
class GhostSentencesNeedTenRepetitions:
    """Completing the last word takes 4 to 32 documents with the passphrase; perplexity tells it at a quarter of that.

    A small model reads documents in which passphrases of 12 words of 7776 stand once each, every passphrase in 1, 2, 4,
    .. 64 documents (see ``_marked_texts``). d* is the smallest number at which greedy decoding says the last word of at
    least half of the passphrases. Fewer than half of them at ``too_few`` documents, at least half at ``enough``; and the
    AUC of the mean log-probability at d*/4, over fresh passphrases of the list, is at least ``auc_at_least``. Bounds
    frozen before the run.

    Source: Zhao, Zhu, Quan and Yang, "Protecting copyrighted material with unique identifiers in large language model
    training", 2024. Deviations: pretraining of a small model in one pass, where theirs fine-tunes; a word of the list is
    five or six of the model's tokens, all of which must be said.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: MarkedTexts = MarkedTexts()
    said_by: float = 0.5
    too_few: int = 2
    enough: int = 32
    auc_at_least: float = 0.85

    about: ClassVar[tuple[str, ...]] = ("provenance.ghost_sentence",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[MarkedData]) -> Verdict:
        """The rule, on what was measured."""
        doses = sorted({int(d) for data in seeds for d in data.dose[data.kind == GHOST]})
        said = {d: share([data.said[_at(data, d)] for data in seeds]) for d in doses}
        aucs = {d: pooled_auc([[_sides(data, d)] for data in seeds]) for d in doses}
        needed = next((d for d in doses if said[d].value >= self.said_by), None)
        quarter = aucs.get(needed // 4) if needed is not None and needed >= 4 else None
        parts = (
            Inequality(f"last word said at {self.too_few} documents", said[self.too_few], "<", self.said_by),
            Inequality(f"last word said at {self.enough} documents", said[self.enough], ">=", self.said_by),
            Inequality("AUC of the perplexity at d*/4", quarter or _none(needed), ">=", self.auc_at_least),
        )
        chance = share([data.said[data.kind == FRESH] for data in seeds])
        first = next((d for d in doses if aucs[d].low >= self.auc_at_least), None)
        return verdict(
            type(self).name,
            parts,
            theirs="at least ten repetitions for the last-words test; perplexity reaches an AUC of .891 at a mean of 7 in 148 thousand examples (13 B parameters)",
            found=(
                f"d* is {'more than ' + str(doses[-1]) if needed is None else needed} documents. The AUC of the perplexity is at "
                f"least {self.auc_at_least} with its whole interval {'nowhere' if first is None else f'first at {first} documents'}. "
                f"Of passphrases never read, the last word is said of {words(chance)}."
            ),
            table=_table(seeds, doses, said, aucs),
        )


def _at(data: MarkedData, dose: int) -> np.ndarray:
    return (data.kind == GHOST) & (data.dose == dose)


def _sides(data: MarkedData, dose: int) -> tuple[np.ndarray, np.ndarray]:
    return data.score[_at(data, dose)], data.score[data.kind == FRESH]


def _none(needed: int | None) -> Estimate:
    note = "no number of documents is enough" if needed is None else "d* is below 4: nothing is a quarter of it"
    return Estimate(float("nan"), float("nan"), float("nan"), 0, "AUC", note=note)


def _table(
    seeds: Sequence[MarkedData], doses: Sequence[int], said: dict[int, Estimate], aucs: dict[int, Estimate]
) -> list[tuple[str, ...]]:
    rows = [
        (
            "documents with the passphrase",
            "passphrases",
            "last word said",
            "AUC of the perplexity",
            f"perplexity test at p <= {LEVEL}",
        )
    ]
    for d in doses:
        found = share([(data.p_value[_at(data, d)] <= LEVEL).astype(float) for data in seeds])
        rows.append((str(d), str(said[d].n), words(said[d]), words(aucs[d]), words(found)))
    return rows
