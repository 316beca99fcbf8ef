"""Mattern et al.: how much likelier a text is than its neighbours tells members better than the loss."""

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
from ._gains import by_dose, gain
from ._neighbour_scores import CONTROL, NeighbourScores, NeighbourScoresData
from ._seeds import each_seed


@method(paper="arXiv:2305.18462")
@dataclass(frozen=True)
class NeighbourhoodBeatsLoss:
    """The neighbourhood comparison detects members better than the loss.

    AUC of the signal minus AUC of the loss, passages seen 4 or 8 times an epoch against passages never seen, same texts,
    at least ``gain_at_least``; frozen before the run. 25 neighbours a text, as in a public benchmark; random swaps, which
    are not fluent and should be a poor comparison, are the control. Deviation: the neighbours are the next-token
    candidates of the testbed's reference model, which has read the same background, in place of a masked language
    model's; its likelihoods of the text take no other part.

    Source: Mattern, Mireshghallah, Jin, Schoelkopf, Sachan and Berg-Kirkpatrick, "Membership inference attacks against
    language models via neighbourhood comparison", ACL Findings 2023.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: NeighbourScores = NeighbourScores()
    gain_at_least: float = 0.03

    about: ClassVar[tuple[str, ...]] = ("signals.neighbourhood",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[NeighbourScoresData]) -> Verdict:
        """The rule, on what was measured."""
        passages = [[data] for data in seeds]
        control, swaps = gain(passages, "random", "loss"), f"{CONTROL} random swaps"
        return verdict(
            type(self).name,
            (Inequality("gain over the loss", gain(passages, "neighbourhood", "loss"), ">=", self.gain_at_least),),
            theirs="above attacks by the loss and by reference models whose training data is not quite that of the target",
            found=(
                f"With {swaps} in place of fluent neighbours the gain is {words(control)}. The signal tells members from "
                f"others where its scores lie apart: it averages {number(_mean(seeds, True))} nats a token on members with a standard "
                f"deviation of {number(_deviation(seeds))} on the others, whose average is {number(_mean(seeds, False))}."
            ),
            table=by_dose(passages, {"loss": "loss", "neighbourhood": "neighbourhood", swaps: "random"}),
        )


def _mean(seeds: Sequence[NeighbourScoresData], members: bool) -> float:
    return float(np.nanmean(np.concatenate([d.neighbourhood[(d.dose > 0) == members] for d in seeds])))


def _deviation(seeds: Sequence[NeighbourScoresData]) -> float:
    return float(np.nanstd(np.concatenate([d.neighbourhood[d.dose == 0] for d in seeds]), ddof=1))
