"""Do unrelated, unseen texts put in front disturb the model's confidence in this text?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask, Samples
from ..observations.conditional_statistics import ConditionalData, ConditionalStatistics
from ..observations.token_statistics import TokenData, TokenStatistics
from ._math import unscorable_to_nan


def relative(conditional: np.ndarray, loss: np.ndarray, form: str, clamp: float) -> np.ndarray:
    """Loss behind other texts over, or minus, the loss alone: (n,), (n,) to (n,).

    A loss of 2 nats that becomes 3: ratio 1.5, difference 1; a loss of 0 counts as the clamp, 3/.001.

    >>> relative(np.array([3.0, 3.0]), np.array([2.0, 0.0]), "ratio", 1e-3).tolist()
    [1.5, 3000.0]
    >>> relative(np.array([3.0]), np.array([2.0]), "difference", 1e-3).tolist()
    [1.0]
    """
    return conditional - loss if form == "difference" else conditional / np.maximum(loss, clamp)


@method(paper="arXiv:2406.15968")
@dataclass(frozen=True)
class Recall:
    """How much less likely a text becomes behind texts the model has not seen (ReCaLL).

        form="ratio"        s(x) = LL(x | P) / min(LL(x), -clamp)          no unit
        form="difference"   s(x) = LL(x) - LL(x | P)                       nats a token

    with LL(x | P) = (1/T) sum_t log p(x_t | P, x_<t) over the same T tokens of x in both passes, and P the last of the
    texts in ``prefix`` joined, as many as fit the context in front of x. ``prefix`` holds texts known not to be in the
    training data; ``prefixed_by`` takes the first ``shots`` of a pool. ``clamp`` (nats a token) bounds the ratio where
    x is memorised to a loss near 0. NaN with fewer than ``minimum_tokens`` scored tokens, and where not even one text
    fits in front. Texts of another domain than x turn the score into a detector of the domain.

    Source: Xie, Wang, Huang, Zhang, Ge, Pei, Gong and Dhingra, "ReCaLL: membership inference via relative conditional
    log-likelihoods", EMNLP 2024; the paper sweeps 0 to 28 shots, 12 is the default of its code. Deviations from that
    code: it scores the first token of x behind P but not alone; here it is scored in neither. It joins the shots with
    nothing between them, and cuts their number for the mean length of all texts, if at all; here a blank parts them
    and each text gets as many as fit in front of it, so that no score depends on other texts.
    Deviations of other public code: a mean over P and x together; the sign turned round; P and x cut into tokens as
    one string; a text longer than the context read in windows whose later ones lack P.

    By hand: see ``relative``.
    """

    shots: int = 12
    form: Literal["ratio", "difference"] = "ratio"
    clamp: float = 1e-3
    minimum_tokens: int = 8
    prefix: tuple[str, ...] = field(default=(), repr=False, metadata={"private": True})  # texts of others

    def __post_init__(self) -> None:
        if self.shots < 1:
            raise BadInput(f"recall: shots must be at least 1, got {self.shots}")
        if self.form not in ("ratio", "difference"):
            raise BadInput(f"recall: form is ratio or difference; got {self.form}")
        if not self.clamp > 0:
            raise BadInput(f"recall: clamp must be above 0, got {self.clamp}")

    def prefixed_by(self, pool: Samples) -> Self:
        """A copy with the first ``shots`` texts of the pool in front of every record. Raises BadInput on an empty pool.

        A blank parts each text from the next.
        """
        texts = [text for text in pool.texts if text.strip()]
        if not texts:
            raise BadInput("recall: needs unseen texts to put in front of records and was given none")
        return replace(self, prefix=tuple(f"{text} " for text in texts[: self.shots]))

    def needs(self) -> Mapping[str, Ask]:
        return {"statistics": Ask(TokenStatistics()), "conditional": Ask(ConditionalStatistics(self.prefix))}

    def score(self, statistics: TokenData, conditional: ConditionalData) -> np.ndarray:
        """Raises BadInput when there is no ``prefix``."""
        if not self.prefix and len(statistics.tokens):
            raise BadInput("recall: no texts to put in front; give some that the model has not seen (prefixed_by)")
        scores = relative(conditional.loss, statistics.loss, self.form, self.clamp)
        return unscorable_to_nan(scores, np.minimum(statistics.tokens, conditional.tokens), self.minimum_tokens)
