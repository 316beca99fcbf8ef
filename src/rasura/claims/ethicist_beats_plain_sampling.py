"""Ethicist: a soft prompt tuned on known records extracts others that plain sampling and greedy decoding do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..observations._engine import Progress, quiet
from ._decide import Inequality, number, verdict, words
from ._paired import paired
from ._pool import share
from ._seeds import each_seed
from ._soft_prompts import ATTACKS, SoftPromptData, SoftPrompts

PLAIN, TUNED, UNSMOOTHED = range(len(ATTACKS))


@method(paper="arXiv:2307.04401")
@dataclass(frozen=True)
class EthicistBeatsPlainSampling:
    """Who knows half of the often-seen records extracts more of the other half by a tuned soft prompt than by plain draws.

    Plants seen 4, 8 or 16 times an epoch by the testbed's target, half of each family and dose known, the others attacked (see
    ``_soft_prompts``). Share of records extracted word for word by one guess: the most confident of the draws under the tuned prompt
    minus the draw of lowest loss without a prompt at least ``gain_at_least``, and minus greedy decoding above ``over_greedy``; the
    same records, Student's t over them or over seeds if wider. Bounds frozen before the run.

    Source: Zhang, Wen and Huang, "Ethicist: targeted training data extraction through loss smoothed soft prompting and
    calibrated confidence estimation", ACL 2023. Deviations: about a hundred known records instead of 14,000, 8 vectors
    instead of 100, 20 draws instead of 100, suffixes of a record's second half; a target of .66 M parameters.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: SoftPrompts = SoftPrompts()
    gain_at_least: float = 0.05
    over_greedy: float = 0.0

    about: ClassVar[tuple[str, ...]] = ("extraction.ethicist",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[SoftPromptData]) -> Verdict:
        """The rule, on what was measured."""
        gain = paired([(d.confident[:, TUNED], d.lowest[:, PLAIN]) for d in seeds])
        over = paired([(d.confident[:, TUNED], d.greedy) for d in seeds])
        parts = (
            Inequality("tuned prompt minus plain draw of lowest loss", gain, ">=", self.gain_at_least),
            Inequality("tuned prompt minus greedy decoding", over, ">", self.over_greedy),
        )
        ranking = paired([(d.confident[:, PLAIN], d.lowest[:, PLAIN]) for d in seeds])
        tuning = paired([(d.confident[:, TUNED], d.confident[:, PLAIN]) for d in seeds])
        smoothing = paired([(d.confident[:, TUNED], d.confident[:, UNSMOOTHED]) for d in seeds])
        before, after = (float(np.nanmean(np.concatenate([d.nats[:, k] for d in seeds]))) for k in (PLAIN, TUNED))
        return verdict(
            type(self).name,
            parts,
            theirs="better than plain prompting, sampling and earlier soft prompts on the extraction challenge (GPT-Neo 1.3 B)",
            found=(
                f"Calibrated confidence alone, on plain draws, gains {words(ranking)}; tuning gains {words(tuning)} more, and "
                f"smoothing is {words(smoothing)} of that. With {seeds[0].known[0]} known records the tuned prompt moves the loss of "
                f"the attacked suffixes from {number(before)} to {number(after)} nats a token."
            ),
            table=_table(seeds),
        )


def _table(seeds: Sequence[SoftPromptData]) -> list[tuple[str, ...]]:
    doses = sorted({int(d) for data in seeds for d in data.dose})
    rows = [("attack", "guess", *(f"{d}x" for d in doses), "all")]
    guesses = {"any draw": "any_draw", "most confident draw": "confident", "draw of lowest loss": "lowest"}
    for k, attack in enumerate(ATTACKS):
        for guess, name in guesses.items():
            rows.append((attack, guess, *_cells([getattr(d, name)[:, k] for d in seeds], seeds, doses)))
    rows.append(("plain", "greedy", *_cells([d.greedy for d in seeds], seeds, doses)))
    return rows


def _cells(values: Sequence[np.ndarray], seeds: Sequence[SoftPromptData], doses: Sequence[int]) -> list[str]:
    by_dose = [share([v[d.dose == dose] for v, d in zip(values, seeds, strict=True)]) for dose in doses]
    return [words(e) for e in (*by_dose, share(values))]
