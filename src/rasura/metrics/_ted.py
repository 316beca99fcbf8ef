"""What a model's score would be without what it learned by heart: TED, evaluation of the output distribution.

Not a metric of its own, because only the person who has the task can say which answer is right: a function of what
``observations.generations`` gives and of a right or wrong for every sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import BadInput
from ..core.types import Estimate
from ..stats.intervals import mean_estimate

TAU = 2  # edits: samples this near the greedy output are taken for recitation
TOKENS = 100


@dataclass(frozen=True)
class Corrected:
    """``raw`` is the plain accuracy, ``corrected`` that of what is left; ``kept`` (n,) samples left of each item."""

    raw: Estimate
    corrected: Estimate
    kept: np.ndarray


def kept(greedy: Sequence[int], samples: Sequence[Sequence[int]], tau: int = TAU, tokens: int = TOKENS) -> np.ndarray:
    """Which samples are left: (n,) bool. A repetition goes, and so does what lies within ``tau`` edits of the greedy output.

    The greedy output is cut to ``tokens`` tokens and each sample to as many as the greedy output then has. Of four
    samples the first recites (one edit), the third repeats the second:

    >>> kept([1, 2, 3, 4, 5], [[1, 2, 3, 4], [9, 8, 7], [9, 8, 7], [6, 6, 6, 6, 6]]).tolist()
    [False, True, False, True]
    """
    from rapidfuzz.distance import Levenshtein

    first = list(greedy)[:tokens]
    seen: set[tuple[int, ...]] = set()
    left = []
    for sample in samples:
        new = tuple(sample) not in seen
        seen.add(tuple(sample))
        left.append(new and Levenshtein.distance(list(sample)[: len(first)], first) > tau)
    return np.array(left, dtype=bool)


def corrected_accuracy(
    greedy: Sequence[Sequence[int]],
    samples: Sequence[Sequence[Sequence[int]]],
    right: Sequence[Sequence[bool]],
    tau: int = TAU,
    tokens: int = TOKENS,
) -> Corrected:
    """Accuracy with and without repetitions and recitations, over items.

        raw       = (1/N) sum_i mean_j right_ij
        corrected = (1/N) sum_i mean_{j left} right_ij,      0 for an item of which nothing is left

    ``greedy`` (N,) and ``samples`` (N, n_i) are token lists, ``right`` (N, n_i) says which samples solve their item;
    t intervals over items. BadInput when the three do not go together.

    Source: Dong, Jiang, Liu, Jin, Gu, Yang and Li, "Generalization or memorization: data contamination and trustworthy
    evaluation for large language models", ACL Findings 2024; tau = 2 and the 100 tokens from their code. Deviation:
    repetitions are told by tokens, theirs by text.

    By hand: the only item has four samples, two are left, one of these is right: 3/4 becomes 1/2.

    >>> four = [[1, 2, 3, 4], [9, 8, 7], [9, 8, 7], [6, 6, 6, 6, 6]]
    >>> found = corrected_accuracy([[1, 2, 3, 4, 5]], [four], [[True, True, True, False]])
    >>> found.raw.value, found.corrected.value
    (0.75, 0.5)
    """
    if not len(greedy) == len(samples) == len(right) or any(
        len(s) != len(r) for s, r in zip(samples, right, strict=False)
    ):
        raise BadInput("corrected accuracy: one greedy output an item, and right or wrong for each of its samples")
    masks = [kept(g, s, tau, tokens) for g, s in zip(greedy, samples, strict=True)]
    raw = [float(np.mean(r)) if len(r) else np.nan for r in right]
    left = [
        float(np.mean(np.asarray(r, bool)[m])) if m.any() else 0.0 if len(m) else np.nan
        for r, m in zip(right, masks, strict=True)
    ]
    bounds = (0.0, 1.0)
    return Corrected(
        mean_estimate(raw, "share right", bounds=bounds),
        mean_estimate(left, "share right", bounds=bounds),
        np.array([int(m.sum()) for m in masks], dtype=np.int64),
    )
