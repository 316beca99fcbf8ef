"""The handle of a masked language model (BERT, RoBERTa, ...): what else could have stood at a place of a text.

It is asked for one thing only, the distribution at every place of a text while the token there is partly hidden, and
serves as the source of near-identical texts. It is never audited itself: nothing here scores a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import BadInput, NotYetSupported
from ..core.types import Sample
from ._helper import HelperModel
from ._loading import load_parts

ENTRIES = {"cpu": 1 << 22, "cuda": 1 << 27}  # numbers in a block of logits (places, tokens, vocabulary) held at once


@dataclass(frozen=True)
class Places:
    """The tokens of a text and the characters they stand for. Special tokens stand for none: begin = end."""

    ids: np.ndarray  # (T,) int64
    begin: np.ndarray  # (T,) int64: characters
    end: np.ndarray  # (T,) int64


class MaskedLM(HelperModel):
    """A masked language model and its tokenizer."""

    @classmethod
    def load(
        cls,
        path: str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
    ) -> MaskedLM:
        """A model by folder or hub id. Raises BadInput (missing, NaN weights, no masked model), UnsafeModel."""
        module, tokenizer = load_parts(
            path,
            device=device,
            dtype=dtype,
            allow_pickle=allow_pickle,
            trust_remote_code=trust_remote_code,
            kind="AutoModelForMaskedLM",
        )
        if not getattr(tokenizer, "is_fast", False):
            raise NotYetSupported(f"{path}: its tokenizer does not say which characters a token stands for")
        return cls(module, tokenizer, name=str(path))

    @property
    def context(self) -> int:
        """Tokens it can read at once."""
        config = self.module.config
        padding = getattr(config, "pad_token_id", None)
        if getattr(config, "model_type", "") in COUNT_FROM_PADDING and padding is not None:
            room = config.max_position_embeddings - padding - 1  # positions there begin behind the padding's own
            return min(super().context, room)
        return super().context

    def width(self, sample: Sample) -> int:
        """Tokens the sample takes in a batch."""
        return len(self.places(sample.text).ids)

    def encode(self, sample: Sample) -> Any:
        """Raises BadInput: a masked language model gives no text a probability."""
        raise BadInput(f"{self.name}: a masked language model ({self.architecture}) can only be the masked model")

    def places(self, text: str) -> Places:
        """The first tokens of a text, as many as the model reads, and the special token it ends with."""
        out = self.tokenizer(text, return_offsets_mapping=True, verbose=False)
        spans = np.array(out["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        ids, kept = np.array(out["input_ids"], dtype=np.int64), np.arange(len(spans))
        if len(ids) > self.context:  # by hand: a tokenizer asked to cut remembers it, and its hash with it
            ends = spans[-1, 0] == spans[-1, 1]
            kept = np.append(kept[: self.context - 1], len(ids) - 1) if ends else kept[: self.context]
        return Places(ids[kept], spans[kept, 0], spans[kept, 1])

    def likely(self, ids: np.ndarray, at: np.ndarray, most: int, dropout: float, seed: int) -> tuple[Any, Any]:
        """The ``most`` likely tokens at places ``at`` other than the one there, and how likely: two (P, most) arrays.

        The probability is p(c) / (1 - p(x_j)): that of c given that it is not the token there. While place j is looked
        at, each number of its token's embedding is 0 with probability ``dropout`` and the others are divided by
        1 - dropout. The draw depends on ``seed`` and the place alone.
        """
        import torch

        vocabulary = self.module.config.vocab_size
        size = max(1, ENTRIES.get(self.device.type, ENTRIES["cuda"]) // max(1, len(ids) * vocabulary))
        parts = []
        with torch.inference_mode():
            own = torch.from_numpy(ids).to(self.device)
            embedded = self.module.get_input_embeddings()(own)  # (T, d)
            generator = torch.Generator().manual_seed(seed)
            keep = torch.rand(embedded.shape, generator=generator).to(self.device) >= dropout
            for part in np.array_split(at, max(1, -(-len(at) // size))):
                rows = torch.arange(len(part), device=self.device)
                where = torch.from_numpy(part).to(self.device)
                inputs = embedded.expand(len(part), *embedded.shape).clone()
                inputs[rows, where] = embedded[where] * keep[where] / max(1 - dropout, 1e-6)
                logits = self.module(inputs_embeds=inputs).logits[rows, where].float()
                logits[rows, own[where]] = -torch.inf
                top = torch.softmax(logits, dim=-1).topk(min(most, logits.shape[1] - 1), dim=-1)
                parts.append((top.indices.cpu().numpy(), top.values.cpu().numpy().astype(np.float64)))
        return np.concatenate([i for i, _ in parts]), np.concatenate([p for _, p in parts])


COUNT_FROM_PADDING = ("roberta", "xlm-roberta", "camembert", "longformer", "mpnet")


def is_masked(architectures: Sequence[str] | None) -> bool:
    """Does a configuration's list of architectures name a masked language model?

    >>> is_masked(["BertForMaskedLM"]), is_masked(["GPT2LMHeadModel"]), is_masked(None)
    (True, False, False)
    """
    return any(name.endswith("ForMaskedLM") for name in architectures or ())
