"""New, untrained language models of the standard classes, for testbeds."""

from __future__ import annotations

from typing import Any

from .causal_lm import CausalLM


def wrap_tokenizer(backend: Any, *, context: int, separator: str = "<|endoftext|>", padding: str = "<|pad|>") -> Any:
    """A ``tokenizers.Tokenizer`` as transformers sees it."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=separator,
        eos_token=separator,
        pad_token=padding,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def gpt_neox(
    tokenizer: Any, *, hidden: int, layers: int, heads: int, context: int, seed: int, name: str = "gpt-neox"
) -> CausalLM:
    """GPTNeoXForCausalLM with rotary 25 %, untied output matrix and weights drawn from ``seed``."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=context,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25},
        attention_dropout=0.0,
        hidden_dropout=0.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CausalLM(GPTNeoXForCausalLM(config), tokenizer, name=name)
