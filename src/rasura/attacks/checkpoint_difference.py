"""Who was erased? What two checkpoints, before and after, tell an attacker who holds both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.errors import NeedsRole
from ..core.registry import method
from ..core.types import Budget, Recovered, Request, Samples
from ..stats.delong import placements
from ..stats.roc import auc_estimate
from ._observe import observed, within


def standing(forget: np.ndarray, retain: np.ndarray) -> np.ndarray:
    """Share of ``retain`` (m,) below each of ``forget`` (n,), ties counting half; NaN stays NaN.

    By hand: 3 lies above both 1 and 2; 2 above one and level with the other.

    >>> standing(np.array([3.0, 2.0]), np.array([1.0, 2.0])).tolist()
    [1.0, 0.75]
    """
    known, others = ~np.isnan(forget), retain[~np.isnan(retain)]
    place = np.full(len(forget), np.nan)
    if len(others):
        place[known] = placements(forget[known], others)[0]
    return place


@method(paper="arXiv:2005.02205")
@dataclass(frozen=True)
class CheckpointDifference:
    """How clearly each forget record stands out, by the rise of its loss from the model before to the one after.

        rise_i = L_i(after) - L_i(before),     score_i = #{ retained records with a smaller rise } / m,  ties half

    with L the mean loss of a record in nats a token and m the number of retained records. The mean score is the AUC of
    telling erased records from retained ones: 1/2, nothing is given away; 1, whoever keeps the old model can read off
    the new one what was erased. That is a privacy loss of erasing itself, and it holds for retraining too: here the
    retrained model is no floor, 1/2 is, and an untreated model gives exactly that.

    Needs ``before`` (NeedsRole otherwise) and retained records of the same kind as the forget records; with other kinds it
    measures how much the kinds differ as well, with none all scores are NaN. ``budget.queries`` caps the passes,
    two a record; retained records are then drawn by ``seed``.

    Source: Chen, Zhang, Wang, Backes, Humbert and Zhang, "When machine unlearning jeopardizes privacy", CCS 2021. Deviation:
    the paper trains a classifier on shadow models over features of both answers; for one number a record the difference
    of losses needs no training.

    By hand: rises 3 and 2 against 1 and 2 (see ``standing``): mean (1 + .75)/2.
    """

    access: ClassVar[str] = "grey-box"
    floor: ClassVar[float] = 0.5
    untreated_gives_nothing: ClassVar[str] = "it compares two checkpoints, and an untreated model is the same one twice"
    retrained_gives_all: ClassVar[str] = "records left out of retraining are exactly those whose loss rises"

    def attack(self, model: Any, request: Request, budget: Budget, *, seed: int = 0, before: Any = None) -> Recovered:
        """Two passes over forget and retained records."""
        if before is None:
            raise NeedsRole("checkpoint_difference", "before")
        if not request.retain:
            why = "not resolvable: no retained records to compare the forget records with"
            return Recovered(np.full(len(request.forget), np.nan), (why,))
        retain = self._affordable(request, budget, seed)
        forget_rise, retain_rise = (_rise(model, before, samples) for samples in (request.forget, retain))
        score = standing(forget_rise, retain_rise)
        lines = (
            f"AUC of erased against retained records {auc_estimate(forget_rise, retain_rise)}",
            f"median rise of the loss {_median(forget_rise):.3f} nats a token, retained {_median(retain_rise):.3f}",
        )
        return Recovered(score, lines, Budget(queries=2 * (len(request.forget) + len(retain))))

    def _affordable(self, request: Request, budget: Budget, seed: int) -> Samples:
        if not budget.queries:
            return request.retain
        within(budget.queries, 2 * (len(request.forget) + 1))
        count = min(len(request.retain), budget.queries // 2 - len(request.forget))
        return request.retain.take(np.sort(np.random.default_rng(seed).permutation(len(request.retain))[:count]))


def _rise(model: Any, before: Any, samples: Samples) -> np.ndarray:
    return observed(model, samples).loss - observed(before, samples).loss


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")
