"""Can a network learn from some members and some non-members what memory looks like inside the model?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask, Known
from ..observations.gradient_norms import GradientData
from ..observations.hidden_states import HiddenData
from ._supervised import Network, network_scores
from ._white_box import asks, features

HIDDEN = {"small": (250, 100, 10), "big": (500, 250, 100, 10)}


@method(paper="arXiv:2402.17012")
@dataclass(frozen=True)
class WhiteBoxNetwork:
    """A small neural network on gradients and hidden states, fitted to records whose truth is known.

        s(x) = W_L relu(... relu(W_1 z(x) + b_1) ...) + b_L = log P(member | x) / P(non-member | x)

    z(x) = (f(x) - mean)/deviation with the features f of gradient norms (``by`` tensor or layer, orders 1, 2, infinity,
    the whole gradient, the embedding's output), ``projections`` a tensor and mean ``activations`` of decoder layer
    ``layer``. ``size``: hidden widths 250-100-10, or 500-250-100-10 ("big"). Adam at ``learning_rate`` on the log-loss for
    at most ``epochs`` passes; weights are those of the epoch with the smallest loss on a share ``validation`` of the known
    records, and training ends after ``patience`` passes without a smaller one. Mean and deviation are those of the part
    that trains. NaN with fewer than ``minimum_tokens`` scored tokens.

    With hundreds of known records expect no more than from logistic regression.

    Source: Wang, Wang, Li and Neel, "Pandora's White-Box: precise training data detection and extraction in large
    language models", 2024 (widths, Adam, early stopping). Deviations: the published code reports the very set that
    stopped the training, here known records that stopped it are never judged; classes are balanced within a pass;
    log-odds instead of the probability, which saturates; ``patience`` and ``epochs`` are ours.

    By hand: weights 2 and -1 after a ReLU on weights (1, -1), so x = 3 gives 2 relu(3) - relu(-3) = 6.

    >>> from rasura.signals._supervised import _forward
    >>> layers = [(np.array([[1.0, -1.0]]), np.zeros(2)), (np.array([[2.0], [-1.0]]), np.zeros(1))]
    >>> _forward(layers, np.array([[3.0], [-3.0]])).tolist()
    [6.0, -3.0]
    """

    size: Literal["small", "big"] = "small"
    by: Literal["tensor", "layer"] = "tensor"
    projections: int = 0
    activations: bool = False
    layer: int = -1
    learning_rate: float = 1e-3
    epochs: int = 200
    patience: int = 20
    validation: float = 0.25
    seed: int = 0
    minimum_tokens: int = 8

    learns: ClassVar[str] = "both"

    def __post_init__(self) -> None:
        if self.by not in ("tensor", "layer") or not 0 <= self.projections <= 64 or self.size not in HIDDEN:
            raise BadInput(
                f"white_box_network: size is small or big, by is tensor or layer, projections 0 to 64; "
                f"got {self.size}, {self.by}, {self.projections}"
            )
        if not (0 < self.validation < 0.5 and self.learning_rate > 0 and self.epochs > 0 and self.patience > 0):
            raise BadInput("white_box_network: validation lies between 0 and 1/2; rates and counts are above 0")

    def needs(self) -> Mapping[str, Ask]:
        return asks(self.projections, self.activations, self.layer, self.seed)

    def score(self, known: Known, gradients: GradientData, **more: HiddenData) -> np.ndarray:
        """Raises BadInput with fewer than 8 scorable known records a side."""
        found = features(gradients, more.get("hidden"), self.by, self.minimum_tokens)
        how = Network(HIDDEN[self.size], self.learning_rate, self.epochs, self.patience, self.validation, self.seed)
        return network_scores(known, found, "white_box_network", how)
