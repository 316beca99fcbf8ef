"""How alike two rows of tokens are: what was said, and what the record says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

NAN = float("nan")


def edit_similarity(said: Sequence[int], true: Sequence[int]) -> float:
    """1 - (least number of insertions, deletions and substitutions) / (length of the longer); NaN if ``true`` is empty.

    By hand: one of 4 tokens is replaced: 1 - 1/4.

    >>> edit_similarity([7, 8, 9, 10], [7, 8, 1, 10])
    0.75
    """
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_similarity(list(said), list(true))) if len(true) else NAN


def bleu(said: Sequence[int], true: Sequence[int], order: int = 4) -> float:
    """BLEU of one row of tokens against one reference, without smoothing; NaN if ``true`` is empty.

        BLEU = min(1, exp(1 - |true|/|said|)) (prod_{k=1..K} p_k)^(1/K),   p_k = matched k-grams of said / k-grams of said

    where a k-gram counts as matched at most as often as ``true`` has it, and K = min(``order``, |true|), because a
    reference of 3 tokens has no 4-gram. 0 where nothing is said or some p_k is 0.

    Source: Papineni, Roukos, Ward and Zhu, "BLEU: a method for automatic evaluation of machine translation", ACL 2002.

    By hand: 1 2 3 4 9 for 1 2 3 4 5: p = 4/5, 3/4, 2/3, 1/2, their product 1/5, and its fourth root .6687.

    >>> round(bleu([1, 2, 3, 4, 9], [1, 2, 3, 4, 5]), 4), bleu([1, 2], [1, 2]), bleu([], [1])
    (0.6687, 1.0, 0.0)
    """
    said, true = tuple(map(int, said)), tuple(map(int, true))
    if not true:
        return NAN
    longest = min(order, len(true))
    if len(said) < longest:
        return 0.0
    matched = [sum((_grams(said, k) & _grams(true, k)).values()) for k in range(1, longest + 1)]
    if not all(matched):
        return 0.0
    logs = [math.log(m / (len(said) - k)) for k, m in enumerate(matched)]
    return math.exp(min(0.0, 1.0 - len(true) / len(said)) + math.fsum(logs) / longest)


def _grams(tokens: tuple[int, ...], k: int) -> Counter[tuple[int, ...]]:
    return Counter(tokens[i : i + k] for i in range(len(tokens) - k + 1))


def hamming_accuracy(said: Sequence[int], true: Sequence[int]) -> float:
    """Share of the positions of ``true`` at which ``said`` has the same token; NaN if ``true`` is empty.

    What is said beyond the end of ``true`` does not count, what is missing counts as wrong.

    >>> hamming_accuracy([1, 2, 9], [1, 2, 3, 4])
    0.5
    """
    if not len(true):
        return NAN
    n = min(len(said), len(true))
    return float(np.sum(np.asarray(said[:n]) == np.asarray(true[:n])) / len(true))


def matching_prefix(said: Sequence[int], true: Sequence[int]) -> float:
    """Length in tokens of the longest common beginning; NaN if ``true`` is empty.

    >>> matching_prefix([1, 2, 9, 4], [1, 2, 3, 4])
    2.0
    """
    if not len(true):
        return NAN
    n = min(len(said), len(true))
    same = np.asarray(said[:n]) == np.asarray(true[:n])
    return float(n if same.all() else np.argmin(same))


def right_before_error(rank: np.ndarray) -> float:
    """How many tokens greedy decoding gets right before its first error, from teacher-forced ranks (0 = first choice).

    Equal to ``matching_prefix`` of what greedy decoding says, without generating: up to the first error it reads the
    record's own tokens.

    >>> right_before_error(np.array([0, 0, 3, 0])), right_before_error(np.array([0, 0]))
    (2.0, 2.0)
    """
    if not len(rank):
        return NAN
    return float(np.argmax(rank != 0)) if np.any(rank != 0) else float(len(rank))
