"""Does the model know this exact casing, or only the words?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask
from ..data.views import Lowercase as LowercaseView
from ..observations._letters import LetterData, Letters
from ..observations.token_statistics import TokenData, TokenStatistics
from ._math import unscorable_to_nan


def casing_ratio(loss: np.ndarray, lowered: np.ndarray, clamp: float) -> np.ndarray:
    """Loss of the lowercased text over the loss of the text: (n,), (n,) to (n,).

    Losses of 2 and 3 nats give 1.5; a loss of 0 counts as the clamp.

    >>> casing_ratio(np.array([2.0, 0.0]), np.array([3.0, 3.0]), 1e-3).tolist()
    [1.5, 3000.0]
    """
    return lowered / np.maximum(loss, clamp)


@method(paper="arXiv:2012.07805")
@dataclass(frozen=True)
class Lowercase:
    """Loss of the text in lower case over its loss as written.

        s(x) = l(lower(x)) / max(l(x), clamp),        l(x) = -(1/T) sum_t log p(x_t | x_<t)

    No unit; about 1 when casing says nothing. The lowered text is cut into tokens anew, so each l is a mean over its
    own tokens. ``clamp`` (nats a token) bounds the ratio where the text is memorised. NaN when lowering changes nothing
    in the text, and where either form has fewer than ``minimum_tokens`` scored tokens.

    Source: Carlini et al., "Extracting training data from large language models", 2021. Deviations of public code: the
    ratio of perplexities instead of their logarithms; the inverse, or its negative (ranks alike); 1 instead of "cannot
    be scored" on text without capitals; no clamp.

    By hand: see ``casing_ratio``.
    """

    clamp: float = 1e-3
    minimum_tokens: int = 8

    def __post_init__(self) -> None:
        if not self.clamp > 0:
            raise BadInput(f"lowercase: clamp must be above 0, got {self.clamp}")

    def needs(self) -> Mapping[str, Ask]:
        return {
            "statistics": Ask(TokenStatistics()),
            "lowered": Ask(TokenStatistics(), view=LowercaseView()),
            "letters": Ask(Letters()),
        }

    def score(self, statistics: TokenData, lowered: TokenData, letters: LetterData) -> np.ndarray:
        scores = casing_ratio(statistics.loss, lowered.loss, self.clamp)
        scores = np.where(letters.capitals > 0, scores, np.nan)
        return unscorable_to_nan(scores, np.minimum(statistics.tokens, lowered.tokens), self.minimum_tokens)
