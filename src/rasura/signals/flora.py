"""Is the text easier for a fine-tuned model than for the public model it was made from?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask
from ..observations.token_statistics import TokenData, TokenStatistics
from ._math import unscorable_to_nan


def tuned_over_base(tuned: np.ndarray, base: np.ndarray, form: str, clamp: float) -> np.ndarray:
    """Minus the loss after fine-tuning over the loss before, or before minus after: (n,), (n,) to (n,).

    Losses of 1 after and 4 before: -1/4, and 3; a loss of 0 before counts as the clamp.

    >>> tuned_over_base(np.array([1.0]), np.array([4.0]), "ratio", 1e-3).tolist()
    [-0.25]
    >>> tuned_over_base(np.array([1.0]), np.array([4.0]), "difference", 1e-3).tolist()
    [3.0]
    >>> tuned_over_base(np.array([0.0005]), np.array([0.0]), "ratio", 1e-3).tolist()
    [-0.5]
    """
    return base - tuned if form == "difference" else -tuned / np.maximum(base, clamp)


@method(paper="arXiv:2402.17012")
@dataclass(frozen=True)
class Flora:
    """Loss under the fine-tuned model over the loss under its public base: which texts it was tuned on (FLoRa).

        form="ratio"        s(x) = -l(x) / max(l_base(x), clamp)           no unit, <= 0
        form="difference"   s(x) = l_base(x) - l(x)                        nats a token

    with l(x) = -(1/T) sum_t log p(x_t | x_<t) under the target and l_base under the model it was fine-tuned from (role
    "base"). Where prompts were masked in fine-tuning, mark them as context (``start``): only the answer is scored then.
    ``clamp`` (nats a token) bounds the ratio for texts the base model knows by heart. NaN where either model scored
    fewer than ``minimum_tokens``. Fine-tuning eases the whole domain: compare with non-members of the same domain.

    Unlike a reference model, the base is the very model whose weights were tuned; both read the same tokens.

    Source: Wang, Wang, Li and Neel, "Pandora's White-Box: precise training data detection and extraction in large
    language models", 2024. Deviations from the authors' code: lower means member there; its loss stops at the first
    token of id 0, padded to the full context, and has no clamp.

    By hand: see ``tuned_over_base``.
    """

    form: Literal["ratio", "difference"] = "ratio"
    clamp: float = 1e-3
    minimum_tokens: int = 8

    def __post_init__(self) -> None:
        if self.form not in ("ratio", "difference"):
            raise BadInput(f"flora: form is ratio or difference; got {self.form}")
        if not self.clamp > 0:
            raise BadInput(f"flora: clamp must be above 0, got {self.clamp}")

    def needs(self) -> Mapping[str, Ask]:
        return {"tuned": Ask(TokenStatistics()), "base": Ask(TokenStatistics(), of="base")}

    def score(self, tuned: TokenData, base: TokenData) -> np.ndarray:
        """Raises BadInput when the two models cut a text into different numbers of tokens."""
        both = (tuned.tokens > 0) & (base.tokens > 0)
        if (tuned.tokens != base.tokens)[both].any():
            raise BadInput(
                "flora: the two models cut the texts into different tokens, so one was not made from the other"
            )
        scores = tuned_over_base(tuned.loss, base.loss, self.form, self.clamp)
        return unscorable_to_nan(scores, np.minimum(tuned.tokens, base.tokens), self.minimum_tokens)
