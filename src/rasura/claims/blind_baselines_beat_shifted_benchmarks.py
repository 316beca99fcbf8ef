"""Blind baselines: where members and non-members are of different kinds, no model is needed to tell them apart."""

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
from ._pool import average, clipped, contrast, pooled_auc, share
from ._seeds import each_seed
from ._shifts import COLUMNS, DESIGN, SHIFTED, TEXT, ShiftData, Shifts


@method(paper="arXiv:2406.16201")
@dataclass(frozen=True)
class BlindBaselinesBeatShiftedBenchmarks:
    """A classifier that never sees the model beats every membership signal where topics differ, and is at chance here.

    Shifted benchmark: passages of dose 1 on the first half of the generator's topics against never-seen passages on the
    second half. The blind AUC is at least ``shifted_at_least`` there and above that of the best of five signals, the one
    that turns out best. On the testbed's own randomised design, passages against passages, the blind AUC lies between
    ``designed_at_least`` and ``designed_at_most``: mean over designs drawn again and over seeds. The blind AUC is that of
    the best of three feature sets, which leans above 1/2. Bounds frozen before the run.

    Sources: Das, Zhang and Tramer, "Blind baselines beat membership inference attacks for foundation models", 2024;
    Meeus, Shilov, Jain, Faysse, Rei and de Montjoye, "SoK: Membership inference attacks on LLMs are rushing nowhere (and
    how to fix it)", 2024. Deviation: their benchmarks are shifted in time, ours in topic.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Shifts = Shifts()
    shifted_at_least: float = 0.9
    designed_at_least: float = 0.45
    designed_at_most: float = 0.55

    about: ClassVar[tuple[str, ...]] = ("testbeds.language",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[ShiftData]) -> Verdict:
        """The rule, on what was measured."""
        shifted = _blind(seeds, SHIFTED)
        designed = _blind(seeds, DESIGN)
        signals = [_signal(seeds, k) for k in range(len(COLUMNS))]
        best = int(np.argmax([e.value for e in signals]))
        parts = (
            Inequality("blind AUC where topics differ", shifted, ">=", self.shifted_at_least),
            Inequality("the same minus the best signal's", contrast(shifted, signals[best]), ">", 0.0),
            Inequality("blind AUC on the testbed", designed, ">=", self.designed_at_least),
            Inequality("blind AUC on the testbed", designed, "<=", self.designed_at_most),
        )
        alarms = share([(d.blind[d.what == DESIGN, 3] <= 0.05).astype(np.float64) for d in seeds])
        rows = [("who", "AUC where topics differ"), ("blind classifier", words(shifted))]
        return verdict(
            type(self).name,
            parts,
            theirs="blind attacks beat the best published attacks on eight benchmarks of members and non-members",
            found=(
                f"The best signal there is the {COLUMNS[best]}. On the randomised design the blind baseline raises an alarm "
                f"at p <= 0.05 in {words(alarms)} of {alarms.n} draws."
            ),
            table=[*rows, *((name, words(e)) for name, e in zip(COLUMNS, signals, strict=True))],
        )


def _blind(seeds: Sequence[ShiftData], what: str) -> Estimate:
    """Mean AUC of the blind classifier over its runs within a seed, and over seeds."""
    each = []
    for data in seeds:
        rows = data.what == what
        runs = [
            Estimate(*map(float, row[:3]), int(n), "AUC")
            for row, n in zip(data.blind[rows], data.dose[rows], strict=True)
        ]
        each.append(average(runs))
    return clipped(average(each))


def _signal(seeds: Sequence[ShiftData], column: int) -> Estimate:
    sides = []
    for data in seeds:
        text, score = data.what == TEXT, data.scores[:, column]
        sides.append([(score[text & (data.dose > 0)], score[text & (data.dose == 0)])])
    return pooled_auc(sides)
