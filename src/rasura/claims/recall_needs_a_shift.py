"""ReCaLL: what its gain over the loss comes from, memory or a difference between the texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..observations._engine import Progress, quiet
from ._decide import Inequality, number, verdict, words
from ._gains import LOW, aucs, gain
from ._seeds import each_seed
from ._signal_scores import SHIFTED, SignalData, SignalScores


@method(paper="arXiv:2406.15968")
@dataclass(frozen=True)
class RecallNeedsAShift:
    """ReCaLL beats the loss by far where members and non-members are different texts, and hardly where chance parted them.

    AUC of ReCaLL minus AUC of the loss, passages seen 1, 2 or 4 times an epoch. (1) Against passages that a coin left out,
    behind a text of the same generator: at most ``alike_at_most``. (2) Against unseen passages about one topic, behind a
    text about that topic: at least ``shifted_at_least``. Both frozen before the run. Deviations: a shift of topic in place
    of one in time; one text in front, because the model was trained on 128 tokens at a time; the paper has up to 28.

    Sources: Xie et al., "ReCaLL: membership inference via relative conditional log-likelihoods", EMNLP 2024; that such
    benchmarks measure the shift: Duan et al., "Do membership inference attacks work on large language models?", COLM 2024.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: SignalScores = SignalScores()
    alike_at_most: float = 0.03
    shifted_at_least: float = 0.10

    about: ClassVar[tuple[str, ...]] = ("signals.recall",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[SignalData]) -> Verdict:
        """The rule, on what was measured."""
        alike = [[data.only("passage")] for data in seeds]
        shifted = [[_against_shifted(data)] for data in seeds]
        parts = (
            Inequality("gain on exchangeable texts", gain(alike, "recall", "loss", LOW), "<=", self.alike_at_most),
            Inequality(
                "gain on shifted texts", gain(shifted, "recall_shifted", "loss", LOW), ">=", self.shifted_at_least
            ),
        )
        members, others = (_rise(seeds, "recall_shifted", side) for side in ("members", SHIFTED))
        return verdict(
            type(self).name,
            parts,
            theirs="14.8 points of AUC above the second best on WikiMIA, whose non-members are younger than its members",
            found=(
                f"Behind a text about the topic the loss of the shifted texts becomes {number(others)} times what it was "
                f"in the median, that of the members {number(members)} times; the further apart, the more the signal tells."
            ),
            table=[
                ("non-members", "text in front", "AUC of the loss", "AUC of ReCaLL"),
                ("exchangeable", "exchangeable", *_row(alike, "recall")),
                ("exchangeable", "about the topic", *_row(alike, "recall_shifted")),
                ("about one topic", "exchangeable", *_row(shifted, "recall")),
                ("about one topic", "about the topic", *_row(shifted, "recall_shifted")),
            ],
        )


def _against_shifted(data: SignalData) -> SignalData:
    """The planted passages that were seen, and the shifted ones in place of their twins."""
    both = data.only("passage", SHIFTED)
    kept = (both.dose > 0) | (both.group == SHIFTED)
    return replace(both, **{f.name: getattr(both, f.name)[kept] for f in fields(both)})


def _row(seeds: Sequence[Sequence[SignalData]], name: str) -> tuple[str, str]:
    return words(aucs(seeds, "loss", LOW)), words(aucs(seeds, name, LOW))


def _rise(seeds: Sequence[SignalData], name: str, side: str) -> float:
    """Median of the ratio of the losses, over all seeds' texts of one side."""
    kept = [_against_shifted(data) for data in seeds]
    chosen = [np.isin(d.dose, LOW) if side == "members" else d.dose == 0 for d in kept]
    return float(np.nanmedian(np.concatenate([getattr(d, name)[c] for d, c in zip(kept, chosen, strict=True)])))
