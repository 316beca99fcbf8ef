"""The handle of a model that reads a text into one vector: any local transformers encoder with its tokenizer.

The vector is the mean of the last layer's states over the text's tokens, padding left out, scaled to length 1, so that
the inner product of two vectors is the cosine of their angle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.types import Sample
from ._helper import HelperModel
from ._loading import load_parts

if TYPE_CHECKING:
    import torch


class TextEncoder(HelperModel):
    """An embedding model; the role it serves is ``encoder``. It is never audited itself."""

    @classmethod
    def load(cls, path: str, *, device: str = "auto", dtype: str = "auto", allow_pickle: bool = False) -> TextEncoder:
        """An encoder by folder or hub id. Raises BadInput (missing, NaN weights), UnsafeModel (pickle, remote code)."""
        module, tokenizer = load_parts(
            path, device=device, dtype=dtype, allow_pickle=allow_pickle, trust_remote_code=False, kind="AutoModel"
        )
        if getattr(module, "pooler", None) is not None:  # not used here, and drawn at random where a folder has none
            module.pooler = None
        return cls(module, tokenizer, name=str(path))

    def width(self, sample: Sample) -> int:
        """Tokens the sample takes in a batch."""
        return max(1, len(self._read([sample.text])[0]))

    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """Vectors of length 1: (B, d) float32. A text without tokens is the zero vector."""
        import torch

        rows = self._read(texts)
        width = max(1, max(map(len, rows), default=1))
        ids = torch.zeros((len(texts), width), dtype=torch.long, device=self.device)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)], mask[i, : len(row)] = torch.tensor(row, dtype=torch.long), 1
        with torch.inference_mode():
            states = self.module(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weight = mask[..., None].float()
        mean = (states * weight).sum(1) / weight.sum(1).clamp(min=1)
        return mean / mean.norm(dim=1, keepdim=True).clamp(min=1e-12)

    def _read(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids, cut to the context here: a tokenizer asked to cut remembers it, and its hash would change."""
        return [ids[: self.context] for ids in self.tokenizer(list(texts), verbose=False)["input_ids"]]
