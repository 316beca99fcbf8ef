"""A language model that reads a few vectors before every text: the same weights under a soft prompt.

The vectors stand in front of the token embeddings, at positions 0 to k - 1, and are attended to by every token. They
are no tokens: nothing can say them, and nothing is scored at them. The handle answers like any other, so passes that
score or generate work on it unchanged, and gradients reach the vectors.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput
from ..core.types import Sample
from ._fingerprint import short_hash
from .causal_lm import CausalLM, Encoded

if TYPE_CHECKING:
    import torch


class SoftPrompted(CausalLM):
    """``model`` under a soft prompt ``vectors`` (k, d), d the width of its token embeddings; weights are shared."""

    def __init__(self, model: CausalLM, vectors: torch.Tensor) -> None:
        width = embedding(model).weight.shape[1]
        if vectors.ndim != 2 or vectors.shape[1] != width:
            raise BadInput(
                f"a soft prompt of shape {tuple(vectors.shape)}: this model's embeddings have {width} entries"
            )
        line = f"soft prompt of {len(vectors)} vectors"
        super().__init__(model.module, model.tokenizer, name=model.name, treatments=(*model.treatments, line))
        self.plain, self.vectors = model, vectors

    @property
    def base(self) -> Any:
        return _Base(self.plain.base, self.vectors)

    @property
    def fingerprint(self) -> str:
        content = hashlib.blake2b(self.vectors.detach().float().cpu().numpy().tobytes(), digest_size=16).hexdigest()
        return short_hash([self.plain.fingerprint, list(self.vectors.shape), content])

    @property
    def context(self) -> int:
        return self.plain.context - len(self.vectors)

    def encode(self, sample: Sample) -> Encoded:
        """As without the prompt: a record that fits the model may be longer than what the prompt leaves of it."""
        return self.plain.encode(sample)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.plain.logits(hidden)

    def clone(self) -> CausalLM:
        return SoftPrompted(self.plain.clone(), self.vectors.detach().clone())


def embedding(model: CausalLM) -> Any:
    """The token embedding of a model."""
    return model.base.get_input_embeddings()


def first_rows(model: CausalLM, count: int) -> torch.Tensor:
    """The first ``count`` rows of the token embedding, a copy in float32: where a soft prompt starts from."""
    table = embedding(model).weight
    if not 1 <= count <= min(len(table), model.context - 2):
        raise BadInput(
            f"a soft prompt of {count} vectors: expected 1 to {min(len(table), model.context - 2)}, because the model "
            f"reads {model.context} tokens and has {len(table)} of them"
        )
    return table[:count].detach().float().clone()


class _Base:
    """A transformers model whose body reads the soft prompt first; everything else is the model's own."""

    def __init__(self, inner: Any, vectors: torch.Tensor) -> None:
        self.inner, self.base_model = inner, _Body(inner, vectors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class _Body:
    """The decoder called with k more positions in front, which its answer leaves out again."""

    def __init__(self, inner: Any, vectors: torch.Tensor) -> None:
        self.body, self.table, self.vectors = inner.base_model, inner.get_input_embeddings(), vectors
        self.forward = self.body.forward  # whose signature says whether positions are taken

    def __call__(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None,
        past_key_values: Any = None,
        position_ids: torch.Tensor | None = None,
        **settings: Any,
    ) -> Any:
        import torch

        k, rows = len(self.vectors), len(input_ids)
        if attention_mask is not None:
            settings["attention_mask"] = torch.cat([attention_mask.new_ones(rows, k), attention_mask], dim=1)
        if past_key_values is not None:
            if position_ids is not None:
                settings["position_ids"] = position_ids + k
            return self.body(input_ids=input_ids, past_key_values=past_key_values, **settings)
        if position_ids is not None:
            front = torch.arange(k, device=input_ids.device).expand(rows, k)
            settings["position_ids"] = torch.cat([front, position_ids + k], dim=1)
        tokens = self.table(input_ids)
        soft = self.vectors.to(tokens.dtype).expand(rows, -1, -1)
        out = self.body(inputs_embeds=torch.cat([soft, tokens], dim=1), **settings)
        out.last_hidden_state = out.last_hidden_state[:, k:]
        return out
