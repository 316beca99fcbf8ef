"""Low-rank adapters, merged at the end (Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang, Chen 2021).

    W' = W + (alpha / r) B A,   B: (out, r), zero at the start;  A: (r, in), random;  alpha = 2 r

Only A and B are trained. The student shares every base tensor with the caller's handle, which answers as the frozen
reference without a second model. The result is merged in float32 into weights of its own: an erasure handed over as a
detachable adapter would leave the content in the base model.

Deviation from the paper, which adapts the attention projections: the matrices of the MLP take part too, because that
is where erasing recipes for language models place them. In a text-to-image model cross-attention is adapted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...core.errors import BadInput
from ...core.protocols import Trainable
from ...core.registry import method
from ...core.types import Request
from ...models import adapters

_KINDS = {
    "attention": ("attention.query_key_value", "attention.output"),
    "mlp": ("mlp.up", "mlp.down"),
}
_IMAGE_KINDS = {
    "cross_attention": ("cross_attention",),
    "cross_attention.key_value": ("cross_attention.key_value",),
    "self_attention": ("self_attention",),
    "feed_forward": ("feed_forward.in", "feed_forward.out"),
}


@method(paper="arXiv:2106.09685")
@dataclass(frozen=True)
class Lora:
    """Low-rank adapters beside the chosen matrices, merged at the end.

    ``rank``: r; a rank too low may never reach forgetting, raise it before the learning rate. ``targets``: which
    matrices of a language model. ``image_targets``: which of a U-Net, several joined by +: cross_attention,
    cross_attention.key_value, self_attention, feed_forward. ``seed``: draws A. Changed entries of W: all of the targets', through a change of rank r; nothing else.
    """

    rank: int = 8
    targets: Literal["attention+mlp", "attention", "mlp"] = "attention+mlp"
    seed: int = 0
    image_targets: str = "cross_attention"

    modality: ClassVar[str] = "any"
    testbed_loop: ClassVar[Mapping[str, float]] = {"learning_rate": 3e-3}  # on images: B starts at zero

    def select(self, model: Any, request: Request) -> Trainable:
        """A student with fresh adapters. Raises BadInput on unknown targets or a rank below 1."""
        names = [site.name for kind in self._kinds(model) for site in model.sites(kind)]
        student = adapters.attach(model, names, rank=self.rank, alpha=2 * self.rank, seed=self.seed)
        return Trainable(student, {}, adapters.merge)

    def _kinds(self, model: Any) -> list[str]:
        """Kinds of sites to adapt."""
        images = model.modality == "images"
        known, asked = (_IMAGE_KINDS, self.image_targets) if images else (_KINDS, self.targets)
        groups = asked.split("+")
        if not set(groups) <= set(known):
            wanted = f"one or more of {', '.join(known)}" if images else "attention+mlp, attention or mlp"
            raise BadInput(f"{'image_' if images else ''}targets '{asked}': expected {wanted}")
        return [kind for group in groups for kind in known[group]]
