"""SimNPO (Fan, Liu, Lin, Jia, Zhang, Mei, Liu 2024): negative preference without a reference and without length bias.

    L = gamma * -(2 / beta) mean_i log sigmoid(beta CE_i - m) + alpha CE(R)
    CE_i = -log pi(y_i | x_i) / |y_i|,   m = margin

The push on a record ends when its mean loss CE_i is a few times 1 / beta above m / beta, however easy the text is, so
with margin 0 natural text is pushed too far: beta times the mean loss of comparable unseen text is a better margin.

Deviation of public code: it writes sigmoid(beta (CE_i - delta)), that is delta = m / beta.
``variant="open-unlearning"`` reads ``margin`` as delta. With margin 0 the two agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.errors import BadInput
from ...core.protocols import Loss
from ...core.registry import method
from ...core.types import Samples
from ...training.loop import Loop
from ..finetune import Finetune
from ._math import check_variant, cross_entropy, score_both

if TYPE_CHECKING:
    import torch


@method(paper="arXiv:2410.07163")
@dataclass(frozen=True)
class SimNPO:
    """Push each record's mean token probability down to a fixed level, without a reference model.

    ``beta``: how sharply the push ends. ``margin``: m above. ``gamma``, ``alpha``: weights of forget and retain.
    ``variant``: "paper", or "open-unlearning" where the margin stands inside the bracket.
    """

    beta: float = 4.5
    margin: float = 0.0
    gamma: float = 0.125
    alpha: float = 1.0
    variant: str = "paper"

    needs_retain: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_variant(self.variant)
        if self.beta <= 0:
            raise BadInput(f"beta is {self.beta}: expected a positive number")

    def loss(self, model: Any, frozen: Any, forget: Samples, retain: Samples) -> Loss:
        """Both terms from one forward pass; nothing is asked of the frozen model."""
        margin = self.margin if self.variant == "paper" else self.beta * self.margin
        f, r = score_both(model, forget, Samples() if self.alpha == 0 else retain)
        pushed = self.gamma * push(-f.sample_means(), self.beta, margin)
        return Loss(pushed, None if self.alpha == 0 else self.alpha * cross_entropy(r))


def push(loss: torch.Tensor, beta: float, margin: float) -> torch.Tensor:
    """-(2 / beta) mean log sigmoid(beta CE_i - margin): scalar from (n,) mean losses.

    >>> import torch
    >>> round(float(push(torch.tensor([0.5]), beta=2.0, margin=1.0)), 4)  # ln 2
    0.6931
    """
    import torch

    return -(2 / beta) * torch.nn.functional.logsigmoid(beta * loss - margin).mean()


def recipe(steps: int = 100, learning_rate: float = 1e-3) -> Finetune:
    """All weights, the authors' coefficients for a small forget set (TOFU forget05; 1e-5 at 7 B parameters, 10 epochs)."""
    return Finetune(SimNPO(beta=2.5, gamma=0.1375), loop=Loop(steps=steps, learning_rate=learning_rate))
