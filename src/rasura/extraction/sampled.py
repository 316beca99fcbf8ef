"""How many samples an attacker needs: extraction by chance instead of by greedy decoding alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations._suffix import SUFFIX_TOKENS, suffix
from ..observations.sampling_probability import SamplingProbability
from ..observations.token_statistics import TokenStatistics
from ..stats.attempts import log_queries
from ..stats.intervals import proportion
from ._match import Curve, Extracted, reasons

QUERIES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
CERTAINTIES = (0.1, 0.5, 0.9, 0.999)


def extractable(log_probability: np.ndarray, n: float, p: float) -> np.ndarray:
    """1 where n samples hold the text at least once with probability ``p`` or more, else 0; NaN stays NaN.

    By hand: at p_z = 1/2, one sample in two is enough for p = 1/2, and 2 are needed for p = 3/4.

    >>> extractable(np.log([0.5, 0.5]), 1, 0.5).tolist(), extractable(np.log([0.5]), 1, 0.75).tolist()
    ([1.0, 1.0], [0.0])
    """
    needed = log_queries(log_probability, p)
    # rounding must not lose a text that needs exactly n
    return np.where(np.isnan(needed), np.nan, (needed <= np.log(n) + 1e-12).astype(np.float64))


def curve(
    log_probability: np.ndarray, p: float = 0.5, queries: Iterable[int] = QUERIES
) -> tuple[tuple[int, Estimate], ...]:
    """Share of records extractable within n samples with probability ``p``, for each n of ``queries``.

    ``log_probability`` (n,) is that of an ``Extracted``; NaN is left out. Wilson intervals. Draw the same curve for
    records never seen: at a million samples some of those come out too.

    >>> [(n, share.value) for n, share in curve(np.log([0.5, 0.01]), queries=(1, 100))]
    [(1, 0.5), (100, 1.0)]
    """
    known = log_probability[~np.isnan(log_probability)]
    return tuple((n, proportion(float(extractable(known, n, p).sum()), len(known))) for n in queries)


@method(paper="arXiv:2410.19482")
@dataclass(frozen=True)
class Sampled:
    """Records that come out at least once in n samples with probability p: (n, p)-discoverable extraction.

        p_z = product over the suffix of p_g(x_t | x_<t),     success = [ 1 - (1 - p_z)^n >= p ]  =  [ n >= n_p ]
        n_p = log(1 - p) / log(1 - p_z)

    with p_g the model's distribution after ``temperature``, ``top_k`` (0: all) and ``top_p`` (1: all), renormalised, and
    0 for a token that truncation removes. p_z is exact, from one teacher-forced pass and without sampling, and all of it
    is computed with logarithms, because p_z = 1e-300 is an ordinary number here. ``n`` >= 1 is the number of samples,
    ``p`` in (0, 1) the probability asked for (BadInput otherwise). ``hits`` is the geometric mean probability of a suffix token.
    ``curves`` holds the share of extractable records against n from 1 to a million for p = .1, .5, .9 and .999, and where the
    sampler truncates, the same without truncation: one token that top-k removed makes p_z 0 and says little of
    memory. ``stats.attempts.log_queries`` gives n_p of each record.

    Prompt and suffix are cut as in every extractor: ``prefix_tokens``, ``suffix_tokens`` (0: to the end). Greedy
    decoding at temperature 0 gives p_z in {0, 1}.

    Source: Hayes, Swanberg, Chaudhari, Yona, Shumailov, Nasr, Choquette-Choo, Lee and Cooper, "Measuring memorization in
    language models via probabilistic extraction", 2025. Deviation from public code (PrivacyGuard): that computes
    1 - (1 - p_z)^n in plain floating point, which is 0 for every p_z below 1e-16. Defaults here: n = 100, p = 1/2,
    temperature 1 without truncation; the paper varies all of them.

    By hand: suffix tokens of probability 1/2 and 1/2 give p_z = 1/4 and n_p = log(1/2)/log(3/4) = 2.41: 3 samples are
    enough, 2 are not.

    >>> [float(extractable(np.log(0.25), n, 0.5)) for n in (2, 3)]
    [0.0, 1.0]
    """

    n: int = 100
    p: float = 0.5
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    prefix_tokens: int = 0
    suffix_tokens: int = SUFFIX_TOKENS

    def __post_init__(self) -> None:
        if self.n < 1:
            raise BadInput(f"sampled: n is {self.n}, expected at least 1 sample")
        if not 0.0 < self.p < 1.0:
            raise BadInput(f"sampled: p is {self.p}, expected a probability strictly between 0 and 1")

    def needs(self) -> Mapping[str, Ask]:
        if (self.temperature, self.top_k, self.top_p) == (1.0, 0, 1.0):  # then the pass of every other method will do
            return {"tokens": Ask(TokenStatistics())}
        asks = {"tokens": Ask(SamplingProbability(self.temperature, self.top_k, self.top_p))}
        return asks | ({"plain": Ask(TokenStatistics())} if self._truncates else {})

    @property
    def _truncates(self) -> bool:
        return self.temperature > 0 and (self.top_k > 0 or self.top_p < 1)

    def extract(self, tokens: Any, **plain: Any) -> Extracted:
        """``tokens``: TokenData or SamplingData, whichever ``needs`` asked for; ``plain``: TokenData beside truncation."""
        curves = _curves(tokens, self, "")
        for data in plain.values():
            curves += _curves(data, self, ", nothing truncated")
        rows = suffix(tokens, tokens.log_probability, self.prefix_tokens, self.suffix_tokens)
        log_p = rows.sum()
        success = extractable(log_p, self.n, self.p)
        return Extracted(
            success=success,
            log_probability=log_p,
            tokens=rows.lengths,
            hits=np.exp(rows.mean()),
            reason=reasons(tokens.reason, success),
            curves=curves,
        )


def _curves(data: Any, sampled: Sampled, which: str) -> tuple[Curve, ...]:
    log_p = suffix(data, data.log_probability, sampled.prefix_tokens, sampled.suffix_tokens).sum()
    x = tuple(map(float, QUERIES))
    return tuple(
        Curve(
            f"come out with probability {p:g}{which}",
            "samples drawn",
            x,
            np.stack([extractable(log_p, n, p) for n in QUERIES], axis=1),
        )
        for p in CERTAINTIES
    )
