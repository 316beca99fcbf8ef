"""Peak memory beyond the weights, of an audit's pass and of a training step, at a vocabulary of 131,072.

    python benchmarks/bench_memory.py

Each measurement is a process of its own with an untrained model (2 layers of 256, context 2,048) and one text of 2,048
tokens; the peak of the resident set is read before and after (VmHWM, set back in between). All logits of the text at
once would be 1.07 GB, and several of that size are needed to make statistics of them or to take gradients. Marks: 2 GB
for token statistics, 2 GB for a backward pass through the loss, gradients included (the weights' own, 0.27 GB). For comparison, the plain way: all logits at once.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import torch
from _side_by_side import limit

from rasura.core.types import Sample, Samples
from rasura.models.causal_lm import CausalLM, Encoded
from rasura.observations.token_statistics import TokenStatistics

VOCABULARY, TOKENS, MARK = 131_072, 2048, 2000
WAYS = {"audit": "token statistics", "train": "backward pass", "plain": "all logits at once"}


class Fixed(CausalLM):
    """A model that reads token ids drawn once: a tokenizer with this vocabulary says nothing about memory."""

    def encode(self, sample: Sample) -> Encoded:
        ids = torch.randint(0, VOCABULARY, (TOKENS,), generator=torch.Generator().manual_seed(0)).numpy()
        return Encoded(ids, 1, TOKENS, sample.text)


def model() -> CausalLM:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.set_num_threads(1)
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=1024, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=TOKENS, tie_word_embeddings=False,
    )  # fmt: skip
    return Fixed(GPTNeoXForCausalLM(config), None)


def resident(what: str) -> float:
    """VmRSS or VmHWM (the peak), in MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def measure(way: str) -> float:
    """MB beyond what was resident with the model loaded."""
    handle, samples = model(), Samples([Sample("0", "text")])
    handle._head_is_plain  # noqa: B018  (checked once a model)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    if way == "audit":
        assert TokenStatistics().measure(handle, samples).tokens.tolist() == [TOKENS - 1]
    elif way == "train":
        (-handle.score(samples).token_mean()).backward()
        assert all(torch.isfinite(p.grad).all() for p in handle.module.parameters())
    else:
        ids = torch.from_numpy(handle.encode(samples[0]).ids)
        log_p = handle.module(input_ids=ids[None], use_cache=False).logits.float().log_softmax(-1)
        (-log_p[0, :-1].gather(1, ids[1:, None]).mean()).backward()
    return resident("VmHWM") - before


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(measure(sys.argv[1]))
    else:
        print(f"peak memory beyond the weights, vocabulary {VOCABULARY:,}, one text of {TOKENS:,} tokens")
        for way, name in WAYS.items():
            out = subprocess.run([sys.executable, __file__, way], capture_output=True, text=True, check=True)
            if way == "plain":
                print(f"  {name:16s} {float(out.stdout):,.0f} MB (a backward pass, for comparison)")
            else:
                limit(name, float(out.stdout), MARK, "MB")
