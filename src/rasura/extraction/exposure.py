"""Bits by which a planted secret is closer to being guessed than chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..core.registry import method
from ..core.types import Ask
from ..observations.alternatives import AlternativeData, Alternatives
from ..stats import randomness
from ._match import Extracted, reasons

POOR_FIT = 0.1  # Kolmogorov-Smirnov p value below which the skew-normal is not to be used
NO_REFERENCE = "no alternative has the secret's number of tokens"


@dataclass(frozen=True)
class Exposed(Extracted):
    """Exposure by rank in ``success``, and the extrapolated one beside it."""

    extrapolated: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (n,) bits, NaN where not fitted
    fit_p_value: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (n,) of the skew-normal on the references


@method(paper="arXiv:1802.08232")
@dataclass(frozen=True)
class Exposure:
    """Exposure of planted secrets, in bits: how early a search by probability would come upon them.

        by rank       success = log2 N - log2 rank,     rank = 1 + #{ alternatives at least as probable },  N = references + 1
        extrapolated  -log2 P(X <= x),                   X ~ skew-normal fitted to the alternatives

    of -log2 p(secret | context) = x and the same of each alternative: the secret with its characters of ``alphabet``
    replaced at random, ``references`` times (``seed``; all of them where fewer exist). Only the secret's own tokens
    count. Ties count against the secret. 0: last of all; log2 N, the most that N can show: first. A secret drawn at
    random and never trained on has 1.44 bits in expectation (log2 e, a little less for small N).

    The rank is exact and ends at log2 N. Beyond it only the extrapolation speaks (with ``extrapolate``): it reads a fitted
    curve far outside its data and is trusted as far as the fit is: ``fit_p_value`` is that of a Kolmogorov-Smirnov test
    of the fit; below .1 do not use it.

    ``success`` is in bits, not a share. Records whose secret is not marked, or holds letters or digits outside
    ``alphabet``, are NaN: their secret was not drawn uniformly, and a rank would measure taste, not memory.

    Source: Carlini, Liu, Erlingsson, Kos and Song, "The secret sharer: evaluating and testing unintended memorization in
    neural networks", USENIX Security 2019. Deviations: the paper scores the whole sequence, here the secret alone is
    scored; references are drawn for each secret, because its context is part of the question; alternatives of another
    number of tokens are left out.

    By hand: a secret more probable than all of 7 alternatives has rank 1 of 8, which is 3 bits.

    >>> from rasura.core.types import Ragged
    >>> one = np.array([1.0])
    >>> data = AlternativeData(-one, Ragged.of([[-2.0] * 7]), one, one, np.array([""], dtype=object))
    >>> found = Exposure().extract(data)
    >>> found.success.tolist(), found.extrapolated.tolist(), found.unit
    ([3.0], [nan], 'bits')
    """

    references: int = 200
    alphabet: str = "0123456789"
    seed: int = 0
    extrapolate: bool = True

    def needs(self) -> Mapping[str, Ask]:
        return {"alternatives": Ask(Alternatives(self.references, self.seed, self.alphabet))}

    def extract(self, alternatives: AlternativeData) -> Exposed:
        ranks = alternatives.exposure
        fits = [self._fit(c, r) for c, r in zip(alternatives.candidate, alternatives.references, strict=True)]
        p_values = np.array([fit.fit_p_value for fit in fits], dtype=np.float64)
        return Exposed(
            success=ranks,
            log_probability=alternatives.candidate,
            tokens=alternatives.tokens,
            hits=np.full(len(ranks), np.nan),
            reason=reasons(alternatives.reason, ranks, NO_REFERENCE),
            unit="bits",
            bounds=(0.0, alternatives.most_bits),
            note=_note(alternatives, p_values),
            extrapolated=np.array([fit.bits for fit in fits], dtype=np.float64),
            fit_p_value=p_values,
        )

    def _fit(self, candidate: float, references: np.ndarray) -> randomness.Exposure:
        if not self.extrapolate:
            return randomness.Exposure(*[math.nan] * 5, 0)
        return randomness.exposure_extrapolated(-candidate / math.log(2), -references.astype(np.float64) / math.log(2))


def _note(data: AlternativeData, p_values: np.ndarray) -> str:
    if data.most_bits == 0:
        return ""
    most = f"ranks can show at most {data.most_bits:.2f} bits"
    fitted = p_values[~np.isnan(p_values)]
    poor = (
        f"; the skew-normal fits {np.sum(fitted >= POOR_FIT)} of {len(fitted)} (p >= {POOR_FIT})" if len(fitted) else ""
    )
    return most + poor
