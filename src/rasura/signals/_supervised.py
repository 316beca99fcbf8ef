"""Classifiers for signals that are told some members and non-members.

Only the rows named in ``known`` are ever looked at while fitting, standardising included; every other row is only scored.
A score is the log-odds of "member" (nats), which orders records like the probability and does not saturate at 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import BadInput
from ..core.types import Known

LEAST = 8  # known records a side below which nothing can be fitted
PENALTIES = tuple(10.0**power for power in range(-5, 3))  # C of scikit-learn: the inverse of the L2 penalty
FOLDS = 5
Layers = list[tuple[np.ndarray, np.ndarray]]  # weight (in, out) and bias (out,) of each layer


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation a column, of the training rows; a constant column becomes 0."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Scale:
        """The scale of the rows, one a record: a column of 1, 3 has mean 2 and deviation 1.

        >>> Scale.of(np.array([[1.0, 5.0], [3.0, 5.0]]))(np.array([[5.0, 9.0]])).tolist()
        [[3.0, 0.0]]
        """
        deviation = rows.std(axis=0)
        varies = deviation > 1e-12 * np.abs(rows).max(axis=0, initial=0)
        return cls(rows.mean(axis=0), np.where(varies, deviation, np.inf))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return (rows - self.mean) / self.deviation


def taught(known: Known, features: np.ndarray, name: str, least: int = LEAST) -> tuple[np.ndarray, np.ndarray]:
    """(rows, labels) of the known records whose features are all finite; 1 = member.

    Raises BadInput when fewer than ``least`` are left on either side.
    """
    finite = np.isfinite(features).all(axis=1)
    members, nonmembers = (np.asarray(rows, dtype=np.int64) for rows in (known.members, known.nonmembers))
    members, nonmembers = members[finite[members]], nonmembers[finite[nonmembers]]
    if min(len(members), len(nonmembers)) < least:
        raise BadInput(
            f"{name}: learns from known members and non-members and needs at least {least} scorable ones of each; "
            f"got {len(members)} and {len(nonmembers)}"
        )
    return np.concatenate([members, nonmembers]), np.repeat([1, 0], [len(members), len(nonmembers)])


def logistic_scores(known: Known, features: np.ndarray, name: str, seed: int) -> np.ndarray:
    """(n,) log-odds of a logistic regression with cross-validated L2 penalty; NaN where a feature is not finite."""
    if not len(features):
        return np.zeros(0)
    rows, labels = taught(known, features, name)
    scale = Scale.of(features[rows])
    train = scale(features[rows])
    basis = np.linalg.svd(train, full_matrices=False)[2].T if train.shape[1] > len(train) else np.eye(train.shape[1])
    fitted = _penalised(
        train @ basis, labels, seed
    )  # L2 is blind to rotations: no direction outside the rows' span counts
    return _finite_only(features, lambda x: fitted.decision_function(scale(x) @ basis))


def _penalised(train: np.ndarray, labels: np.ndarray, seed: int) -> Any:
    """The penalty of smallest mean log-loss over stratified folds; the strongest one among equals."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(train, labels))
    losses = []
    for c in PENALTIES:
        model = LogisticRegression(C=c, max_iter=10_000, class_weight="balanced")
        held_out = [
            log_loss(model.fit(train[fit], labels[fit]).decision_function(train[held]), labels[held])
            for fit, held in folds
        ]
        losses.append(float(np.mean(held_out)))
    best = PENALTIES[int(np.argmin(np.round(losses, 9)))]
    return LogisticRegression(C=best, max_iter=10_000, class_weight="balanced").fit(train, labels)


def log_loss(log_odds: np.ndarray, labels: np.ndarray) -> float:
    """Mean of log(1 + exp(-+log-odds)), both classes weighing the same, in nats.

    >>> round(log_loss(np.array([0.0, 0.0, 0.0]), np.array([1, 0, 0])), 4)
    0.6931
    """
    each = np.logaddexp(0.0, np.where(labels == 1, -log_odds, log_odds))
    return float(np.mean([each[labels == label].mean() for label in np.unique(labels)]))


@dataclass(frozen=True)
class Network:
    """What a network is trained with; see ``network_scores``."""

    hidden: tuple[int, ...]
    learning_rate: float
    epochs: int
    patience: int
    validation: float
    seed: int


def network_scores(known: Known, features: np.ndarray, name: str, how: Network) -> np.ndarray:
    """(n,) log-odds of a network stopped early on a third set of known records; NaN where a feature is not finite.

    The known records are cut into a part that trains (and standardises) and one that says when to stop; neither is
    reported, so no number comes from a record that chose anything.
    """
    if not len(features):
        return np.zeros(0)
    rows, labels = taught(known, features, name)
    held = _validation(labels, how)
    fit = np.setdiff1d(np.arange(len(rows)), held)
    scale = Scale.of(features[rows[fit]])
    layers = _trained(scale(features[rows]), labels, fit, held, how)
    return _finite_only(features, lambda x: _forward(layers, scale(x)))


def _validation(labels: np.ndarray, how: Network) -> np.ndarray:
    """Positions of the validation part: the same share of both classes, at least two each."""
    rng = np.random.default_rng([how.seed, 1])
    parts = [rng.permutation(np.flatnonzero(labels == label)) for label in (0, 1)]
    return np.sort(np.concatenate([part[: max(2, round(how.validation * len(part)))] for part in parts]))


def _trained(x: np.ndarray, labels: np.ndarray, fit: np.ndarray, held: np.ndarray, how: Network) -> Layers:
    """Weights and biases of the epoch with the smallest validation loss."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(how.hidden, learning_rate_init=how.learning_rate, random_state=how.seed)
    rng = np.random.default_rng([how.seed, 2])
    best, kept, since = np.inf, [], 0
    for _ in range(how.epochs):
        model.partial_fit(*_balanced(x[fit], labels[fit], rng), classes=[0, 1])
        layers = list(zip(model.coefs_, model.intercepts_, strict=True))
        loss = log_loss(_forward(layers, x[held]), labels[held])
        since += 1
        if loss < best:
            best, kept, since = loss, [(w.copy(), b.copy()) for w, b in layers], 0
        if since >= how.patience:
            break
    return kept


def _balanced(x: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An epoch in which both classes come equally often: rows of the smaller one repeated at random."""
    sides = [np.flatnonzero(labels == label) for label in (0, 1)]
    most = max(map(len, sides))
    rows = np.concatenate([np.concatenate([side, rng.choice(side, most - len(side))]) for side in sides])
    return x[rows], labels[rows]


def _forward(layers: Layers, x: np.ndarray) -> np.ndarray:
    """Log-odds: ReLU between the layers, nothing after the last."""
    for weight, bias in layers[:-1]:
        x = np.maximum(x @ weight + bias, 0)
    weight, bias = layers[-1]
    return (x @ weight + bias)[:, 0]


def _finite_only(features: np.ndarray, scores: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Scores of the rows without NaN or infinity, NaN for the others."""
    found = np.full(len(features), np.nan)
    finite = np.isfinite(features).all(axis=1)
    if finite.any():
        found[finite] = scores(features[finite])
    return found
