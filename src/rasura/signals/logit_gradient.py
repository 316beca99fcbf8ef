"""Can the last layer's gradient, had from logits alone, tell what was seen?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.registry import method
from ..core.types import Ask, Known
from ..observations.logit_gradients import LogitGradientData, LogitGradients
from ._supervised import logistic_scores


@method(paper="arXiv:2402.17012")
@dataclass(frozen=True)
class LogitGradient:
    """Logistic regression on the output matrix's gradient, reconstructed from logits (model stealing).

        s(x) = w . z(x) + b = log P(member | x) / P(non-member | x),      z = (f(x) - mean)/deviation

    f(x): L1, L2 and Linf norm and ``k`` two-sided random projections of G = ((p - onehot)/T)^T H^, the gradient of the mean
    token loss at an output matrix that is the model's own but for an invertible matrix. It is found from ``queries`` logit
    vectors of random prompts (``seed``) by a singular value decomposition; ``dimension`` is the hidden size, 0 reads it off
    the singular values. Needs logits, no weights and no backward pass. w and b as in any logistic regression with an L2
    penalty chosen by 5 stratified folds of the known records. NaN with fewer than ``minimum_tokens`` scored tokens.

    Source: Wang, Wang, Li and Neel, "Pandora's White-Box: precise training data detection and extraction in large
    language models", 2024 (512 projections of the vocabulary axis). Deviations: projected on both sides, because 512 d
    numbers are more than there are records; hidden states have unit size over the queries; log-odds instead of the
    probability, which saturates.

    By hand: one token, two even odds and a hidden state of 2 give G = ((1/2 - 1) 2, (1/2) 2) = (-1, 1):

    >>> p, onehot, hidden = np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]]), np.array([[2.0]])
    >>> g = (p - onehot).T @ hidden
    >>> g.ravel().tolist(), [round(float(np.linalg.norm(g.ravel(), p)), 4) for p in (1, 2, np.inf)]
    ([-1.0, 1.0], [2.0, 1.4142, 1.0])
    """

    queries: int = 2048
    k: int = 64
    dimension: int = 0
    seed: int = 0
    minimum_tokens: int = 8

    learns: ClassVar[str] = "both"

    def __post_init__(self) -> None:
        LogitGradients(self.queries, self.k, self.dimension, self.seed)  # raises BadInput

    def needs(self) -> Mapping[str, Ask]:
        return {"gradients": Ask(LogitGradients(self.queries, self.k, self.dimension, self.seed))}

    def score(self, known: Known, gradients: LogitGradientData) -> np.ndarray:
        """Raises BadInput with fewer than 8 scorable known records a side."""
        features = gradients.matrix()
        features[gradients.tokens < self.minimum_tokens] = np.nan
        return logistic_scores(known, features, "logit_gradient", self.seed)
