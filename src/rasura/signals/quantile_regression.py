"""Is the score high for a text like this one?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask, Known
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.token_scores import lowest_mean
from ._math import unscorable_to_nan


def pinball(scores: np.ndarray, quantile: np.ndarray, tau: float) -> float:
    """Mean of max(tau (y - q), (tau - 1)(y - q)): smallest where q is the tau-quantile of y.

    At tau = .9, a score 1 above q costs .9 and one 1 below costs .1:

    >>> pinball(np.array([2.0, 0.0]), np.array([1.0, 1.0]), 0.9)
    0.5
    """
    difference = scores - quantile
    return float(np.mean(np.maximum(tau * difference, (tau - 1) * difference)))


def text_features(data: TokenData) -> np.ndarray:
    """(n, 5): what the text is like, whatever the model says: tokens, bytes, compressed bytes, and two ratios.

    20 tokens in 100 bytes that compress to 60:

    >>> rows, n = [[-1.0] * 20], np.array([1])
    >>> from rasura.core.types import Ragged
    >>> r = Ragged.of(rows)
    >>> text_features(TokenData(r, r, r, r, n, 100 * n, 60 * n, n)).tolist()
    [[20.0, 100.0, 60.0, 5.0, 0.6]]
    """
    tokens, size, packed = (v.astype(np.float64) for v in (data.tokens, data.text_bytes, data.zlib_bytes))
    return np.stack([tokens, size, packed, size / np.maximum(tokens, 1), packed / np.maximum(size, 1)], axis=1)


@method(paper="arXiv:2307.03694")
@dataclass(frozen=True)
class QuantileRegression:
    """How far a text's score lies above what 99 in 100 unseen texts like it would get.

        s(x) = s_0(x) - q(x),        q = argmin sum over known non-members z of rho_tau(s_0(z) - q(z)),   tau = 1 - alpha

    with rho_tau(u) = max(tau u, (tau - 1) u) and s_0 the mean log-probability (``base`` = "loss") or that of the share ``k``
    of least likely tokens ("lowest"). q is fitted by gradient-boosted trees (``trees`` of ``depth``, ``seed``) on what the text
    alone says: tokens, bytes, compressed bytes and their ratios. With ``reference`` a model that has not seen the texts adds
    its mean log-probability to these features. In nats a token; above 0: flagged at a false-positive rate of ``alpha``.
    NaN with fewer than ``minimum_tokens`` scored tokens.

    ``alpha`` below 1/(known non-members) cannot be resolved: q is then close to their largest score. The rate that is
    reached must be read off records the fit has not seen, as the verb does.

    Source: Bertran, Tang, Kearns, Morgenstern, Roth and Wu, "Scalable membership inference attacks via quantile
    regression", 2023 (a network on the record itself). Deviations: trees on tabular features, no encoder. A public port
    fits the (1 - alpha)-quantile of the loss, where the score is its negative: the wrong tail.

    By hand: see ``pinball`` and ``text_features``.
    """

    alpha: float = 0.01
    base: Literal["loss", "lowest"] = "loss"
    k: float = 0.2
    reference: bool = False
    trees: int = 100
    depth: int = 2
    seed: int = 0
    minimum_tokens: int = 8

    learns: ClassVar[str] = "nonmembers"
    least: ClassVar[int] = 16

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and 0 < self.k <= 1) or self.base not in ("loss", "lowest"):
            raise BadInput(
                f"quantile_regression: alpha and k lie between 0 and 1, base is loss or lowest; got {self.alpha}, {self.k}, {self.base}"
            )
        if self.trees < 1 or self.depth < 1:
            raise BadInput(f"quantile_regression: trees and depth at least 1; got {self.trees}, {self.depth}")

    def needs(self) -> Mapping[str, Ask]:
        more = {"reference": Ask(TokenStatistics(), of="reference")} if self.reference else {}
        return {"statistics": Ask(TokenStatistics())} | more

    def score(self, known: Known, statistics: TokenData, **more: TokenData) -> np.ndarray:
        """Raises BadInput with fewer than 16 scorable known non-members."""
        if not len(statistics.tokens):
            return np.zeros(0)
        base, columns = self._base(statistics), [text_features(statistics)]
        if more:
            columns.append(-more["reference"].loss[:, None])
        features = np.concatenate(columns, axis=1)
        scorable = ~np.isnan(base) & np.isfinite(features).all(axis=1)
        rows = np.asarray(known.nonmembers, dtype=np.int64)
        rows = rows[scorable[rows]]
        if len(rows) < self.least:
            raise BadInput(
                f"quantile_regression: needs at least {self.least} scorable known non-members; got {len(rows)}"
            )
        scores = np.full(len(base), np.nan)
        scores[scorable] = base[scorable] - self.upper_quantile(features[rows], base[rows]).predict(features[scorable])
        return scores

    def upper_quantile(self, features: np.ndarray, scores: np.ndarray) -> Any:
        """A fitted regressor whose ``predict`` gives the (1 - alpha)-quantile of the score."""
        from sklearn.ensemble import GradientBoostingRegressor

        regressor = GradientBoostingRegressor(
            loss="quantile",
            alpha=1 - self.alpha,
            n_estimators=self.trees,
            max_depth=self.depth,
            min_samples_leaf=5,
            random_state=self.seed,
        )
        return regressor.fit(features, scores)

    def _base(self, data: TokenData) -> np.ndarray:
        if self.base == "loss":
            scores = -data.loss
        else:
            scores = data.log_probability.reduce(lambda row: lowest_mean(row, self.k))
        return unscorable_to_nan(scores, data.tokens, self.minimum_tokens)
