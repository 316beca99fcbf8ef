"""Cross-attention, the layers through which a prompt reaches the picture (Gandikota and others 2023, ESD-x)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...core.errors import BadInput
from ...core.protocols import Trainable
from ...core.registry import method
from ...core.types import Request
from ._everything import only
from ._unet import within

_KINDS = {"all": "cross_attention", "key_value": "cross_attention.key_value"}


@method(paper="arXiv:2303.07345")
@dataclass(frozen=True)
class CrossAttention:
    """Only the U-Net's cross-attention may move: what a word does, not what can be drawn.

    ``parts``: "all" four projections of every attn2 (ESD-x), or its "key_value" matrices alone (ESD-x strict, concept
    ablation's default, and what the closed-form edits change), 2 % of a Stable Diffusion U-Net.
    """

    parts: Literal["all", "key_value"] = "all"

    modality: ClassVar[str] = "images"

    def select(self, model: Any, request: Request) -> Trainable:
        """A copy in which those weights may move. Raises BadInput, NotYetSupported when no such layer is found."""
        if self.parts not in _KINDS:
            raise BadInput(f"parts '{self.parts}': expected all or key_value")
        return only(model, within(model, _KINDS[self.parts]))
