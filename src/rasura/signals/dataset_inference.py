"""Was the model trained on this collection?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy.stats import t as student_t

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask, Known
from ..data.perturbations import KINDS, Perturbed
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.intervals import welch
from ..stats.randomness import permutation_p_value
from ._supervised import Scale, taught

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # of the tokens: tails of the token losses
CLAMP = 1e-3  # nats a token: bounds the ratios where the model has a text by heart


def tail_means(log_probability: np.ndarray) -> np.ndarray:
    """Mean log-probability of the shares of least likely tokens, then of the likeliest: (T,) to (14,).

    >>> [round(float(v), 2) for v in tail_means(np.array([-1.0, -2.0, -3.0, -4.0]))[[0, 5, 12]]]
    [-4.0, -3.5, -1.5]
    """
    ordered = np.sort(np.asarray(log_probability, dtype=np.float64))
    if not len(ordered):
        return np.full(2 * len(SHARES), np.nan)
    counts = [max(1, math.floor(k * len(ordered) + 1e-9)) for k in SHARES]
    return np.array([ordered[:c].mean() for c in counts] + [ordered[-c:].mean() for c in counts])


def twice_median(p_values: Sequence[float]) -> float:
    """One p value for the same data cut in several ways: twice the median, at most 1; valid whatever their dependence.

    Source: Rueger, "Das maximale Signifikanzniveau des Tests", Metrika 1978. The smallest would not be valid.

    >>> twice_median([0.01, 0.04, 0.2]), twice_median([0.8])
    (0.08, 1.0)
    """
    return min(1.0, 2 * float(np.median(np.asarray(p_values, dtype=np.float64))))


@method(paper="arXiv:2406.06443")
@dataclass(frozen=True)
class DatasetInference:
    """A linear score fitted to half of a suspect collection and of unseen texts like it, and one p value for the rest.

        s(x) = w . z(x) + b,        z = (clip(f(x)) - mean)/deviation,        (w, b) by ``steps`` of Adam on the log-loss

    f(x): mean token log-probability; its mean over the 5 to 60 % least likely and likeliest tokens; loss per compressed
    byte; with ``perturbations``, loss over the loss of the text with typing errors, words left out, letters of other case,
    changed whitespace, and underscores for spaces (drawn from ``seed``); with ``references`` = R, loss over the loss of R
    models that saw neither. The known members are half A of the suspect collection, the known non-members half A of the
    validation texts; the rest is half B, scored and never fitted to. ``clip`` (the share cut off at either end), mean and
    deviation come from both halves A together. NaN with fewer than ``minimum_tokens`` scored tokens.

    ``collection_p_value`` tests on B that the suspect texts score higher on average (the authors decide at p < .1). All of
    it stands on the two collections being drawn alike: where the blind baseline tells them apart it says nothing. Over
    several random halves take ``twice_median``, never the smallest.

    Source: Maini, Jia, Papernot and Dziedzic, "LLM dataset inference: did you train on my dataset?", NeurIPS 2024.
    Deviations: the authors' code clips each class by its own quantiles, which breaks exchangeability, and standardises by
    the suspect set, B included; its t-test assumes equal variances, ours is Welch's or a permutation; classes weigh the same in the fit; the direction is
    member = higher; no synonyms (they need a dictionary).

    By hand: see ``tail_means`` and ``twice_median``.
    """

    perturbations: bool = True
    references: int = 0
    clip: float = 0.025
    steps: int = 1000
    learning_rate: float = 0.01
    test: Literal["welch", "permutation"] = "welch"
    seed: int = 0
    minimum_tokens: int = 8

    learns: ClassVar[str] = "both"

    def __post_init__(self) -> None:
        if not 0 <= self.clip < 0.5 or self.steps < 1 or not self.learning_rate > 0 or self.references < 0:
            raise BadInput("dataset_inference: clip lies in [0, 1/2), steps and learning_rate above 0, references >= 0")
        if self.test not in ("welch", "permutation"):
            raise BadInput(f"dataset_inference: test is welch or permutation; got {self.test}")

    def needs(self) -> Mapping[str, Ask]:
        views = {kind: Ask(TokenStatistics(), view=Perturbed(kind, seed=self.seed)) for kind in KINDS}
        roles = ["reference", *(f"reference_{k}" for k in range(2, self.references + 1))][: self.references]
        others = {role: Ask(TokenStatistics(), of=role) for role in roles}
        return {"statistics": Ask(TokenStatistics())} | (views if self.perturbations else {}) | others

    def score(self, known: Known, statistics: TokenData, **compared: TokenData) -> np.ndarray:
        """``compared``: one a perturbation and reference. Raises BadInput with fewer than 8 scorable known texts a side."""
        if not len(statistics.tokens):
            return np.zeros(0)
        found = self.features(statistics, list(compared.values()))
        rows, labels = taught(known, found, "dataset_inference")
        low, high = np.quantile(found[rows], [self.clip, 1 - self.clip], axis=0)
        scale = Scale.of(np.clip(found[rows], low, high))
        train = scale(np.clip(found[rows], low, high))
        w = adam(np.column_stack([train, np.ones(len(train))]), labels, self.steps, self.learning_rate)
        return scale(np.clip(found, low, high)) @ w[:-1] + w[-1]  # NaN features stay NaN

    def features(self, statistics: TokenData, compared: Sequence[TokenData]) -> np.ndarray:
        """(n, 16 + comparisons) float64; a row is NaN where any text of it is too short."""
        n = len(statistics.tokens)
        loss = statistics.loss
        tails = np.stack([tail_means(row) for row in statistics.log_probability]).reshape(n, 2 * len(SHARES))
        ratios = [loss / np.maximum(data.loss, CLAMP) for data in compared]
        found = np.column_stack([-loss, tails, loss / np.maximum(statistics.zlib_bytes, 1), *ratios])
        tokens = np.minimum.reduce([statistics.tokens, *(data.tokens for data in compared)])
        found[(statistics.tokens < self.minimum_tokens) | (tokens < 1)] = np.nan
        return found

    def collection_p_value(self, scores_suspect: np.ndarray, scores_validation: np.ndarray) -> float:
        """One-sided p value that the suspect texts of half B score higher; NaN with fewer than two scores a side."""
        suspect, validation = (
            np.asarray(v, dtype=np.float64)[~np.isnan(np.asarray(v, dtype=np.float64))]
            for v in (scores_suspect, scores_validation)
        )
        if min(len(suspect), len(validation)) < 2:
            return math.nan
        if self.test == "permutation":
            return permuted(suspect, validation, self.seed)
        difference, error, freedom = welch(suspect, validation)
        if error == 0:
            return 0.5 if difference == 0 else float(difference < 0)
        return float(student_t.sf(difference / error, freedom))


def permuted(first: np.ndarray, second: np.ndarray, seed: int, draws: int = 9999) -> float:
    """Permutation p value of "the mean of ``first`` is higher"; at least 1/(draws + 1)."""
    rng, pooled = np.random.default_rng(seed), np.concatenate([first, second])
    means = np.array([rng.permutation(pooled)[: len(first)].mean() for _ in range(draws)])
    return permutation_p_value(means, float(first.mean()))


def adam(x: np.ndarray, labels: np.ndarray, steps: int, learning_rate: float) -> np.ndarray:
    """Weights after ``steps`` of Adam on the mean log-loss from 0, both classes weighing the same: (n, d), (n,) to (d,).

    Adam's first step is one learning rate in the direction of the slope:

    >>> adam(np.array([[1.0], [-1.0]]), np.array([1, 0]), 1, 0.01).round(6).tolist()
    [0.01]
    """
    weight = np.where(labels == 1, 0.5 / max(1, labels.sum()), 0.5 / max(1, (1 - labels).sum()))
    w, mean, square = np.zeros(x.shape[1]), np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for step in range(1, steps + 1):
        slope = x.T @ (weight * (0.5 + 0.5 * np.tanh(x @ w / 2) - labels))
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        w = w - learning_rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return w
