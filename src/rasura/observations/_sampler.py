"""What a sampler draws from: the model's distribution after temperature, top-k and top-p, renormalised.

In this order, as Hugging Face transformers does:

    z_v     <- z_v / temperature
    top-k:  keep v with z_v >= the k-th largest z                                 (ties at the k-th place all stay)
    top-p:  sort what is left ascending by probability, drop v while the running sum is <= 1 - p; the last one stays
    log p_g(v) = log-softmax of what is left, -inf for what was dropped

``temperature`` 0 is greedy decoding: all mass on the largest z, on the smallest id where several tie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.errors import BadInput

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Sampler:
    """Settings of a sampler. ``top_k`` 0 and ``top_p`` 1 truncate nothing."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise BadInput(f"temperature {self.temperature}: must be 0 (greedy) or more")
        if self.top_k < 0:
            raise BadInput(f"top_k {self.top_k}: must be 0 (no truncation) or more")
        if not 0 < self.top_p <= 1:
            raise BadInput(f"top_p {self.top_p}: must be above 0 and at most 1 (no truncation)")

    def log_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """log p_g over the vocabulary: (N, V) to (N, V), float32, -inf where truncated.

        By hand, from probabilities 4/8, 3/8, 1/8: top-k 2 leaves 4/7 and 3/7; top-p .5 drops 1/8 (sum 1/8 <= 1/2) and
        3/8 (sum 4/8 <= 1/2).

        >>> import torch
        >>> z = torch.log(torch.tensor([[4.0, 3.0, 1.0]]) / 8)
        >>> Sampler(top_k=2).log_probabilities(z).exp().mul(7).round(decimals=4).tolist()
        [[4.0, 3.0, 0.0]]
        >>> Sampler(top_p=0.5).log_probabilities(z).exp().tolist()
        [[1.0, 0.0, 0.0]]
        """
        import torch

        if self.temperature == 0:
            best = logits == logits.amax(-1, keepdim=True)
            first = best & (best.cumsum(-1) == 1)
            return torch.zeros_like(logits, dtype=torch.float32).masked_fill(~first, -torch.inf)
        z = logits.float() / self.temperature
        if 0 < self.top_k < z.shape[-1]:
            z = z.masked_fill(z < z.topk(self.top_k, dim=-1).values[:, -1:], -torch.inf)
        if self.top_p < 1:
            z = z.masked_fill(_tail(z, self.top_p), -torch.inf)
        return torch.log_softmax(z, dim=-1)


def _tail(z: torch.Tensor, top_p: float) -> torch.Tensor:
    """True where a token lies in the tail that top-p drops: (N, V)."""
    ordered, order = z.sort(dim=-1, stable=True)
    drop = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
    drop[:, -1] = False
    return drop.scatter(1, order, drop)
