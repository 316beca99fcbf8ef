"""Representation misdirection, RMU (Li, Pan, Gopal and others 2024, the WMDP benchmark).

    h_t   output of decoder layer l at scored token t;   d its width;   c = s u / |u|,  u uniform on [0, 1)^d
    L     = mean_i (1 / n_i) sum_t |h_t(F_i) - c|^2 / d  +  alpha * the same of |h_t(R_i) - h_t^ref(R_i)|^2 / d

n_i is the number of scored tokens of record i. The forward pass stops at layer l. The authors move only the output
matrices of the MLPs of layers l-2 to l, which is what this objective selects where no selection is given.

Derived where not given, and reported with the result: l, the last layer of the first third (at 32 layers the 11th; the
authors took the 8th of 32), and s, twice the median norm of h_t on the forget set, because a steering strength has to be of
the size of the states it replaces.

Deviation of public code: open-unlearning divides the (B,) sums by the (B, 1) counts, which broadcasts to (B, B), so
every record is divided by every record's length; ``variant="open-unlearning"`` computes that. The authors' own release
averages over all positions, padding included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ...core.errors import BadInput
from ...core.protocols import Loss, Trainable
from ...core.registry import method
from ...core.types import Request, Samples
from ...training.loop import Loop
from ..finetune import Finetune
from ..selections._everything import only
from ._math import check_variant, cross_entropy

if TYPE_CHECKING:
    import torch


@method(paper="arXiv:2403.03218")
@dataclass(frozen=True)
class RMU:
    """Scramble the inner representation of the forgotten text at one layer, hold that of the rest.

    ``layer``: l, counted from 0. ``steering``: s. ``alpha``: weight of the retain term. ``retain``: what the retain
    term holds, hidden states or cross-entropy. ``seed``: draws u. ``reach``: MLPs that move, l and those before it.
    """

    layer: int | None = None
    steering: float | None = None
    alpha: float = 1.0
    retain: Literal["hidden", "cross-entropy"] = "hidden"
    seed: int = 0
    reach: int = 3
    variant: str = "paper"

    needs_retain: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_variant(self.variant)
        if self.retain not in ("hidden", "cross-entropy"):
            raise BadInput(f"retain '{self.retain}': expected hidden or cross-entropy")

    def loss(self, model: Any, frozen: Any, forget: Samples, retain: Samples) -> Loss:
        """Both terms from one forward pass to layer l, and one of the frozen model without gradients."""
        layer = frozen.once("rmu layer", lambda: self.at(model))
        control = frozen.once("rmu control", lambda: self._control(frozen, layer))
        held = retain if self.alpha != 0 and self.retain == "hidden" else Samples()
        hidden, scored = model.hidden_at(Samples([*forget, *held]), layer)
        n, reduce = len(forget), broadcast if self.variant == "open-unlearning" else by_record
        pushed = reduce((hidden[:n] - control).float().square().mean(-1), scored[:n])
        if self.alpha == 0:
            return Loss(pushed, None)
        if self.retain == "cross-entropy":
            return Loss(pushed, self.alpha * cross_entropy(model.score(retain)))
        before = frozen.hidden(held, layer)
        gap = hidden[n:, : before.shape[1]] - before  # the joined batch may be padded further than the retain batch
        return Loss(pushed, self.alpha * reduce(gap.float().square().mean(-1), scored[n:, : before.shape[1]]))

    def at(self, model: Any) -> int:
        """l: the layer given, or the last of the first third."""
        return math.ceil(model.layers / 3) - 1 if self.layer is None else self.layer

    def select(self, model: Any, request: Request) -> Trainable:
        """The authors' own selection: weights of the MLP output matrices of layers l - reach + 1 to l."""
        last = self.at(model)
        sites = [s for s in model.sites("mlp.down") if last - self.reach < s.layer <= last]
        return only(model, [f"{site.name}.weight" for site in sites])

    def _control(self, frozen: Any, layer: int) -> torch.Tensor:
        """c: (d,)."""
        import torch

        strength = self.steering
        if strength is None:
            strength = frozen.once("rmu steering", lambda: 2 * _median_norm(frozen.model, frozen.request.forget, layer))
        like = next(frozen.model.module.parameters())
        width = frozen.model.module.config.get_text_config().hidden_size
        u = torch.from_numpy(np.random.RandomState(self.seed).rand(width)).float().to(like.device)
        return strength * u / u.norm()


def by_record(error: torch.Tensor, scored: torch.Tensor) -> torch.Tensor:
    """mean_i (1 / n_i) sum_t e_it over scored tokens: scalar from (B, T) and its mask.

    >>> import torch
    >>> e, mask = torch.tensor([[2.0, 4.0], [8.0, 9.0]]), torch.tensor([[True, True], [True, False]])
    >>> float(by_record(e, mask)), float(broadcast(e, mask))  # (3 + 8) / 2;  mean of 6/2, 8/2, 6/1, 8/1
    (5.5, 5.25)
    """
    return ((error * scored).sum(1) / scored.sum(1).clamp(min=1)).mean()


def broadcast(error: torch.Tensor, scored: torch.Tensor) -> torch.Tensor:
    """mean_ij s_i / n_j, the public code's reduction: equal to ``by_record`` only for records of equal length or error."""
    return ((error * scored).sum(1)[None, :] / scored.sum(1).clamp(min=1)[:, None]).mean()


def _median_norm(model: Any, samples: Samples, layer: int) -> float:
    """Median of |h_t| over the scored tokens of up to 32 records."""
    import torch

    if not samples:
        raise BadInput("rmu derives its steering strength from the forget set, which is empty: set steering")
    with torch.no_grad():
        hidden, scored = model.hidden_at(samples.take(range(min(32, len(samples)))), layer)
    return float(hidden.float().norm(dim=-1)[scored].median())


def recipe(steps: int = 100, learning_rate: float = 3e-3) -> Finetune:
    """MLP output matrices of three layers (the authors: 5e-5 at 7 B parameters, 80 to 150 batches of 4, alpha 100 to 1200)."""
    return Finetune(RMU(), loop=Loop(steps=steps, learning_rate=learning_rate))
