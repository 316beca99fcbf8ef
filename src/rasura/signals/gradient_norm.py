"""Would training on this text still move the weights?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask
from ..observations.gradient_norms import ORDERS, GradientData, GradientNorms
from ._math import unscorable_to_nan


def norm_of_concatenation(norms: np.ndarray, order: str) -> float:
    """The p-norm of a gradient from the p-norms of its parts: (G,) to one number.

    Parts of norm 3 and 4: 7 for p = 1, 5 for p = 2, 4 for p = infinity (and never their mean, 3.5).

    >>> [norm_of_concatenation(np.array([3.0, 4.0]), order) for order in ("1", "2", "inf")]
    [7.0, 5.0, 4.0]
    """
    return float(np.linalg.norm(norms, {"1": 1, "2": 2, "inf": np.inf}[order]))


@method(paper="arXiv:2402.17012")
@dataclass(frozen=True)
class GradientNorm:
    """Negative norm of the gradient of the text's mean loss: a seen text moves the weights less.

        s(x) = -|| d l(x) / d w ||_p,        l(x) = -(1/T) sum_t log p(x_t | x_<t)

    with p = ``order`` ("1", "2", "inf") and w = ``group``: "all" (the norm of all parameters' gradients concatenated),
    "embedding" (the output of the embedding module at all positions), or a parameter tensor by name or by its last
    dotted parts (several that fit are concatenated). NaN with fewer than ``minimum_tokens`` scored tokens.

    The paper keeps all norms as features and names no single one; the default is L1 over all parameters because it
    separated best of four choices on a planted testbed (AUC .79 at 4 copies against .71 for L2, plain loss .96).
    Half-learned texts have large gradients, so expect it below plain loss where copies are few. L2 costs a fraction of the
    other two, which need every number of every text's gradient (``benchmarks/bench_gradient_norms.py``).

    Source: Wang, Wang, Li and Neel, "Pandora's White-Box: precise training data detection and extraction in large
    language models", 2024. Deviations of public code: two ports average the norms of the tensors instead of taking the
    norm of the concatenation, so that many small tensors decide; one of them counts larger norms as member; the loss
    runs over padding.

    By hand: see ``norm_of_concatenation``.
    """

    order: Literal["1", "2", "inf"] = "1"
    group: str = "all"
    minimum_tokens: int = 8

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise BadInput(f"gradient_norm: order is one of {', '.join(ORDERS)}; got {self.order}")

    def needs(self) -> Mapping[str, Ask]:
        cheap = self.order == "2" or self.group == "embedding"  # norms at the embedding come with any ask
        return {"gradients": Ask(GradientNorms(("2",)) if cheap else GradientNorms())}

    def score(self, gradients: GradientData) -> np.ndarray:
        """Raises BadInput when no parameter is called ``group``."""
        if self.group == "embedding":
            norms = gradients.at_embedding(self.order)
        else:
            parts = gradients.of_parameters(self.order, self.group)
            norms = parts.reduce(lambda row: norm_of_concatenation(row, self.order))
        return unscorable_to_nan(-norms, gradients.tokens, self.minimum_tokens)
