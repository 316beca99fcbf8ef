"""Low-rank adapters, merged at the end (Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang, Chen 2021).

    W' = W + (alpha / r) B A,   B: (out, r), zero at the start;  A: (r, in), random;  alpha = 2 r

Only A and B are trained. The student shares every base tensor with the caller's handle, which answers as the frozen
reference without a second model. The result is merged in float32 into weights of its own: an erasure handed over as a
detachable adapter would leave the content in the base model.

Deviation from the paper, which adapts the attention projections: the matrices of the MLP take part too, because that
is where erasing recipes for language models place them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ...core.errors import BadInput
from ...core.protocols import Trainable
from ...core.registry import method
from ...core.types import Request
from ...models import adapters

_KINDS = {
    "attention": ("attention.query_key_value", "attention.output"),
    "mlp": ("mlp.up", "mlp.down"),
}


@method(paper="arXiv:2106.09685")
@dataclass(frozen=True)
class Lora:
    """Low-rank adapters beside the chosen matrices, merged at the end.

    ``rank``: r; a rank too low may never reach forgetting, raise it before the learning rate. ``targets``: which
    matrices. ``seed``: draws A. Changed entries of W: all of the targets', through a change of rank r; nothing else.
    """

    rank: int = 8
    targets: Literal["attention+mlp", "attention", "mlp"] = "attention+mlp"
    seed: int = 0

    def select(self, model: Any, request: Request) -> Trainable:
        """A student with fresh adapters. Raises BadInput on unknown targets or a rank below 1."""
        groups = self.targets.split("+")
        if not set(groups) <= set(_KINDS):
            raise BadInput(f"targets '{self.targets}': expected attention+mlp, attention or mlp")
        names = [site.name for group in groups for kind in _KINDS[group] for site in model.sites(kind)]
        student = adapters.attach(model, names, rank=self.rank, alpha=2 * self.rank, seed=self.seed)
        return Trainable(student, {}, adapters.merge)
