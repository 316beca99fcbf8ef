"""A white-box classifier taught some members and non-members, beside the best of its features, fold by fold.

Passages of up to ``highest_dose`` copies an epoch and the never-seen passages, in ``folds`` folds that hold both sides
evenly. Each fold is scored by a classifier that knows the truth of the others. A single feature, too, is chosen on the
others, together with its sign: the one of largest AUC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask, Known, Samples
from ..observations._engine import Engine
from ..observations.gradient_norms import GradientNorms
from ..observations.token_statistics import TokenStatistics
from ..signals._white_box import features
from ..signals.loss import Loss
from ..signals.white_box_logistic import WhiteBoxLogistic
from ..stats.roc import auc


@dataclass(frozen=True)
class SupervisionData:
    """One row a passage; scores of the fold it is in. Larger = more likely a member."""

    dose: np.ndarray  # (n,) int64: copies an epoch, 0 = never seen
    fold: np.ndarray  # (n,) int64
    supervised: np.ndarray  # (n,) log-odds
    white_box: np.ndarray  # (n,) the single gradient norm of largest AUC on the other folds
    single: np.ndarray  # (n,) the same, minus the loss taking part
    plain: np.ndarray  # (n,) minus the loss
    chosen: np.ndarray  # (n,) int64: column of that gradient norm


@dataclass(frozen=True)
class Supervision:
    """One seed: one backward pass a passage, ``folds`` classifiers."""

    size: str = "small"
    highest_dose: int = 4
    folds: int = 5

    Data: ClassVar[type] = SupervisionData
    modules: ClassVar[tuple[str, ...]] = ()

    @property
    def ticks(self) -> int:
        return self.folds + 1

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> SupervisionData:
        """Gradients of all passages, then fold by fold."""
        low = planted.members.where(lambda s: s.family == "passage" and (s.repeats or 0) <= self.highest_dose)
        twins = planted.nonmembers.where(lambda s: s.family == "passage")
        texts, models = Samples([*low, *twins]), {"target": planted.models["target"]}
        engine, signal = Engine(store=Store()), WhiteBoxLogistic()
        gradients = engine.observe(Ask(GradientNorms()), models, texts)
        plain = Loss().score(engine.observe(Ask(TokenStatistics()), models, texts))
        tick()
        dose = np.array([s.repeats or 0 for s in texts], dtype=np.int64)
        norms = features(gradients, None, signal.by, signal.minimum_tokens)
        fold = spread(dose > 0, self.folds, seed)
        scores = {name: np.full(len(texts), np.nan) for name in ("supervised", "white_box", "single")}
        chosen = np.zeros(len(texts), dtype=np.int64)
        for k in range(self.folds):
            here, taught = fold == k, (fold != k) & ~np.isnan(plain)
            known = Known(np.flatnonzero(taught & (dose > 0)), np.flatnonzero(taught & (dose == 0)))
            scores["supervised"][here] = signal.score(known, gradients)[here]
            column, sign, value = best_column(norms, known)
            scores["white_box"][here] = chosen_score = sign * norms[here, column]
            better = auc(plain[known.members], plain[known.nonmembers]) > value
            scores["single"][here] = plain[here] if better else chosen_score
            chosen[here] = column
            tick()
        return SupervisionData(dose=dose, fold=fold, plain=plain, chosen=chosen, **scores)


def spread(member: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each text, both sides spread evenly.

    >>> spread(np.array([True, True, False, False]), 2, 0).reshape(2, 2).sum(axis=1).tolist()
    [1, 1]
    """
    rng, fold = np.random.default_rng([seed, 0x5F]), np.zeros(len(member), dtype=np.int64)
    for side in (member, ~member):
        fold[side] = rng.permutation(np.arange(side.sum()) % folds)
    return fold


def best_column(columns: np.ndarray, known: Known) -> tuple[int, float, float]:
    """(column, sign, AUC) of the feature that tells the known records apart best.

    >>> best_column(np.array([[1.0, 0.0], [1.0, 1.0]]), Known(np.array([0]), np.array([1])))
    (1, -1.0, 1.0)
    """
    values = np.array([auc(c[known.members], c[known.nonmembers]) for c in columns.T])
    best = int(np.nanargmax(np.abs(values - 0.5)))
    sign = 1.0 if values[best] >= 0.5 else -1.0
    return best, sign, float(max(values[best], 1 - values[best]))
