"""Gradient difference (Liu, Liu, Stone 2022): ascent on what must go, training on what must stay.

    L = -gamma CE(F) + alpha CE(R),   CE = mean over the scored tokens of the batch of -log p

The forget term is still unbounded: with enough steps it wins. Retained records should include near neighbours of the
forgotten ones, or those go too. Public code agrees with this formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...core.protocols import Loss
from ...core.registry import method
from ...core.types import Samples
from ...training.loop import Loop
from ..finetune import Finetune
from ._math import cross_entropy, score_both


@method(paper="arXiv:2203.12817")
@dataclass(frozen=True)
class GradientDifference:
    """Ascend the loss on the forget set while descending it on the retain set.

    ``gamma``: weight of the forget term. ``alpha``: weight of the retain term.

    With token losses of 2 nats on F and 3 on R, L = -1 * 2 + 1 * 3 = 1:

    >>> import torch
    >>> from rasura.models.causal_lm import Scored
    >>> f = Scored(torch.tensor([-2.0, -2.0]), torch.tensor([0, 0]), 1)
    >>> r = Scored(torch.tensor([-3.0]), torch.tensor([0]), 1)
    >>> terms = GradientDifference().terms(f, r)
    >>> float(terms.forget + terms.retain)
    1.0
    """

    gamma: float = 1.0
    alpha: float = 1.0

    needs_retain: ClassVar[bool] = True

    def loss(self, model: Any, frozen: Any, forget: Samples, retain: Samples) -> Loss:
        """Both terms from one forward pass."""
        return self.terms(*score_both(model, forget, retain))

    def terms(self, forget: Any, retain: Any) -> Loss:
        """The formula on two ``Scored``."""
        return Loss(-self.gamma * cross_entropy(forget), self.alpha * cross_entropy(retain))


def recipe(steps: int = 50, learning_rate: float = 3e-4) -> Finetune:
    """All weights, forget and retain weighed alike (the benchmarks: 1e-5 at 7 B parameters, 10 epochs, batch 32)."""
    return Finetune(GradientDifference(), loop=Loop(steps=steps, learning_rate=learning_rate))
