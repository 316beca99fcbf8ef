"""A language model that vLLM runs: log-probabilities of given tokens and their ranks, fast, and nothing else.

vLLM batches continuously and shares prefixes, so scoring many texts is faster than padded batches. It hands out the
log-probability and rank of each prompt token, not the whole distribution, no gradients and no hidden states: signals
that need those are skipped, and what TokenStatistics says about the vocabulary (mean, deviation) is NaN.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import BadInput, MissingDependency, NotYetSupported
from ..core.types import Ask
from ._folder import check_folder
from ._loading import _load_tokenizer, quiet_library
from .causal_lm import CausalLM, Encoded

ONLY_SCORES = "vLLM gives log-probabilities of tokens only; load the model without --backend vllm for this"


class VllmLM(CausalLM):
    """A handle whose forward pass is vLLM's. ``module`` holds the architecture without weights."""

    def __init__(self, engine: Any, skeleton: Any, tokenizer: Any, *, folder: Path) -> None:
        super().__init__(skeleton, tokenizer, name=str(folder))
        self.engine, self.folder = engine, folder

    @classmethod
    def load(cls, path: str, *, dtype: str = "auto", trust_remote_code: bool = False, **_: Any) -> VllmLM:
        """A model by folder (vLLM chooses the device). Raises BadInput, UnsafeModel, MissingDependency (no vLLM)."""
        folder = Path(path).expanduser()
        if not folder.exists():
            raise BadInput(f"{path}: no such model folder (vLLM is given local folders only)")
        check_folder(folder, False, trust_remote_code)
        try:
            import vllm
        except ImportError:
            raise MissingDependency("--backend vllm", "vllm", "vllm") from None
        engine = vllm.LLM(model=str(folder), dtype=dtype, trust_remote_code=trust_remote_code)
        return cls(
            engine, _skeleton(folder, trust_remote_code), _load_tokenizer(str(folder), trust_remote_code), folder=folder
        )

    @cached_property
    def _weights_fingerprint(self) -> str:
        """Hash of the weight files and the tokenizer; other than the same weights' under transformers, whose numbers differ."""
        h = hashlib.blake2b(f"vllm {self.vocabulary_hash}".encode(), digest_size=16)
        for file in sorted([*self.folder.glob("*.safetensors"), self.folder / "config.json"]):
            h.update(file.name.encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    h.update(block)
        return h.hexdigest()

    def can_answer(self, ask: Ask) -> bool:
        """Whether this model can be asked that: token statistics of a text, without noise in the weights."""
        return type(ask.what).__name__ == "TokenStatistics" and isinstance(ask.of, str)

    def scored_tokens(self, encoded: Sequence[Encoded]) -> tuple[np.ndarray, ...]:
        """(row, log-probability, rank) of every scored token in order: (tokens,) each; rank 0 = most likely."""
        import vllm

        asked = [i for i, e in enumerate(encoded) if e.scored]
        settings = vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        prompts = [{"prompt_token_ids": encoded[i].ids.tolist()} for i in asked]
        answers = self.engine.generate(prompts, settings, use_tqdm=False) if prompts else []
        row, log_p, rank = [], [], []
        for i, answer in zip(asked, answers, strict=True):
            e = encoded[i]
            for position in range(e.first, len(e.ids)):
                said = answer.prompt_logprobs[position][int(e.ids[position])]
                row.append(i)
                log_p.append(said.logprob)
                rank.append(said.rank - 1)
        return np.array(row, np.int64), np.array(log_p, np.float32), np.array(rank, np.int32)

    def last_hidden(self, encoded: Sequence[Encoded]) -> Any:
        raise NotYetSupported(ONLY_SCORES)

    def perturbed(self, noise: Any) -> Any:
        raise NotYetSupported(ONLY_SCORES)

    def clone(self) -> Any:
        raise NotYetSupported(ONLY_SCORES)

    def save(self, folder: str) -> None:
        raise NotYetSupported(ONLY_SCORES)


def _skeleton(folder: Path, trust_remote_code: bool) -> Any:
    """The architecture with no memory behind its weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    quiet_library()
    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
