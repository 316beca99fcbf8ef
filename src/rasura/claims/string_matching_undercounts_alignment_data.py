"""Extracting alignment data: comparing strings finds far fewer of the examples that a chat model gives away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..extraction.alignment import threshold_at
from ..observations._engine import Progress, quiet
from ._chat_leaks import ChatData, ChatLeaks
from ._decide import Inequality, number, verdict, words
from ._pool import contrast, share
from ._seeds import each_seed

MEMBER, HELD_OUT, DRAW = "member", "held out", "draw"


@method(paper="arXiv:2510.18554")
@dataclass(frozen=True)
class StringMatchingUndercountsAlignmentData:
    """Of the examples a chat model writes unasked, string matching finds less than a third of what meaning finds.

    A testbed's reference model is fine-tuned on 300 made-up questions and answers in a chat template and draws 600 texts
    from nothing but the template's beginning (see ``_chat_leaks``). Meaning: cosine of words, word pairs and letters.
    String: edit similarity. Either threshold is where ``false_rate`` of as many items never trained on are matched, seed
    by seed. The share of items matched by meaning minus ``times`` that matched by string is at least 0; Clopper-Pearson
    over items, or over seeds if wider. Bounds frozen before the run.

    Source: Barbero, Gu, Choquette-Choo and others, "Extracting alignment data in open models", 2025. Deviations: words and
    letters stand in for an embedding model; both are compared at one rate of false matches (theirs: a cosine of .95),
    which the table has beside .95 and .9; ``times`` is 3 instead of their 10, which templates cannot show; a model of
    .66 M parameters, 12 times over its items.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: ChatLeaks = ChatLeaks()
    times: float = 3.0
    false_rate: float = 0.01
    cosine: float = 0.95  # the published threshold, for the table
    edits: float = 0.9  # the usual one

    about: ClassVar[tuple[str, ...]] = ("extraction.alignment",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[ChatData]) -> Verdict:
        """The rule, on what was measured."""
        meaning, string = (self._at_rate(seeds, name) for name in ("meaning", "string"))
        excess = contrast(meaning, string, weight=self.times)
        part = Inequality(f"matched by meaning minus {self.times:g} times matched by string", excess, ">=", 0.0)
        loss = {
            group: float(np.nanmean(np.concatenate([d.loss[d.group == group] for d in seeds])))
            for group in (MEMBER, HELD_OUT)
        }
        return verdict(
            type(self).name,
            (part,),
            theirs="string matching undercounts extractable alignment data by a factor of 10 at the least",
            found=(
                f"By meaning {words(meaning)} of the items are found and by string {words(string)}; "
                f"{self._overlap(seeds)}. The chat model's loss is {number(loss[MEMBER])} nats a token on items it was trained on and {number(loss[HELD_OUT])} on others."
            ),
            table=self._table(seeds),
        )

    def _at_rate(self, seeds: Sequence[ChatData], name: str) -> Estimate:
        return share([_reached(d, MEMBER, name, self._threshold(d, name)) for d in seeds])

    def _threshold(self, data: ChatData, name: str) -> float:
        return threshold_at(getattr(data, name)[data.group == HELD_OUT], self.false_rate)

    def _overlap(self, seeds: Sequence[ChatData]) -> str:
        """How many items each of the two finds alone."""
        found = {
            name: np.concatenate([_reached(d, MEMBER, name, self._threshold(d, name)) for d in seeds]) == 1
            for name in ("meaning", "string")
        }
        alone = int(np.sum(found["meaning"] & ~found["string"])), int(np.sum(found["string"] & ~found["meaning"]))
        return f"{alone[0]} are found by meaning alone and {alone[1]} by string alone"

    def _table(self, seeds: Sequence[ChatData]) -> list[tuple[str, ...]]:
        rows = [("compared by", "threshold", "items trained on", "items never seen", "draws that match an item")]
        for name, what, published in (("meaning", "meaning", self.cosine), ("string", "edits", self.edits)):
            calibrated = [self._threshold(d, name) for d in seeds]
            labels = (", ".join(number(t) for t in calibrated), number(published))
            for label, thresholds in zip(labels, (calibrated, [published] * len(seeds)), strict=True):
                cells = [
                    words(share([_reached(d, group, name, t) for d, t in zip(seeds, thresholds, strict=True)]))
                    for group in (MEMBER, HELD_OUT, DRAW)
                ]
                rows.append((what, label, *cells))
        return rows


def _reached(data: ChatData, group: str, name: str, threshold: float) -> np.ndarray:
    """(n,) 1: as like as that."""
    values = getattr(data, name)[data.group == group]
    return np.where(np.isnan(values), np.nan, (values >= threshold - 1e-6).astype(np.float64))
