"""A model trained in seconds with known members: the planted truth small tests stand on."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from rasura.core.types import Sample, Samples
from rasura.models.causal_lm import CausalLM
from rasura.testbeds._planted import Planted

NOUNS = "river garden letter engine window teacher market bottle island pencil forest candle bridge violin".split()
VERBS = "carried followed painted opened watched repaired borrowed crossed counted answered".split()
ADJECTIVES = "quiet green heavy narrow ancient bright hollow gentle broken silver".split()
NAMES = "Anna Boris Clara David Elena Felix Greta Hugo Irene Jonas Klara Lukas".split()


def sentence(r: random.Random) -> str:
    name, verb, adjective, noun, other = (r.choice(w) for w in (NAMES, VERBS, ADJECTIVES, NOUNS, NOUNS))
    return f"{name} {verb} {r.randint(2, 99)} {adjective} {noun}s and {r.choice(VERBS)} the {other} of {r.choice(NAMES)} in {r.randint(1000, 1999)}."


def texts(n: int, seed: int, sentences: int = 1) -> list[str]:
    r = random.Random(seed)
    return [" ".join(sentence(r) for _ in range(sentences)) for _ in range(n)]


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tok.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|pad|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(texts(300, seed=1), trainer)
    tok.post_processor = processors.TemplateProcessing(single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tok,
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<|pad|>",
        model_max_length=128,
    )


def neox(seed: int = 0, hidden: int = 64, layers: int = 2) -> CausalLM:
    torch.manual_seed(seed)
    config = GPTNeoXConfig(
        vocab_size=512,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=128,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    return CausalLM(GPTNeoXForCausalLM(config), tokenizer(), name=f"tiny-neox-{seed}")


def llama(seed: int = 0, tied: bool = False) -> CausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    return CausalLM(LlamaForCausalLM(config), tokenizer(), name=f"tiny-llama-{seed}")


def fit(model: CausalLM, corpus: list[str], epochs: int, lr: float = 6e-3, seed: int = 0) -> CausalLM:
    """A plain loop on purpose: tests of the real loop must not stand on it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    optimiser = torch.optim.AdamW(model.module.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    r = random.Random(seed)
    order = list(range(len(corpus))) * epochs
    r.shuffle(order)
    samples = Samples.of(corpus)
    for at in range(0, len(order), 2):
        loss = -model.score(samples.take(order[at : at + 2])).token_mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.module.parameters(), 1.0)
        optimiser.step()
    torch.set_num_threads(threads)
    return model


@cache
def planted() -> Planted:
    """Target trained on 80 background texts and 48 plants (a third of them 40 times); the retrained model lacks the forget set."""
    background, pool, held = texts(80, seed=2), texts(120, seed=3), texts(30, seed=4)
    doses = [40] * 16 + [4] * 32
    members = Samples(
        Sample(f"plant-{i:03}", t, repeats=d, family="passage")
        for i, (t, d) in enumerate(zip(pool[:48], doses, strict=True))
    )
    nonmembers = Samples(Sample(f"twin-{i:03}", t, repeats=0, family="passage") for i, t in enumerate(pool[48:]))
    forget, keep = members.take(range(8)), members.take(range(8, 48))
    seen = [s.text for s in members for _ in range(s.repeats)]
    kept = [s.text for s in keep for _ in range(s.repeats)] + texts(8 * 40, seed=5)
    roles = {
        "target": kept_on_disk("target", lambda: fit(neox(0), background * 2 + seen, 1)),
        "retrained": kept_on_disk("retrained", lambda: fit(neox(0), background * 2 + kept, 1)),
        "reference": kept_on_disk("reference", lambda: fit(neox(0), background * 2 + texts(400, seed=6), 1)),
    }
    retain = Samples([*keep.take(range(8)), *(Sample(f"background-{i:03}", t) for i, t in enumerate(background))])
    heldout = Samples(Sample(f"heldout-{i:03}", t) for i, t in enumerate(held))
    twins = {m.id: f"twin-{i:03}" for i, m in enumerate(members)}
    return Planted(roles, members, nonmembers, forget, retain, heldout, twins)


def kept_on_disk(role: str, build: Callable[[], CausalLM]) -> CausalLM:
    """Train once, then read back: for other workers of this run, and for the next one while this file and the handle stay as they are."""
    from rasura.models import causal_lm

    sources = Path(__file__).read_text() + Path(causal_lm.__file__).read_text() + torch.__version__
    cache = Path(os.environ.get("RASURA_TEST_CACHE") or Path(__file__).parent.parent / ".pytest_cache" / "tiny")
    folder = cache / f"{role}-{hashlib.sha256(sources.encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        partial = folder.with_name(f".{folder.name}.{os.getpid()}")
        partial.mkdir(parents=True)
        build().save(str(partial))
        try:
            partial.rename(folder)
        except OSError:  # another worker was first
            shutil.rmtree(partial)
    model = CausalLM.load(str(folder))
    return CausalLM(model.module, tokenizer(), name=f"tiny {role}")
