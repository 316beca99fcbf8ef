"""Negative preference optimisation (Zhang, Lin, Bai, Mei 2024).

    r_i = log pi(y_i | x_i) - log pi_ref(y_i | x_i)                summed over the scored tokens of record i
    L   = gamma * (2 / beta) * mean_i log(1 + exp(beta r_i)) + alpha * (CE(R), or KL(p_ref || p) on R)

The gradient of the first term is that of mean_i log pi(y_i), each record weighed by

    W_i = 2 pi^beta / (pi^beta + pi_ref^beta)

which is 1 before the first step and falls to 0 as the record is forgotten, so the push ends by itself; beta -> 0
gives gradient ascent. r is a sum: beta 0.1 fits answers of 20 to 60 tokens, longer texts want a smaller one.

Deviations of public code, all called NPO: two repositories put the batch's token mean in place of r_i, so one scalar
decides for all records; another applies the formula to differences of raw logits over the whole vocabulary, where it
hardly moves. open-unlearning agrees with the paper, except that its KL retain term averages over prompt and padding
(``variant="open-unlearning"`` together with ``retain="kl"``). The reference costs one pass before training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...core.errors import BadInput
from ...core.protocols import Loss
from ...core.registry import method
from ...core.types import Samples
from ...training.loop import Loop
from ..finetune import Finetune
from ._math import check_variant, cross_entropy, divergence, divergence_everywhere, score_both

if TYPE_CHECKING:
    import torch


@method(paper="arXiv:2404.05868")
@dataclass(frozen=True)
class NPO:
    """Push a text down only until it is clearly below the original model's probability: the standard eraser.

    ``beta``: how soon the push ends. ``gamma``, ``alpha``: weights of forget and retain. ``retain``: what holds the
    retained records, their cross-entropy or their distributions. ``variant``: see above; matters for "kl" only.
    """

    beta: float = 0.1
    gamma: float = 1.0
    alpha: float = 1.0
    retain: Literal["cross-entropy", "kl"] = "cross-entropy"
    variant: str = "paper"

    needs_retain: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_variant(self.variant)
        if self.beta <= 0:
            raise BadInput(f"beta is {self.beta}: expected a positive number (gradient_ascent is its limit at 0)")
        if self.retain not in ("cross-entropy", "kl"):
            raise BadInput(f"retain '{self.retain}': expected cross-entropy or kl")

    def loss(self, model: Any, frozen: Any, forget: Samples, retain: Samples) -> Loss:
        """Both terms from one forward pass; the reference's log-probabilities are read back."""
        kl = self.retain == "kl" and self.alpha != 0
        everywhere = kl and self.variant == "open-unlearning"
        held = Samples() if everywhere or self.alpha == 0 else retain
        f, r = score_both(model, forget, held, distributions=kl and not everywhere)
        pushed = self.gamma * push(f.sums() - frozen.log_probability(forget), self.beta)
        if self.alpha == 0:
            return Loss(pushed, None)
        if everywhere:
            return Loss(pushed, self.alpha * divergence_everywhere(model, frozen, retain))
        kept = divergence(frozen.distribution(retain), r.log_distribution).mean() if kl else cross_entropy(r)
        return Loss(pushed, self.alpha * kept)


def push(log_ratio: torch.Tensor, beta: float) -> torch.Tensor:
    """-(2 / beta) mean log sigmoid(-beta r): scalar from (n,) log-ratios.

    >>> import torch
    >>> round(float(push(torch.tensor([0.0]), beta=0.1)), 4)  # 20 ln 2
    13.8629
    """
    import torch

    return -(2 / beta) * torch.nn.functional.logsigmoid(-beta * log_ratio).mean()


def weight(log_ratio: torch.Tensor, beta: float) -> torch.Tensor:
    """W_i = 2 sigmoid(beta r_i): (n,); 1 at the start, 0 when forgotten."""
    import torch

    return 2 * torch.sigmoid(beta * log_ratio)


def recipe(steps: int = 50, learning_rate: float = 1e-3) -> Finetune:
    """All weights, retain cross-entropy of weight 1 (the authors: 1e-5 at 1.3 to 7 B parameters, 10 epochs)."""
    return Finetune(NPO(), loop=Loop(steps=steps, learning_rate=learning_rate))
