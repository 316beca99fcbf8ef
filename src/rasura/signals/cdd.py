"""Does the model say nearly the same thing again and again where it should vary?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask
from ..observations.generations import GenerationData, Generations


def peak(greedy: Sequence[int], samples: Sequence[Sequence[int]], alpha: float, tokens: int) -> float:
    """Share of ``samples`` within an edit distance of ``alpha`` L of ``greedy``, all cut to ``tokens``; none: NaN.

    L is the longest of them all. Of three samples one equals the greedy output, one has one of its 4 tokens replaced,
    one has nothing of it; alpha L = .25 * 4 allows one edit:

    >>> peak([1, 2, 3, 4], [[1, 2, 3, 4], [1, 2, 9, 4], [5, 6]], alpha=0.25, tokens=100)
    0.6666666666666666
    """
    from rapidfuzz.distance import Levenshtein

    first, others = list(greedy)[:tokens], [list(s)[:tokens] for s in samples]
    if not others:
        return float("nan")
    longest = max(len(first), *map(len, others))
    return float(np.mean([Levenshtein.distance(s, first) <= alpha * longest for s in others]))


@method(paper="arXiv:2402.15938")
@dataclass(frozen=True)
class Cdd:
    """How peaked the model's sampled outputs are around its greedy one (CDD, contamination detection).

        s(x) = (1/n) #{ i : ED(s_i, g) <= alpha L },        L = max(|g|, |s_1|, .., |s_n|)

    with g the greedy continuation of the record's prompt, s_1 .. s_n drawn at ``temperature``, n = ``samples``, all cut
    to their first ``tokens`` tokens, and ED the Levenshtein distance in tokens. A share, 0 to 1. Text alone decides, no
    probability is read. The prompt is the record up to its secret, else its context, else its first half. NaN with fewer
    than ``minimum_tokens`` scored tokens in the record.

    A record counts as contaminated where s > ``xi`` (``contaminated``). Short or unique right answers are peaked in any
    model: judge records whose answer has 20 tokens or more, or against unseen records of the same kind, as an audit does.
    For models behind a service the authors use alpha = 0 and xi = .2. Costs 1 + n continuations.

    Source: Dong, Jiang, Liu, Jin, Gu, Yang and Li, "Generalization or memorization: data contamination and trustworthy
    evaluation for large language models", ACL Findings 2024; constants from their code. Deviations: their code strips
    code fences, here both outputs are compared as generated. Deviations of other public code: characters in place of
    tokens, the shortest in place of the longest output, a count in place of a share (so that any one sample exceeds xi),
    an edit distance whose table begins with zeros.

    By hand: see ``peak``.
    """

    alpha: float = 0.05
    xi: float = 0.01
    samples: int = 50
    temperature: float = 0.8
    tokens: int = 100
    seed: int = 0
    minimum_tokens: int = 8

    few_values: ClassVar[str] = "a share of n samples: records that differ may have the same score"
    testbed_settings: ClassVar[Mapping[str, int]] = {"samples": 8, "tokens": 12}
    testbed_reason: ClassVar[str] = (
        "models trained on texts without an end never stop: beyond the record's own end, about 12 tokens, greedy and "
        "sampled outputs differ by nature; 8 samples cost a sixth of 50"
    )

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1 or self.samples < 1 or self.tokens < 1 or not self.temperature > 0:
            raise BadInput("cdd: alpha from 0 to below 1, samples and tokens from 1, temperature above 0")

    def needs(self) -> Mapping[str, Ask]:
        drawn = Generations(
            new_tokens=self.tokens, samples_each=self.samples, temperature=self.temperature, seed=self.seed
        )
        return {"greedy": Ask(Generations(new_tokens=self.tokens)), "sampled": Ask(drawn)}

    def score(self, greedy: GenerationData, sampled: GenerationData) -> np.ndarray:
        scored = greedy.cut + greedy.true_ids.lengths
        usable = (scored >= self.minimum_tokens) & (greedy.reason == "") & (sampled.reason == "")
        usable &= sampled.lengths.max(axis=1, initial=0) + greedy.lengths.max(axis=1, initial=0) > 0
        scores = np.full(len(usable), np.nan)
        for i in np.flatnonzero(usable):
            scores[i] = peak(
                greedy.draws(i)[0].tolist(), [s.tolist() for s in sampled.draws(i)], self.alpha, self.tokens
            )
        return scores

    def contaminated(self, scores: np.ndarray) -> np.ndarray:
        """1 where a record counts as contaminated, 0 where not, NaN where it could not be scored: (n,)."""
        return np.where(np.isnan(scores), np.nan, (scores > self.xi).astype(np.float64))
