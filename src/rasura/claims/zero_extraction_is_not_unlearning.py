"""A model that no forgotten record can be extracted from is not yet one that never saw it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..metrics.loss_gap import LossGap
from ..metrics.membership_auc import MembershipAuc
from ..metrics.membership_gap import MembershipGap
from ..observations._engine import Progress, quiet
from ..stats.intervals import difference_of_means
from ._decide import Inequality, verdict, words
from ._erasing import FORGET, TWIN, Erasing, ErasingData
from ._pool import average, share
from ._seeds import each_seed

NEVER = Estimate(math.nan, math.nan, math.nan, 0, "", note="extraction never reached zero")


@method(paper="arXiv:2407.06460")
@dataclass(frozen=True)
class ZeroExtractionIsNotUnlearning:
    """Where NPO has just brought word-for-word extraction to zero, the model is still distinguishable from the retrained one.

    At the first look (every 5 steps) at which no forget record comes out: (1) the loss of the forget records lies below
    that of the retrained model, the whole interval of ``metrics.loss_gap`` below ``gap_below``; (2) the AUC telling them
    from twins never trained on is above the retrained model's by more than ``auc_above`` (``metrics.membership_gap``,
    paired). Both frozen before the run. Reported beside it: what relearning half of the forget set brings back of the other
    half, here and in the retrained model.

    Source: Shi, Lee, Huang, Malladi, Zhao, Holtzman, Liu, Zettlemoyer, Smith and Zhang, "MUSE: machine unlearning six-way
    evaluation for language models", 2024 (most methods prevent verbatim memorisation, only one does not leak privacy);
    relearning: Hu, Fu, Wu and Smith, "Unlearning or obfuscating?", 2024. Deviation: membership by the plain loss instead
    of Min-40 %; NPO alone.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Erasing = Erasing(objective="npo", relearn=True)
    gap_below: float = 0.0
    auc_above: float = 0.0

    about: ClassVar[tuple[str, ...]] = ("metrics.loss_gap", "metrics.membership_gap")
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[ErasingData]) -> Verdict:
        """The rule, on what was measured."""
        parts = (
            Inequality(
                "loss above the retrained model's, nats a token", average([_gap(d) for d in seeds]), "<", self.gap_below
            ),
            Inequality("AUC above the retrained model's", average([_auc_gap(d) for d in seeds]), ">", self.auc_above),
        )
        back, floor = share([d.relearned for d in seeds]), share([d.retrained_relearned for d in seeds])
        more = average([difference_of_means(d.relearned, d.retrained_relearned, "share", paired=True) for d in seeds])
        return verdict(
            type(self).name,
            parts,
            theirs="most of eight methods prevent verbatim memorisation; only one does not leak who was in the forget set",
            found=(
                f"Relearning half of the forget set brings back {words(back)} of the other half, {words(floor)} in the "
                f"retrained model: {words(more)} more."
            ),
            table=self._table(seeds),
        )

    def _table(self, seeds: Sequence[ErasingData]) -> list[tuple[str, ...]]:
        header = (
            "seed",
            "zero extraction at step",
            "forget loss",
            "retrained model's",
            "loss gap",
            "AUC",
            "retrained model's AUC",
            "AUC gap",
            "relearned",
            "relearned, retrained",
        )
        rows: list[tuple[str, ...]] = [header]
        for seed, data in zip(self.seeds, seeds, strict=True):
            at = data.clean()
            if at is None:
                rows.append((str(seed), "never", *[""] * (len(header) - 2)))
                continue
            losses = [float(np.nanmean(d.loss)) for d in (_after(data, FORGET), _retrained(data, FORGET))]
            aucs = [
                MembershipAuc().estimate(forget=f(data, FORGET), nonmembers=f(data, TWIN)) for f in (_after, _retrained)
            ]
            back = [share([values]) for values in (data.relearned, data.retrained_relearned)]
            cells = (
                f"{losses[0]:.2f}",
                f"{losses[1]:.2f}",
                words(_gap(data)),
                words(aucs[0]),
                words(aucs[1]),
                words(_auc_gap(data)),
            )
            rows.append((str(seed), str(at * self.study.every), *cells, *map(words, back)))
        return rows


def _after(data: ErasingData, population: str) -> SimpleNamespace:
    """What metrics read of the erased model at zero extraction."""
    return SimpleNamespace(loss=data.loss[data.of(population), data.clean()])


def _retrained(data: ErasingData, population: str) -> SimpleNamespace:
    return SimpleNamespace(loss=data.retrained_loss[data.of(population)])


def _gap(data: ErasingData) -> Estimate:
    if data.clean() is None:
        return NEVER
    return LossGap().estimate(after=_after(data, FORGET), retrained=_retrained(data, FORGET))  # type: ignore[arg-type]


def _auc_gap(data: ErasingData) -> Estimate:
    if data.clean() is None:
        return NEVER
    sides = [f(data, p) for f in (_after, _retrained) for p in (FORGET, TWIN)]
    return MembershipGap().estimate(*sides)
