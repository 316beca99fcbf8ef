"""Prompts as a text-to-image model reads them: tokens, which of them are words, and what the text encoders answer.

Positions of a prompt of n tokens: 0 the start token, 1..n its words, n + 1 the first end token, then padding up to the
encoder's width L. CLIP pads with end tokens, and as its encoder is causal these carry the words too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Embedded:
    """Prompts after the text encoders. ``hidden`` is what cross-attention reads."""

    hidden: torch.Tensor  # (B, L, d)
    pooled: torch.Tensor | None  # (B, p): SDXL's second encoder, else None
    prompts: tuple[str, ...]  # as they were asked; "" where only an embedding is known

    def __len__(self) -> int:
        return len(self.hidden)

    def rows(self, indices: Any) -> Embedded:
        """Some of them, in that order, with repeats where asked for."""
        index = [int(i) for i in indices]
        pooled = None if self.pooled is None else self.pooled[index]
        return Embedded(self.hidden[index], pooled, tuple(self.prompts[i] for i in index))

    def repeat(self, k: int) -> Embedded:
        """Each row k times, neighbours together."""
        return self.rows([i for i in range(len(self)) for _ in range(k)])

    def with_hidden(self, hidden: torch.Tensor) -> Embedded:
        return replace(self, hidden=hidden)

    def detach(self) -> Embedded:
        return Embedded(self.hidden.detach(), None if self.pooled is None else self.pooled.detach(), self.prompts)


def join(parts: Sequence[Embedded]) -> Embedded:
    """Rows of several, one after the other."""
    import torch

    pooled = None if parts[0].pooled is None else torch.cat([p.pooled for p in parts])  # type: ignore[misc]
    return Embedded(torch.cat([p.hidden for p in parts]), pooled, tuple(t for p in parts for t in p.prompts))


@dataclass(frozen=True)
class Tokens:
    """One prompt under one tokenizer."""

    ids: tuple[int, ...]  # L entries: start, words, end, padding
    pieces: tuple[str, ...]  # the word tokens as text, without end-of-word marks
    words: range  # positions of the word tokens: 1..n

    @property
    def end(self) -> int:
        """Position of the first end token."""
        return self.words.stop


def tokens(tokenizer: Any, prompt: str, truncate: bool = False) -> Tokens:
    """Raises BadInput when the prompt has more word tokens than the encoder reads."""
    width = tokenizer.model_max_length
    ids = tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
    if len(ids) > width - 2 and not truncate:
        raise BadInput(
            f"a prompt has {len(ids)} tokens, the text encoder reads {width - 2}; pass --truncate to use the first {width - 2}"
        )
    ids = ids[: width - 2]
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    full = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
    pieces = tuple(str(p).removesuffix("</w>") for p in tokenizer.convert_ids_to_tokens(ids))
    return Tokens(tuple(full + [pad] * (width - len(full))), pieces, range(1, len(ids) + 1))


def span(tokenizer: Any, prompt: str, phrase: str) -> range:
    """Positions of the last occurrence of a phrase's tokens in a prompt; an empty range when it is not in it."""
    whole = tokens(tokenizer, prompt)
    part = tokens(tokenizer, phrase)
    words, wanted = [whole.ids[i] for i in whole.words], [part.ids[i] for i in part.words]
    for at in range(len(words) - len(wanted), -1, -1):
        if wanted and words[at : at + len(wanted)] == wanted:
            return range(1 + at, 1 + at + len(wanted))
    return range(0)


def encode(encoder: Any, ids: torch.Tensor, vectors: torch.Tensor | None = None, where: Any = None) -> Any:
    """A CLIP text encoder's full answer to (B, L) ids.

    ``vectors``: (B, k, e) token vectors put in place of the embeddings at positions ``where``, (B, k) integers: how soft
    words reach an encoder without its being rewritten.
    """
    import torch

    hook = None
    if vectors is not None:
        rows = torch.arange(len(ids), device=ids.device)[:, None]

        def put(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            output = output.clone()
            output[rows, where] = vectors.to(output.dtype)
            return output

        hook = encoder.get_input_embeddings().register_forward_hook(put)
    try:
        return encoder(ids, output_hidden_states=True)
    finally:
        if hook is not None:
            hook.remove()
