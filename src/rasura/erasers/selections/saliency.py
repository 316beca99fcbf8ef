"""Saliency masks: only the weights on which the forgotten text depends most (Fan, Liu, Zhang, Wong, Wei, Liu 2024).

    G = sum over forget batches of the gradient of CE at the original weights        (signed, then |G|)
    a weight may move when |G| is in the top ``share`` over all weights ranked together

The ranking is global, so a tensor may be left with few weights or none. Deviations from the authors' code, made for
language models: embeddings take no part by default (each row is touched by its own token only, so its gradient says
which words occur, not what was memorised), a weight whose gradient is exactly zero is never chosen, and text that is
memorised perfectly has almost no gradient: the mask is weakest exactly there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core.errors import BadInput
from ...core.protocols import Trainable
from ...core.registry import method
from ...core.types import Request
from ._everything import loosened

if TYPE_CHECKING:
    import torch


@method(paper="arXiv:2310.12508")
@dataclass(frozen=True)
class Saliency:
    """The weights on which the forget set depends most: top half by absolute summed gradient.

    ``share``: share of the ranked weights that may move. ``embeddings``: whether token embeddings are ranked too.
    ``batch``: records a backward pass; the sum is signed between batches.
    """

    share: float = 0.5
    embeddings: bool = False
    batch: int = 8

    def select(self, model: Any, request: Request) -> Trainable:
        """Boolean masks by parameter name. Raises BadInput on a share outside (0, 1] or an empty forget set."""
        if not 0 < self.share <= 1:
            raise BadInput(f"share is {self.share}: expected more than 0, at most 1")
        if not request.forget:
            raise BadInput("saliency ranks weights by the forget set, which is empty")
        student = model.clone()
        held = set() if self.embeddings else {f"{site.name}.weight" for site in student.sites("embedding")}
        for name, parameter in student.module.named_parameters():
            parameter.requires_grad_(name not in held)
            parameter.grad = None
        for at in range(0, len(request.forget), self.batch):
            part = request.forget.take(range(at, min(at + self.batch, len(request.forget))))
            (-student.score(part).token_mean()).backward()
        named = {name: p for name, p in student.module.named_parameters() if p.requires_grad}
        saliency = {n: (p.new_zeros(p.shape) if p.grad is None else p.grad).float().abs() for n, p in named.items()}
        student.module.zero_grad(set_to_none=True)
        return Trainable(student, top(saliency, self.share), loosened)


def top(saliency: dict[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    """Masks of the largest ``share`` of all entries together; ties at the border are all in, zeros never.

    >>> import torch
    >>> masks = top({"a": torch.tensor([4.0, 1.0]), "b": torch.tensor([3.0, 0.0])}, share=0.5)
    >>> masks["a"].tolist(), masks["b"].tolist()
    ([True, False], [True, False])
    """
    import torch

    flat = torch.cat([s.flatten() for s in saliency.values()])
    keep = max(1, round(share * len(flat)))
    border = flat.kthvalue(len(flat) - keep + 1).values
    return {name: (s >= border) & (s > 0) for name, s in saliency.items()}
