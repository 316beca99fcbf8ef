"""Gradient ascent on the forget set (Jang, Yoon, Yang, Cha, Lee, Logeswaran, Seo 2023).

    L = -CE(F),   CE = mean over the scored tokens of the batch of -log p

The cross-entropy has no upper bound, so the push never ends and the model collapses within a few dozen steps; the
authors stop by hand once the text is remembered no better than unseen text. The bounded form does that by itself:

    L = mean over records of max(0, m - CE_i),   m = ``maximum_loss``

with m the mean loss of comparable text the model never saw. Public code agrees with the first formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.protocols import Loss
from ...core.registry import method
from ...core.types import Samples
from ...training.loop import Loop
from ..finetune import Finetune

if TYPE_CHECKING:
    import torch


@method(paper="arXiv:2210.01504")
@dataclass(frozen=True)
class GradientAscent:
    """Ascend the loss on the forget set: fast, and the usual way to break a model.

    ``maximum_loss``: nats a token at which a record is left alone; None: never, as in the paper.
    """

    maximum_loss: float | None = None

    needs_retain: ClassVar[bool] = False

    def loss(self, model: Any, frozen: Any, forget: Samples, retain: Samples) -> Loss:
        """Forget term only; ``retain`` is not read."""
        scored = model.score(forget)
        if self.maximum_loss is None:
            return Loss(scored.token_mean(), None)
        return Loss(bounded(-scored.sample_means(), self.maximum_loss), None)


def bounded(loss: torch.Tensor, maximum: float) -> torch.Tensor:
    """mean max(0, maximum - loss_i): scalar.

    >>> import torch
    >>> float(bounded(torch.tensor([1.0, 5.0]), maximum=3.0))  # (2 + 0) / 2
    1.0
    """
    return (maximum - loss).clamp(min=0).mean()


def recipe(steps: int = 30, learning_rate: float = 3e-4) -> Finetune:
    """All weights, small steps, stopped early by their number (the authors: batch 32, 5e-5 at 125 M to 2.7 B parameters)."""
    return Finetune(GradientAscent(), loop=Loop(steps=steps, learning_rate=learning_rate))
