"""What every handle of a transformers model and its tokenizer knows about itself."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from ._fingerprint import vocabulary_hash

if TYPE_CHECKING:
    import torch


class TextHandle:
    """``module`` and ``tokenizer``, and what is read off them alone."""

    modality = "text"
    module: Any
    tokenizer: Any

    @cached_property
    def vocabulary_hash(self) -> str:
        """Equal for two handles exactly when they cut text into the same ids."""
        return vocabulary_hash(self.tokenizer)

    @property
    def vocabulary_size(self) -> int:
        return len(self.tokenizer.get_vocab())

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())
