"""The handle of a language model: any ``AutoModelForCausalLM`` with its tokenizer.

Everything the house asks of a language model goes through this file: tokens and which of them are scored, one forward
pass with the output matrix applied to scored positions only, hidden states with the forward stopped at the layer
asked for, a content fingerprint, cloning, saving. Batches are padded on the right; padding is never attended to and
never scored, and tokens keep the special tokens their own tokenizer puts in front of a text.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import BadInput, NotYetSupported
from ..core.types import Sample, Samples, Site
from . import _encoding
from . import sites as _sites
from ._encoding import ENCODED_KEPT, TOGETHER, Encoded, Tokens, arrays, even_order, even_parts, tokens_of
from ._fingerprint import fingerprint, short_hash
from ._handle import TextHandle
from ._loading import load_parts, quiet_library
from ._shortcuts import head_is_plain, padding_is_unseen
from ._stopped import forward_to

if TYPE_CHECKING:
    import torch

HEAD_CHUNK = {"cpu": 1 << 18, "cuda": 1 << 26}  # entries of a block of logits: on a CPU, what a cache holds
GRADIENT_ENTRIES = 1 << 26  # logits of a batch that gradients may keep: 256 MB, and as much again on the way back
HEAD_ROWS = 128  # but at least these: with fewer the output matrix is read from memory more often than it is used


def _key(sample: Sample) -> tuple[str, int, int | None]:
    """What the tokens of a sample depend on."""
    return sample.text, sample.start, sample.secret


@dataclass(frozen=True)
class Scored:
    """Log-probabilities of scored tokens, flat over a batch; keeps gradients.

    ``row`` says which sample a token belongs to; ``n`` is the number of samples.
    """

    log_probability: torch.Tensor  # (tokens,)
    row: torch.Tensor  # (tokens,) int64
    n: int
    log_distribution: torch.Tensor | None = None  # (tokens, vocabulary), only where asked for

    def sums(self) -> torch.Tensor:
        """log pi(y | x) a sample: (n,)."""
        return self.log_probability.new_zeros(self.n).index_add(0, self.row, self.log_probability)

    def counts(self) -> torch.Tensor:
        """Scored tokens a sample: (n,)."""
        return self.log_probability.new_zeros(self.n).index_add(
            0, self.row, self.log_probability.detach().new_ones(len(self.row))
        )

    def token_mean(self) -> torch.Tensor:
        """Mean log-probability over all scored tokens of the batch: scalar. Long samples weigh more."""
        return self.log_probability.mean()

    def sample_means(self) -> torch.Tensor:
        """Mean log-probability of each sample: (n,)."""
        return self.sums() / self.counts().clamp(min=1)

    def split(self, k: int) -> tuple[Scored, Scored]:
        """The first k samples, and the rest."""
        head, tail = self.row < k, self.row >= k
        distributions = (
            (None, None)
            if self.log_distribution is None
            else (self.log_distribution[head], self.log_distribution[tail])
        )
        return (
            Scored(self.log_probability[head], self.row[head], k, distributions[0]),
            Scored(self.log_probability[tail], self.row[tail] - k, self.n - k, distributions[1]),
        )


class CausalLM(TextHandle):
    """A causal language model and its tokenizer.

    ``treatments``: descriptions of what was done to the weights or the behaviour since loading, part of the record.
    """

    cuts_batches = True  # where texts get shorter; off while several processes have to make equal passes

    def __init__(self, module: Any, tokenizer: Any, *, name: str = "model", treatments: tuple[str, ...] = ()) -> None:
        self.module = module.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.treatments = treatments
        self._encoded: dict[tuple[str, int, int | None], Encoded] = {}
        self._noise: str = ""  # set while weights are perturbed in place

    @classmethod
    def load(
        cls,
        path: str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
    ) -> CausalLM:
        """A model by folder or hub id. Raises BadInput (missing, NaN weights, ids beyond the embedding), UnsafeModel."""
        module, tokenizer = load_parts(
            path, device=device, dtype=dtype, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code
        )
        return cls(module, tokenizer, name=str(path))

    # what it is

    @property
    def fingerprint(self) -> str:
        """Hash of every tensor's bytes and dtype, the configuration, the tokenizer, and noise in force."""
        return short_hash([self._weights_fingerprint, self._noise]) if self._noise else self._weights_fingerprint

    @cached_property
    def _weights_fingerprint(self) -> str:
        return fingerprint(self.module, self.vocabulary_hash)

    def weights_changed(self) -> None:
        """Tell the handle that its weights were changed in place: the next fingerprint is computed anew."""
        self.__dict__.pop("_weights_fingerprint", None)

    @property
    def context(self) -> int:
        """Tokens the model can read at once."""
        config = self.module.config.get_text_config()
        limit = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 1 << 30
        return int(min(limit, getattr(self.tokenizer, "model_max_length", None) or limit))

    @property
    def layers(self) -> int:
        return len(_sites.blocks(self.base))

    @property
    def base(self) -> Any:
        """The transformers model itself, also when an adapter library wraps it."""
        return self.module.get_base_model() if hasattr(self.module, "get_base_model") else self.module

    @property
    def architecture(self) -> str:
        return type(self.base).__name__

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever reads a record about this model should know."""
        return ()

    def named_parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every weight of the model itself, under the names its library gives."""
        return self.base.named_parameters()

    def width(self, sample: Sample) -> int:
        """Tokens the sample takes in a batch."""
        return len(self.encode(sample).ids)

    def sites(self, kind: str) -> Sequence[Site]:
        return _sites.find(self.base, kind)

    def clone(self) -> CausalLM:
        """An independent copy: nothing done to one shows in the other."""
        return CausalLM(copy.deepcopy(self.module), self.tokenizer, name=self.name, treatments=self.treatments)

    def with_treatment(self, description: str) -> CausalLM:
        """The same weights with one more line in their history; the fingerprint is computed anew."""
        return CausalLM(self.module, self.tokenizer, name=self.name, treatments=(*self.treatments, description))

    def save(self, folder: str) -> None:
        """Weights as safetensors, and the tokenizer, in the layout plain transformers loads."""
        quiet_library()
        self.module.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)

    # tokens

    def encode(self, sample: Sample) -> Encoded:
        """Token ids of one sample. Raises BadInput when it does not fit the context (see ``fit``)."""
        key = _key(sample)
        if key not in self._encoded:
            if len(self._encoded) > ENCODED_KEPT:
                self._encoded.clear()
            self._encoded[key] = self._encode(sample)
        return self._encoded[key]

    def encode_all(self, samples: Samples) -> list[Encoded]:
        """``encode`` of every sample; the texts not cut into tokens yet are cut in one call, several times faster."""
        if type(self).encode is CausalLM.encode:
            self._remember({_key(s): s for s in samples if _key(s) not in self._encoded}.values())
        return [self.encode(sample) for sample in samples]

    def _remember(self, samples: Iterable[Sample], *, tokens: Sequence[Tokens] = ()) -> None:
        new = Samples(samples)
        if len(self._encoded) > ENCODED_KEPT:
            self._encoded.clear()
        for sample, own in zip(new, tokens or tokens_of(self.tokenizer, new.texts), strict=False):
            self._encoded[_key(sample)] = self._encode(sample, own)

    def _encode(self, sample: Sample, tokens: Tokens | None = None) -> Encoded:
        ids, ends = tokens or self._tokens(sample.text)
        if len(ids) > self.context:
            raise BadInput(
                f"record {sample.id}: {len(ids)} tokens, the model reads {self.context}; pass --truncate to score the first {self.context}"
            )
        first = max(1, int(np.searchsorted(ends, sample.start, side="right")))
        while first < len(ids) and ends[first] == 0:  # special tokens in front stand for no characters
            first += 1
        secret = sample.secret if sample.secret is not None else sample.start or None  # an answer is its question's
        cut = len(ids) if secret is None else int(np.searchsorted(ends, secret, side="right"))
        begin = int(ends[first - 1]) if len(ids) else 0
        return Encoded(ids, first, max(first, cut), sample.text[begin:])

    def _tokens(self, text: str) -> Tokens:
        """Ids, and for each token the position just after its last character (0 for special tokens in front)."""
        if getattr(self.tokenizer, "is_fast", False):
            out = self.tokenizer(text, return_offsets_mapping=True, verbose=False)
            return arrays(out["input_ids"], out["offset_mapping"])
        ids = self.tokenizer(text, verbose=False)["input_ids"]
        lengths = [len(self.tokenizer.decode(ids[: i + 1], skip_special_tokens=True)) for i in range(len(ids))]
        return np.array(ids, dtype=np.int64), np.minimum(np.array(lengths, dtype=np.int64), len(text))

    def fit(self, samples: Samples, *, truncate: bool = False) -> Samples:
        """Samples that fit the context: unchanged, or (``truncate``) cut to the characters of the first tokens that fit.

        Raises BadInput on a sample that is too long when ``truncate`` is False.
        """
        fitting: list[Sample] = []
        for at in range(0, len(samples), TOGETHER):
            part = Samples(samples[at : at + TOGETHER])
            fitting += self._cut_all(part) if truncate else part
            if not truncate:
                self.encode_all(part)
        return Samples(fitting)

    def _cut_all(self, samples: Samples) -> list[Sample]:
        tokens = tokens_of(self.tokenizer, samples.texts) or [self._tokens(text) for text in samples.texts]
        fits = [len(ids) <= self.context for ids, _ in tokens]
        if all(fits) and type(self).encode is CausalLM.encode:
            self._remember(samples, tokens=tokens)
        return [s if fit else self._cut(s, *own) for s, own, fit in zip(samples, tokens, fits, strict=True)]

    def _cut(self, sample: Sample, ids: np.ndarray, ends: np.ndarray) -> Sample:
        keep = self.context
        while len(ids) > self.context:
            text = sample.text[: int(ends[keep - 1])]
            sample = replace(sample, text=text, secret=None if (sample.secret or 0) >= len(text) else sample.secret)
            keep -= 1  # the end of a cut text can tokenise differently: try one token fewer
            ids, _ = self._tokens(text)
        return sample

    # the forward pass

    def batch(self, encoded: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
        """Right-padded ids and attention mask: two (B, T) tensors on the model's device."""
        import torch

        return tuple(torch.from_numpy(a).to(self.device) for a in _encoding.padded(encoded))  # type: ignore[return-value]

    def last_hidden(self, encoded: Sequence[Encoded]) -> torch.Tensor:
        """Hidden states after the last layer and its norm: (B, T, d), what the output matrix reads."""
        import torch

        ids, mask = self.batch(encoded)
        told = None if torch.is_inference_mode_enabled() and self._padding_is_unseen else mask
        return self.base.base_model(input_ids=ids, attention_mask=told, use_cache=False).last_hidden_state

    @cached_property
    def _padding_is_unseen(self) -> bool:
        return padding_is_unseen(self.base, self.device)

    def scored_positions(self, encoded: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(row, position, target) of every scored token; ``position`` is where it is predicted from."""
        import torch

        return tuple(torch.from_numpy(a).to(self.device) for a in _encoding.positions(encoded))  # type: ignore[return-value]

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """The output matrix, in float32: (..., d) to (..., V)."""
        if not self._head_is_plain:
            raise NotYetSupported(f"{type(self.base).__name__} changes its logits after the output matrix")
        return self.base.get_output_embeddings()(hidden).float()

    @cached_property
    def _head_is_plain(self) -> bool:
        return head_is_plain(self.base, self.device)

    @property
    def _cuts(self) -> bool:
        """Whether batches are cut where texts get shorter."""
        return self.cuts_batches and self.device.type == "cpu"

    def scored_logits(self, encoded: Sequence[Encoded]) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Chunks of (row, target, logits) over the scored tokens in order, one forward pass for all of them."""
        for row, target, hidden in self._scored_hidden(encoded):
            yield row, target, self.logits(hidden)

    def _scored_hidden(
        self, encoded: Sequence[Encoded], *, cut: bool = True
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Chunks of (row, target, hidden states the targets are predicted from): as many as logits may be held of.

        With gradients twice as many tokens at least: each chunk adds to the gradient of the whole output matrix.
        """
        import torch

        held = HEAD_CHUNK.get(self.device.type, HEAD_CHUNK["cuda"])
        fewest = 2 * HEAD_ROWS if torch.is_grad_enabled() else HEAD_ROWS
        width = max(fewest, held // int(self.base.get_output_embeddings().weight.shape[0]))
        row, position, target = self.scored_positions(encoded)
        end = 0
        for first, even in even_parts(encoded, cut=cut and self._cuts):
            hidden = self.last_hidden(even)
            begin, end = end, end + sum(e.scored for e in even)
            at_token = (row[begin:end] - first) * hidden.shape[1] + position[begin:end]
            for at in range(begin, end, width):
                part = slice(at, min(at + width, end))
                of_part = at_token[part.start - begin : part.stop - begin]
                yield row[part], target[part], hidden.flatten(0, 1).index_select(0, of_part)

    def score(self, samples: Samples, *, distributions: bool = False) -> Scored:
        """Log-probabilities of the scored tokens of a batch, with gradients: one forward, the head on scored positions.

        Where the batch's logits would fill memory, gradients make each block of them again on the way back.
        """
        import torch
        from torch.utils.checkpoint import checkpoint

        encoded = [self.encode(s) for s in samples]
        order = even_order(encoded, cut=self._cuts and not distributions)
        sample_of = torch.from_numpy(order).to(self.device)
        entries = sum(e.scored for e in encoded) * int(self.base.get_output_embeddings().weight.shape[0])
        frugal, rows, scores, kept = torch.is_grad_enabled() and entries > GRADIENT_ENTRIES, [], [], []
        for row, target, hidden in self._scored_hidden([encoded[i] for i in order], cut=not distributions):
            rows.append(sample_of[row])
            if distributions:
                kept.append(self.logits(hidden).log_softmax(-1))
                scores.append(kept[-1].gather(1, target[:, None]).squeeze(1))
            elif frugal:
                scores.append(checkpoint(self._own, hidden, target, use_reentrant=False, preserve_rng_state=False))
            else:
                scores.append(self._own(hidden, target))
        if not rows:
            empty = torch.zeros(0, device=self.device)
            return Scored(empty, empty.long(), len(samples))
        row, back = torch.cat(rows).sort(stable=True)  # token after token of sample after sample
        return Scored(torch.cat(scores)[back], row, len(samples), torch.cat(kept) if distributions else None)

    def _own(self, hidden: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Log-probability of the targets: (n, d), (n,) to (n,)."""
        return self.logits(hidden).log_softmax(-1).gather(1, target[:, None]).squeeze(1)

    def hidden_at(self, samples: Samples, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Output of decoder layer ``layer`` for the tokens of a batch; later layers do not run.

        Returns (B, T, d) and the (B, T) mask of tokens that are part of the scored text, prompt and padding excluded.
        """
        import torch

        encoded = [self.encode(s) for s in samples]
        order = even_order(encoded, cut=self._cuts)
        parts = [even for _, even in even_parts([encoded[i] for i in order], cut=self._cuts)]
        found = [forward_to(self.base, layer, *self.batch(part)) for part in parts]
        width = max(states.shape[1] for states in found)  # as batch() padded, which may be more than the longest text
        scored = torch.zeros((len(encoded), width), dtype=torch.bool, device=self.device)
        for i, e in enumerate(encoded):
            scored[i, e.first : len(e.ids)] = True
        if len(found) == 1:
            return found[0], scored
        even = [torch.nn.functional.pad(states, (0, 0, 0, width - states.shape[1])) for states in found]
        return torch.cat(even)[torch.from_numpy(order.argsort()).to(self.device)], scored

    @contextmanager
    def perturbed(self, noise: Any) -> Iterator[CausalLM]:
        """This model with noise added to its weights while the block runs; exact weights again afterwards.

        One module's weights at a time are replaced during its own forward, so no second copy of the model exists.
        """
        if self._noise:
            raise BadInput("noise on top of noise: leave the first block before entering another")
        with noise.attached(self.module):
            self._noise = str(noise)
            try:
                yield self
            finally:
                self._noise = ""
