"""The agreement fixture: two small models with weights from numpy's RandomState and batches of token ids.

The numbers the golden tests hold were made by running the authors' own code (locuslab/open-unlearning, commit d3d7cf9,
transformers 4.45.1, float32, CPU, one thread) on exactly these models and batches.

Weights: parameters sorted by name, number i is 0.1 * RandomState(1000 + i).standard_normal(shape) in float32; norm
weights are 1 and biases 0 but keep their place in the count. That is the *reference*; the *current* model has
0.03 * RandomState(5000 + i).standard_normal(shape) added to every parameter. GPT-NeoX is sorted by the name its output
matrix had before transformers 5 (``embed_out``), or the order of the seeds would differ.

Batches: for seed s, lengths L and prompt lengths P, RandomState(s).randint(3, 211, size=L_b) row after row; the first
P_b tokens are prompt and never scored.

Text for the handles is the ids in decimal, separated by blanks, and the tokenizer reads them back: a Sample then has
exactly the ids of its row and ``start`` where the prompt ends.

Import as ``from golden._fixture import build_llama, FORGET``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from rasura.core.types import Sample, Samples
from rasura.models.causal_lm import CausalLM

VOCABULARY = 211
PAD, BOS, EOS = 0, 1, 2
IGNORED = -100


@dataclass(frozen=True)
class Batch:
    """Rows of token ids of lengths ``lengths``; the first ``prompts`` tokens of each are not scored."""

    seed: int
    lengths: tuple[int, ...]
    prompts: tuple[int, ...]

    @cached_property
    def rows(self) -> list[np.ndarray]:
        random = np.random.RandomState(self.seed)
        return [random.randint(3, VOCABULARY, size=length) for length in self.lengths]

    @cached_property
    def samples(self) -> Samples:
        """The rows as text of decimal ids, with the prompt as context that is never scored."""
        return Samples(
            Sample(f"{self.seed}-{i}", _text(row), start=len(_text(row[:prompt])))
            for i, (row, prompt) in enumerate(zip(self.rows, self.prompts, strict=True))
        )

    @cached_property
    def input_ids(self) -> torch.Tensor:
        """Right-padded with 0: (B, T)."""
        return torch.from_numpy(self._padded(PAD, self.rows))

    @property
    def attention_mask(self) -> torch.Tensor:
        return (self.input_ids != PAD).long()

    @cached_property
    def labels(self) -> torch.Tensor:
        """Ids with -100 on prompt and padding, unshifted: (B, T)."""
        masked = [np.where(np.arange(len(r)) < p, IGNORED, r) for r, p in zip(self.rows, self.prompts, strict=True)]
        return torch.from_numpy(self._padded(IGNORED, masked))

    def _padded(self, fill: int, rows: list[np.ndarray]) -> np.ndarray:
        out = np.full((len(rows), max(self.lengths)), fill, dtype=np.int64)
        for i, row in enumerate(rows):
            out[i, : len(row)] = row
        return out


FORGET = Batch(7, (12, 9, 7), (4, 3, 2))
ALT = Batch(8, (8, 8, 6), (4, 3, 2))  # other answers to the same questions
RETAIN = Batch(9, (11, 10, 6), (3, 4, 2))
HOLDOUT = Batch(10, (10, 8, 12), (3, 2, 5))


def build_llama(*, perturbed: bool = False) -> CausalLM:
    """Llama of 4 layers of width 32: the reference, or (``perturbed``) the current model."""
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-6, tie_word_embeddings=False,
        attention_dropout=0.0, pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS, attn_implementation="eager",
    )  # fmt: skip
    return _filled(LlamaForCausalLM(config), perturbed)


def build_neox(*, perturbed: bool = False) -> CausalLM:
    """GPT-NeoX of 4 layers of width 32: the reference, or (``perturbed``) the current model."""
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        max_position_embeddings=128, layer_norm_eps=1e-5, use_parallel_residual=True, hidden_act="gelu",
        tie_word_embeddings=False, attention_dropout=0.0, hidden_dropout=0.0, pad_token_id=PAD, bos_token_id=BOS,
        eos_token_id=EOS, attn_implementation="eager",
    )  # fmt: skip
    return _filled(GPTNeoXForCausalLM(config), perturbed)


def _filled(module: torch.nn.Module, perturbed: bool) -> CausalLM:
    parameters = {
        name.replace("lm_head.", "embed_out.") if _is_neox(module) else name: p for name, p in module.named_parameters()
    }
    with torch.no_grad():
        for i, name in enumerate(sorted(parameters)):
            p = parameters[name]
            drawn = 0.1 * np.random.RandomState(1000 + i).standard_normal(tuple(p.shape))
            value = np.ones_like(drawn) if "norm" in name and name.endswith("weight") else drawn
            value = (np.zeros_like(drawn) if name.endswith("bias") else value).astype(np.float32)
            if perturbed:
                value = value + (0.03 * np.random.RandomState(5000 + i).standard_normal(tuple(p.shape))).astype(
                    np.float32
                )
            p.copy_(torch.from_numpy(value))
    return CausalLM(module, _tokenizer(), name=f"fixture-{module.config.model_type}{'-current' if perturbed else ''}")


def _is_neox(module: torch.nn.Module) -> bool:
    return module.config.model_type == "gpt_neox"


def _text(ids: np.ndarray) -> str:
    return " ".join(str(i) for i in ids)


def _tokenizer() -> PreTrainedTokenizerFast:
    special = ["<pad>", "<bos>", "<eos>"]  # not "0", "1", "2": those would be cut out of longer numbers
    words = {word: i for i, word in enumerate([*special, *map(str, range(len(special), VOCABULARY))])}
    backend = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    pad, bos, eos = special
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=pad, bos_token=bos, eos_token=eos, model_max_length=128
    )
