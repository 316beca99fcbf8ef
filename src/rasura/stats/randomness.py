"""What planted randomness can prove: exposure of canaries, exact p values, rank correlation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr

from ..core.types import Estimate
from ._math import clean, clean_pairs, midranks, normal_quantile, unknown

MINIMUM_REFERENCES = 20  # below this a skew-normal's three parameters are not worth fitting
SHAPE_LIMIT = 20.0  # beyond it the fitted left tail is a wall: any canary past it would get thousands of bits
_LOG_HALF_NORMAL = 0.5 * math.log(2 / math.pi)  # log of 2 phi(0)


@dataclass(frozen=True)
class Exposure:
    """Exposure in ``bits`` beyond what ranks can show, with the distribution it was read from.

    ``fit_p_value`` is the Kolmogorov-Smirnov p value of the fitted skew-normal on the references it was fitted to: too
    kind by nature, so a small one (below .1, say) means that ``bits`` should not be used.
    """

    bits: float
    fit_p_value: float
    shape: float
    location: float
    scale: float
    n: int
    note: str = ""


def exposure_rank(candidate_score: float, reference_scores: ArrayLike) -> float:
    """Exposure of one canary in bits, by its rank among canaries that were never trained on.

        exposure = log2 N - log2 rank,     rank = 1 + #{reference >= candidate},     N = references + 1

    Higher score = more likely under the model; ties count against the canary. 0 bits: last of all; log2 N bits, the
    most these references can show: first. A canary the model never saw reaches b bits with probability at most 2^-b. NaN references
    dropped; a NaN candidate gives NaN.

    Source: Carlini, Liu, Erlingsson, Kos and Song, "The secret sharer: evaluating and testing unintended memorization
    in neural networks", USENIX Security, 2019.

    By hand: 1 of 7 references is >= 5, so rank 2 of N = 8: 3 - 1 = 2 bits.

    >>> exposure_rank(5.0, [1.0, 2.0, 3.0, 4.0, 4.5, 0.0, 6.0])
    2.0
    """
    references = clean(reference_scores)
    if math.isnan(candidate_score):
        return math.nan
    rank = 1 + int(np.sum(references >= candidate_score))
    return math.log2(len(references) + 1) - math.log2(rank)


def exposure_extrapolated(candidate_negative_log2_probability: float, reference_values: ArrayLike) -> Exposure:
    """Exposure of one canary in bits where it beats every reference, from a skew-normal fitted to the references.

        exposure = -log2 P(X <= x),     X ~ skew-normal(shape, location, scale)

    with x = ``candidate_negative_log2_probability`` (bits; low = likely under the model) and the skew-normal fitted by
    maximum likelihood to the same quantity of the references (n,). The tail is integrated on the log scale and stays
    exact where the probability itself would underflow. It is an extrapolation: check ``fit_p_value``. Fewer than 20
    references, equal ones, or a fit that runs to its boundary (shape above 20: the likelihood has no maximum for some
    samples) give NaN bits with a note. NaN references dropped; a NaN candidate gives NaN.

    Source: Carlini, Liu, Erlingsson, Kos and Song, 2019 (as in ``exposure_rank``), section on exposure approximation.

    By hand: with shape 0 the fit is a normal; a canary at its median has P = 1/2, which is 1 bit.

    >>> round(-skew_normal_log_cdf(0.0, 0.0, 0.0, 1.0) / math.log(2), 9)
    1.0
    """
    from scipy.stats import kstest, skewnorm

    values = clean(reference_values)
    if len(values) < MINIMUM_REFERENCES or np.ptp(values) == 0 or math.isnan(candidate_negative_log2_probability):
        note = f"not resolvable with {len(values)} references (at least {MINIMUM_REFERENCES}, not all equal)"
        return Exposure(*[math.nan] * 5, len(values), note)
    shape, location, scale = (float(v) for v in skewnorm.fit(values))
    if shape > SHAPE_LIMIT:
        note = f"the skew-normal fit ran to its boundary on {len(values)} references: use the rank exposure"
        return Exposure(math.nan, math.nan, shape, location, scale, len(values), note)
    bits = -skew_normal_log_cdf(candidate_negative_log2_probability, shape, location, scale) / math.log(2)
    fit = float(kstest(values, skewnorm(shape, location, scale).cdf).pvalue)
    return Exposure(max(0.0, bits), fit, shape, location, scale, len(values))


def skew_normal_log_cdf(x: float, shape: float, location: float, scale: float) -> float:
    """Natural log of P(X <= ``x``) for a skew-normal, accurate in the far left tail.

    The density of Z = (X - location)/scale at z is 2 phi(z) Phi(shape z). With f its logarithm and z the candidate,
    log P = f(z) + log of the integral over s >= 0 of exp(f(z - s) - f(z)); f is concave, so left of the mode the
    integrand only falls from 1. Elsewhere the distribution function itself is accurate.

    Source: Azzalini, "A class of distributions which includes the normal ones", Scandinavian Journal of Statistics,
    1985.

    By hand: shape 0 is the normal; P(Z <= 0) = 1/2.

    >>> round(math.exp(skew_normal_log_cdf(0.0, 0.0, 0.0, 1.0)), 9)
    0.5
    """
    from scipy.integrate import quad
    from scipy.stats import skewnorm

    z = (x - location) / scale
    plain = float(skewnorm.cdf(z, shape))
    if plain > 1e-6:
        return math.log(plain)

    def log_density(t: float) -> float:
        return _LOG_HALF_NORMAL - t * t / 2 + float(log_ndtr(shape * t))

    top, at = log_density(z), shape * z
    pull = shape * math.exp(_LOG_HALF_NORMAL - math.log(2) - at * at / 2 - float(log_ndtr(at)))  # of Phi(shape z)
    width = 1 / (pull - z)  # 1/slope at z: the fall is at least exponential, so 40 widths hold all of it
    integral, _ = quad(lambda u: math.exp(log_density(z - u * width) - top), 0.0, 40.0, epsabs=0.0)
    return top + math.log(width * integral)


def permutation_p_value(statistics: ArrayLike, observed: float) -> float:
    """Exact p value of ``observed`` against the same statistic under re-drawn coin flips: (1 + #{>=}) / (1 + N).

    ``statistics`` (N,) are the values under N random re-assignments drawn as the original was (canary in or out,
    duplicated or not, order of training). Valid for every N because the observed assignment is itself one of the N + 1
    equally likely draws. Large values speak against the null. NaN statistics dropped; NaN observed gives NaN.

    Source: Phipson and Smyth, "Permutation p-values should never be zero", Statistical Applications in Genetics and
    Molecular Biology, 2010.

    By hand: one of 4 draws reaches 2.5, so (1 + 1)/(1 + 4).

    >>> permutation_p_value([0.0, 1.0, 2.0, 3.0], 2.5)
    0.4
    """
    draws = clean(statistics)
    if math.isnan(observed):
        return math.nan
    slack = 1e-12 * max(1.0, abs(observed))  # equal statistics summed in another order must count as ties
    return (1 + int(np.sum(draws >= observed - slack))) / (1 + len(draws))


def coin_flip_p_value(
    statistic: Callable[[np.ndarray], float], assignment: ArrayLike, draws: int = 999, seed: int = 0
) -> float:
    """Exact one-sided p value of ``statistic`` in a design that chose ``assignment`` by shuffling.

    ``assignment`` (n,) is what chance decided (canary trained on or not, number of copies, position in training);
    ``statistic`` maps such an array to one number, large meaning an effect. The assignment is shuffled ``draws`` times
    and judged by ``permutation_p_value``; the smallest p possible is 1/(draws + 1). For independent coin flips this is
    the test given how many came up heads.

    Source: Fisher, "The design of experiments", 1935.

    By hand: a statistic that ignores the assignment ties with every draw, so p = 1.

    >>> coin_flip_p_value(lambda flips: 0.0, [True, False, True])
    1.0
    """
    flips = np.asarray(assignment)
    rng = np.random.default_rng(seed)
    return permutation_p_value(
        [float(statistic(rng.permutation(flips))) for _ in range(draws)], float(statistic(flips))
    )


def spearman(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Estimate:
    """Rank correlation of ``x`` and ``y`` (n,) with an interval from Fisher's z.

        r = Pearson correlation of the midranks,     tanh(artanh(r) +- z sqrt((1 + r^2/2)/(n - 3)))

    z is the two-sided normal quantile of ``level``. A perfect r = +-1 has no finite artanh: its interval is that of the
    next value possible, +-(1 - 12/(n^3 - n)), with its outer end at +-1. Pairs with a NaN dropped; fewer than 5 pairs,
    or one side all equal, give NaN with a note. BadInput when lengths differ.

    Sources: Spearman, "The proof and measurement of association between two things", American Journal of Psychology,
    1904; variance: Bonett and Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman
    correlations", Psychometrika, 2000.

    By hand, ranks 1 2 3 4 5 against 2 1 3 4 5: r = 1 - 6 * 2/(5 * 24) = .9.

    >>> round(spearman([1, 2, 3, 4, 5], [2, 1, 3, 4, 5]).value, 9)
    0.9
    """
    z = normal_quantile(level)
    first, second = clean_pairs(x, y)
    n = len(first)
    if n < 5:
        return unknown("rank correlation", n, f"not resolvable with {n} pairs", level)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return unknown("rank correlation", n, "not defined: all values of one side are equal", level)
    r = float(np.corrcoef(midranks(first), midranks(second))[0, 1])
    nearest = 1 - 12 / (n**3 - n)
    inner = max(-nearest, min(nearest, r))
    half = z * math.sqrt((1 + inner * inner / 2) / (n - 3))
    low, high = math.tanh(math.atanh(inner) - half), math.tanh(math.atanh(inner) + half)
    if abs(r) > 1 - 1e-12:  # perfect but for rounding
        r = math.copysign(1.0, r)
        low, high = (low, 1.0) if r > 0 else (-1.0, high)
    return Estimate(r, low, high, n, "rank correlation", level)
