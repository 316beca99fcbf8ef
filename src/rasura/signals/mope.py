"""Does the text sit in a sharp valley of the loss?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask, Treated
from ..models.noise import WeightNoise
from ..observations.token_statistics import TokenData, TokenStatistics
from ._math import unscorable_to_nan

ROUNDING = 1e-5  # nats: log-probabilities kept in float32 say nothing finer


def rise(loss: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    """Mean loss over perturbed models minus the loss: (n,), (K, n) to (n,).

    A loss of 1 that becomes 1.5 and .9 under +eps and -eps rises by .2 on average.

    >>> rise(np.array([1.0]), np.array([[1.5], [0.9]])).round(12).tolist()
    [0.2]
    """
    return np.mean(perturbed, axis=0) - loss


@method(paper="arXiv:2310.14369")
@dataclass(frozen=True)
class Mope:
    """How much the loss rises when noise is added to every weight (MoPe).

        s(x) = (1/2K) sum_{k=1..K} [ l(theta + sigma eps_k; x) + l(theta - sigma eps_k; x) ] - l(theta; x)
             ~ (sigma^2/2) tr(Hessian of l),        l(theta; x) = -(1/T) sum_t log p(x_t | x_<t)

    with eps_k ~ N(0, I) over all parameters, drawn from ``seed`` + k - 1 and the same for every text, K = ``pairs``;
    nats a token. NaN with fewer than ``minimum_tokens`` scored tokens. Costs 1 + 2K forward passes and never a second
    copy of the model. ``sigma`` must suit the size of the weights: choose it so that the median loss rises by 1 to 5 %
    (on a testbed of 0.66 million parameters .05 separated best of five values from .001 to .05).

    Source: Li, Wang, Wang and Neel, "MoPe: model perturbation based privacy attacks on language models", EMNLP 2023;
    sigma is theirs. Deviation from the paper and its code: each noise is used with both signs. That cancels the term
    sigma eps.grad, which otherwise swamps the sum at small sigma: 2 antithetic passes separated better than 5 one-sided
    ones for every sigma up to .01.

    By hand: see ``rise``.
    """

    sigma: float = 0.005
    pairs: int = 5
    seed: int = 0
    minimum_tokens: int = 8

    testbed_settings: ClassVar[Mapping[str, float]] = {"sigma": 0.05}
    testbed_reason: ClassVar[str] = (
        "sigma = .005 is the authors', for models of 7 * 10^7 parameters and more; it raises the loss of one of 10^5 by .04 %, "
        "and where a text is memorised to a loss near 0 so small a step finds no slope"
    )

    def __post_init__(self) -> None:
        if not self.sigma > 0 or self.pairs < 1:
            raise BadInput(f"mope: sigma must be above 0 and pairs at least 1; got {self.sigma}, {self.pairs}")

    def needs(self) -> Mapping[str, Ask]:
        asks = {"statistics": Ask(TokenStatistics())}
        for k in range(self.pairs):
            for sign, name in ((1, "plus"), (-1, "minus")):
                noise = WeightNoise(self.sigma, self.seed + k, sign)
                asks[f"{name}_{k}"] = Ask(TokenStatistics(), of=Treated("target", noise))
        return asks

    def score(self, statistics: TokenData, **perturbed: TokenData) -> np.ndarray:
        """``perturbed``: plus_k and minus_k for every pair. Raises BadInput when the noise moved no token's probability."""
        if len(statistics.log_probability.values) and not any(_moved(statistics, data) for data in perturbed.values()):
            raise BadInput(
                f"mope: noise of sigma={self.sigma} vanishes in this model's precision; choose a larger sigma"
            )
        scores = rise(statistics.loss, np.stack([data.loss for data in perturbed.values()]))
        return unscorable_to_nan(scores, statistics.tokens, self.minimum_tokens)


def _moved(statistics: TokenData, perturbed: TokenData) -> bool:
    """Did the noise change any token's log-probability by more than rounding does?"""
    before, after = statistics.log_probability, perturbed.log_probability
    if not np.array_equal(before.offsets, after.offsets):
        return True  # under the noise some text could not be scored at all
    return bool(np.any(np.abs(after.values - before.values) > ROUNDING))
