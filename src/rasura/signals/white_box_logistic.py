"""Can someone who knows some members and some non-members learn what memory looks like inside the model?"""

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
from ._supervised import logistic_scores
from ._white_box import asks, features


@method(paper="arXiv:2402.17012")
@dataclass(frozen=True)
class WhiteBoxLogistic:
    """Logistic regression on gradients and hidden states, fitted to records whose truth is known.

        s(x) = w . z(x) + b = log P(member | x) / P(non-member | x),      z = (f(x) - mean)/deviation

    f(x) holds, for p = 1, 2 and infinity, the p-norm of the gradient of the mean token loss of x for every parameter
    tensor (``by`` = "tensor") or layer, for all parameters together, and at the output of the embedding module. With
    ``projections`` = k (up to 64) k random projections of every tensor's gradient join them (with ``by`` = "layer" the sums
    over a layer's tensors), with ``activations`` the mean output of decoder layer ``layer``. w and b minimise the log-loss,
    both classes weighing the same, plus an L2 penalty that 5 stratified folds of the known records choose (``seed``); mean
    and deviation are those of the known records. NaN with fewer than ``minimum_tokens`` scored tokens.

    It learns any difference between its two classes, memory or not: the verb's blind baseline says whether there is one.

    Source: Wang, Wang, Li and Neel, "Pandora's White-Box: precise training data detection and extraction in large
    language models", 2024 (10,000 known records a class). Deviations: log-odds instead of the probability, which
    saturates; a record with a feature that is not finite is not scored instead of given 0; projections are two-sided
    (``observations.gradient_projections``); no padding in the loss; one backward pass where the authors take two.

    By hand: ``_white_box.total_norms``; f of a model with tensors of gradient norm 3 and 4 and 1 at the embedding:

    >>> from rasura.core.types import Ragged
    >>> rows, one = Ragged.of([[3.0, 4.0]], np.float32), np.ones(1)
    >>> data = GradientData(rows, rows, rows, one, one, one, np.array([9]), np.array(["a\\nb"]), np.array([""]))
    >>> features(data, None, "tensor", 8).tolist()
    [[3.0, 3.0, 3.0, 4.0, 4.0, 4.0, 7.0, 5.0, 4.0, 1.0, 1.0, 1.0]]
    """

    by: Literal["tensor", "layer"] = "tensor"
    projections: int = 0
    activations: bool = False
    layer: int = -1
    seed: int = 0
    minimum_tokens: int = 8

    learns: ClassVar[str] = "both"

    def __post_init__(self) -> None:
        if self.by not in ("tensor", "layer") or not 0 <= self.projections <= 64:
            raise BadInput(
                f"white_box_logistic: by is tensor or layer, projections 0 to 64; got {self.by}, {self.projections}"
            )

    def needs(self) -> Mapping[str, Ask]:
        return asks(self.projections, self.activations, self.layer, self.seed)

    def score(self, known: Known, gradients: GradientData, **more: HiddenData) -> np.ndarray:
        """Raises BadInput with fewer than 8 scorable known records a side."""
        found = features(gradients, more.get("hidden"), self.by, self.minimum_tokens)
        return logistic_scores(known, found, "white_box_logistic", self.seed)
