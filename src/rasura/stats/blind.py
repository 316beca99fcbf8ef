"""The blind baseline: what a classifier that never sees the model can already tell about membership."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.errors import BadInput
from ..core.types import Estimate
from ._math import unknown
from ._text_kernels import METADATA, WORD, Kernel, pixel_kernel, text_kernels
from .delong import auc_interval, delong_variance
from .multiplicity import holm
from .randomness import permutation_p_value
from .roc import auc

MINIMUM = 10  # texts a side
LIMIT = 2000  # texts a side; more are sampled, which bounds time and memory
SHUFFLES = 499
RIDGE = 1.0  # against similarities of 1 on the diagonal: one text's own weight


@dataclass(frozen=True)
class Blind:
    """How well members can be told from non-members without the model.

    ``auc`` is that of the feature set that does best, with an interval widened for having picked the best;
    ``p_value`` is exact and already adjusted for the number of feature sets; ``separates`` is p_value <= 1 - level.
    ``per_feature_set`` holds each set by name with its own unadjusted interval, ``features`` what they look at.
    """

    auc: Estimate
    separates: bool
    p_value: float
    per_feature_set: Mapping[str, Estimate] = field(default_factory=dict)
    features: tuple[str, ...] = ("words", "character 3-grams", *METADATA)
    note: str = ""


def blind_baseline(
    member_texts: Sequence[str],
    nonmember_texts: Sequence[str],
    seed: int = 0,
    folds: int = 5,
    level: float = 0.95,
    pixels: tuple[np.ndarray, np.ndarray] | None = None,
) -> Blind:
    """Tell members from non-members by what they are alone, out of fold, for three sets of features of their texts.

    ``pixels``: their pictures too, one row a record, (members, p) and (non-members, p), for a fourth set: the cosine of
    pictures whose mean (of the training folds) is taken away.

    Features: TF-IDF of words, TF-IDF of character 3-grams, and metadata (lengths, compressibility, share of digits and
    of upper case, latest year mentioned). For each, a ridge classifier scores the texts E of every fold after learning
    from the other folds T only, vocabulary and weights included:

        score_E = K_ET (K_TT + alpha I)^-1 (y_T - mean y_T),     y = 1 member, 0 non-member

    with K the similarity of two texts (1 for itself) and alpha = 1. The score is linear in y, so shuffling the labels
    needs no new fit: the p value of each AUC is exact, (1 + #{shuffled AUC >= AUC})/500 over 499 shuffles within
    folds, and the three are Holm-adjusted. One-sided: below chance is noise here, since out-of-fold scores of
    indistinguishable texts lean below 1/2. Exact if texts are independent; families of near-copies are not.

    Intervals are DeLong's on the logit scale with the variance doubled: folds learn from each other's texts, and for
    a linear rule that finds nothing the sum over pairs of folds has twice the variance of independent folds, for every
    number of folds. They are approximate; ``separates`` rests on the p value.

    More than 2000 texts a side are sampled down (said in ``note``). Fewer than 2 ``folds`` a side: fewer folds. Fewer
    than 10 texts a side: NaN with a note. BadInput for folds < 2.

    Sources: Das, Zhang and Tramer, "Blind baselines beat membership inference attacks for foundation models", 2024;
    Meeus, Shilov, Jain, Faysse, Rei and de Montjoye, "SoK: Membership inference attacks on LLMs are rushing nowhere
    (and how to fix it)", 2024; dependence of folds: Nadeau and Bengio, "Inference for the generalization error",
    Machine Learning, 2003.

    By hand: no member text mentions what every non-member text does, so every pair is ordered.

    >>> result = blind_baseline(["a red fox ran"] * 30, ["news of 2024"] * 30)
    >>> result.auc.value, result.separates
    (1.0, True)
    """
    if folds < 2:
        raise BadInput(f"folds must be at least 2, got {folds}")
    kept, sampled = _sample(len(member_texts), len(nonmember_texts), np.random.default_rng([seed, 0]))
    members, nonmembers = len(kept[0]), len(kept[1])
    if min(members, nonmembers) < MINIMUM:
        note = f"not resolvable with {members} members and {nonmembers} non-members"
        return Blind(unknown("AUC", members + nonmembers, note, level), False, math.nan, note=note)
    labels = np.arange(members + nonmembers) < members
    fold = _folds(labels, min(folds, members // 2, nonmembers // 2), np.random.default_rng([seed, 1]))
    shuffled = _shuffle_within(labels, fold, np.random.default_rng([seed, 2]))
    scores, p_values = {}, []
    for name, kernel in _kernels((member_texts, nonmember_texts), pixels, kept).items():
        scores[name], p_value = _score_and_test(_smoother(kernel, fold), labels, shuffled)
        p_values.append(p_value)
    return _judge(scores, holm(p_values), labels, level, sampled)


def _kernels(texts: Any, pixels: Any, kept: Sequence[np.ndarray]) -> dict[str, Kernel]:
    """Every feature set by name, over the records that take part."""
    found = dict(text_kernels([side[i] for side, chosen in zip(texts, kept, strict=True) for i in chosen]))
    if pixels is not None:
        found["pixels"] = pixel_kernel(
            np.concatenate([side[chosen] for side, chosen in zip(pixels, kept, strict=True)])
        )
    return found


def _sample(members: int, nonmembers: int, rng: np.random.Generator) -> tuple[list[np.ndarray], str]:
    """Positions that take part on either side, and what to say when that is not all of them."""
    sides = [np.arange(n) if n <= LIMIT else np.sort(rng.permutation(n)[:LIMIT]) for n in (members, nonmembers)]
    if max(members, nonmembers) <= LIMIT:
        return sides, ""
    return sides, f"on {len(sides[0])} of {members} members and {len(sides[1])} of {nonmembers} non-members"


def _folds(labels: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of each text, both sides spread evenly over folds."""
    fold = np.empty(len(labels), dtype=np.int64)
    for side in (labels, ~labels):
        fold[side] = rng.permutation(np.arange(np.sum(side)) % folds)
    return fold


def _shuffle_within(labels: np.ndarray, fold: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels shuffled among the texts of each fold, one column a shuffle: (n, SHUFFLES)."""
    shuffled = np.tile(labels[:, None], (1, SHUFFLES))
    for k in np.unique(fold):
        shuffled[fold == k] = rng.permuted(shuffled[fold == k], axis=0)
    return shuffled


def _smoother(kernel: Kernel, fold: np.ndarray) -> np.ndarray:
    """The matrix that maps labels to out-of-fold scores: (n, n), zero where row and column share a fold."""
    smoother = np.zeros((len(fold), len(fold)), dtype=np.float32)
    for k in np.unique(fold):
        test, train = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        similar = kernel(train)
        inner = similar[train] + RIDGE * np.eye(len(train), dtype=np.float32)
        weights = np.linalg.solve(inner, similar[test].T)  # scipy's Cholesky would fight numpy's threads for the cores
        smoother[np.ix_(test, train)] = (weights - weights.mean(axis=0)).T  # takes mean y_T away
    return smoother


def _score_and_test(smoother: np.ndarray, labels: np.ndarray, shuffled: np.ndarray) -> tuple[np.ndarray, float]:
    """Out-of-fold scores under the true labels, and the p value of their AUC."""
    columns = np.column_stack([labels, shuffled])
    scores = smoother @ columns.astype(np.float32)  # truth and shuffles in one product, so that rounding is alike
    values = [auc(score[label], score[~label]) for score, label in zip(scores.T, columns.T, strict=True)]
    return scores[:, 0], permutation_p_value(values[1:], values[0])


def _judge(
    scores: Mapping[str, np.ndarray], p_values: np.ndarray, labels: np.ndarray, level: float, note: str
) -> Blind:
    single = {name: _estimate(score, labels, level) for name, score in scores.items()}
    best = max(single, key=lambda name: single[name].value)
    wide = _estimate(scores[best], labels, 1 - (1 - level) / len(scores))
    overall = Estimate(wide.value, wide.low, wide.high, wide.n, wide.unit, level)
    p_value = float(np.min(p_values))
    return Blind(overall, p_value <= 1 - level + 1e-12, p_value, single, note=note)


def _estimate(score: np.ndarray, labels: np.ndarray, level: float) -> Estimate:
    members, nonmembers = score[labels], score[~labels]
    value, variance = auc(members, nonmembers), 2 * delong_variance(members, nonmembers)
    low, high = auc_interval(value, variance, min(len(members), len(nonmembers)), level)
    return Estimate(value, low, high, len(labels), "AUC", level)


def overlap(member_texts: Sequence[str], nonmember_texts: Sequence[str], n: int = 13) -> np.ndarray:
    """For each non-member text, the share of its word ``n``-grams that occur in some member text: (nonmembers,).

        share = #{positions whose n words in a row occur in a member text} / (words - n + 1)

    Words are runs of letters, digits and underscores, lower-cased. A text with fewer than n words has no n-gram: NaN.
    High shares mean that "non-members" were partly in the training data. BadInput for n < 1.

    Source: Duan, Suri, Mireshghallah, Min, Shi, Zettlemoyer, Tsvetkov, Choi, Evans and Hajishirzi, "Do membership
    inference attacks work on large language models?", 2024.

    By hand, pairs of words: "a b" of "A b, d" occurs in "a b c", "b d" does not: 1/2.

    >>> overlap(["a b c"], ["A b, d", "a"], n=2).tolist()
    [0.5, nan]
    """
    if n < 1:
        raise BadInput(f"n must be at least 1, got {n}")
    known = {gram for text in member_texts for gram in _grams(text, n)}
    shares = [[gram in known for gram in _grams(text, n)] for text in nonmember_texts]
    return np.array([np.mean(hits) if hits else np.nan for hits in shares], dtype=np.float64)


def _grams(text: str, n: int) -> list[int]:
    """Hashes of the word n-grams: 64 bits each instead of n words."""
    words = WORD.findall(text.lower())
    return [hash(tuple(words[i : i + n])) for i in range(len(words) - n + 1)]
