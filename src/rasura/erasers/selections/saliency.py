"""Saliency masks: only the weights on which the forgotten records depend most (Fan, Liu, Zhang, Wong, Wei, Liu 2024).

    G = sum over forget batches of the gradient of the loss at the original weights        (signed, then |G|)
    a weight may move when |G| is in the top ``share`` over all weights ranked together

The ranking is global, so a tensor may be left with few weights or none. Deviations from the authors' code, made for
language models: embeddings take no part by default (each row is touched by its own token only, so its gradient says
which words occur, not what was memorised), a weight whose gradient is exactly zero is never chosen, and text that is
memorised perfectly has almost no gradient: the mask is weakest exactly there.

The loss is CE for language. For a text-to-image model it is mean |eps - eps_theta(x_t, t, c)|^2 over the U-Net's weights, x_t
from the forget set's pictures, or from pictures that the model itself draws for its prompts where there are none. The
authors' scripts put the guided prediction in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.errors import BadInput
from ...core.protocols import Trainable
from ...core.registry import method
from ...core.types import Request, Samples
from ...training.frozen_images import Dice, clean_latents, denoising_loss
from ...training.kinds import kind_of
from ._everything import loosened

if TYPE_CHECKING:
    import torch


@method(paper="arXiv:2310.12508")
@dataclass(frozen=True)
class Saliency:
    """The weights on which the forget set depends most: top half by absolute summed gradient.

    ``share``: share of the ranked weights that may move. ``embeddings``: whether a language model's token embeddings are
    ranked too. ``batch``: records a backward pass; the sum is signed between batches. ``draws``: timesteps and noises a
    picture is looked at with; ``seed`` draws them.
    """

    share: float = 0.5
    embeddings: bool = False
    batch: int = 8
    draws: int = 8
    seed: int = 0

    modality: ClassVar[str] = "any"
    reaches_every_layer: ClassVar[str] = "ranks all weights of the U-Net, whatever the layers are called"

    def select(self, model: Any, request: Request) -> Trainable:
        """Boolean masks by parameter name. Raises BadInput on a share outside (0, 1] or an empty forget set."""
        if not 0 < self.share <= 1:
            raise BadInput(f"share is {self.share}: expected more than 0, at most 1")
        if not request.forget:
            raise BadInput("saliency ranks weights by the forget set, which is empty")
        student = model.clone()
        held = self._held(student)
        for name, parameter in student.module.named_parameters():
            parameter.requires_grad_(name not in held)
            parameter.grad = None
        for at in range(0, len(request.forget), self.batch):
            part = request.forget.take(range(at, min(at + self.batch, len(request.forget))))
            self._backward(model, student, part, at)
        named = {name: p for name, p in student.module.named_parameters() if p.requires_grad}
        saliency = {n: (p.new_zeros(p.shape) if p.grad is None else p.grad).float().abs() for n, p in named.items()}
        student.module.zero_grad(set_to_none=True)
        return Trainable(student, top(saliency, self.share), loosened)

    def _held(self, student: Any) -> set[str]:
        """Names of parameters that are not ranked and do not move."""
        if student.modality == "images":
            return {name for name, _ in student.named_parameters() if not name.startswith("unet.")}
        return set() if self.embeddings else {f"{site.name}.weight" for site in student.sites("embedding")}

    def _backward(self, model: Any, student: Any, part: Samples, at: int) -> None:
        """Add a batch's gradient to what is there."""
        if student.modality != "images":
            kind_of(student).loss(student, part).backward()
            return
        latents = self._latents(model, part)
        for k in range(self.draws):
            dice = Dice(self.seed, at * self.draws + k, "saliency")
            (denoising_loss(student, part, latents, dice) / self.draws).backward()

    def _latents(self, model: Any, part: Samples) -> torch.Tensor:
        """Clean latents of a batch: its pictures, or pictures the model draws for its prompts."""
        import torch

        if all(s.picture is not None for s in part):
            return clean_latents(model, part)
        with torch.no_grad():
            seeds = [int(s.digest[:8], 16) for s in part]
            return model.sample(model.embed(part.texts), seeds)


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
