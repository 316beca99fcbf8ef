"""The handle of a model that reads a text into one vector: any local transformers encoder with its tokenizer.

The vector is the mean of the last layer's states over the text's tokens, padding left out, scaled to length 1, so that
the inner product of two vectors is the cosine of their angle.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..core.types import Sample, Samples, Site
from ._fingerprint import fingerprint, short_hash
from ._loading import load_parts

if TYPE_CHECKING:
    import torch


class TextEncoder:
    """An embedding model; the role it serves is ``encoder``. It is never audited itself."""

    modality = "text"

    def __init__(self, module: Any, tokenizer: Any, *, name: str = "encoder") -> None:
        self.module, self.tokenizer, self.name = module.eval(), tokenizer, name
        self.treatments: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str, *, device: str = "auto", dtype: str = "auto", allow_pickle: bool = False) -> TextEncoder:
        """An encoder by folder or hub id. Raises BadInput (missing, NaN weights), UnsafeModel (pickle, remote code)."""
        module, tokenizer = load_parts(
            path, device=device, dtype=dtype, allow_pickle=allow_pickle, trust_remote_code=False, kind="AutoModel"
        )
        if getattr(module, "pooler", None) is not None:  # not used here, and drawn at random where a folder has none
            module.pooler = None
        return cls(module, tokenizer, name=str(path))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every tensor's bytes and dtype, the configuration and the tokenizer."""
        return fingerprint(self.module, self.vocabulary_hash)

    @cached_property
    def vocabulary_hash(self) -> str:
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        return short_hash(backend.to_str() if backend is not None else sorted(self.tokenizer.get_vocab().items()))

    @property
    def vocabulary_size(self) -> int:
        return len(self.tokenizer.get_vocab())

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())

    @property
    def architecture(self) -> str:
        return type(self.module).__name__

    @property
    def context(self) -> int:
        """Tokens it can read at once; of a longer text it reads the beginning."""
        limit = getattr(self.module.config, "max_position_embeddings", None) or 1 << 30
        return int(min(limit, getattr(self.tokenizer, "model_max_length", None) or limit))

    def sites(self, kind: str) -> Sequence[Site]:
        """None: nothing is looked for inside an encoder."""
        return ()

    def clone(self) -> TextEncoder:
        """The same encoder: nothing here ever changes its weights."""
        return self

    def fit(self, samples: Samples, *, truncate: bool = False) -> Samples:
        """Unchanged: of a text that is too long the beginning is read."""
        return samples

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
