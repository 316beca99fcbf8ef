"""A masked language model trained in a second or two: where neighbours come from in small tests."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers import decoders as piece_decoders
from transformers import (
    BertConfig,
    BertForMaskedLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

import _tiny
from rasura.models.masked_lm import MaskedLM

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def _vocabulary(lowercase: bool, size: int = 300) -> dict[str, int]:
    """Letters that begin a word or go on, and the commonest words.

    Not trained: the library's trainer numbers "##" pieces as its hash table yields them, so every process got another
    vocabulary, another model and other neighbours.
    """
    clean, split = normalizers.BertNormalizer(lowercase=lowercase), pre_tokenizers.BertPreTokenizer()
    cut = [split.pre_tokenize_str(clean.normalize_str(text)) for text in _tiny.texts(300, seed=1)]
    words = Counter(word for text in cut for word, _ in text)
    letters = sorted(set("".join(words)))
    pieces = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *sorted(words, key=lambda w: (-words[w], w))]
    return {piece: i for i, piece in enumerate(list(dict.fromkeys(pieces))[:size])}


@cache
def wordpiece(lowercase: bool = True) -> PreTrainedTokenizerFast:
    """BERT's own kind: words, and "##" pieces that go on."""
    tok = Tokenizer(models.WordPiece(_vocabulary(lowercase), unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = piece_decoders.WordPiece()
    cls, sep = (tok.token_to_id(t) for t in ("[CLS]", "[SEP]"))
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tok,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
    )


def bert(seed: int = 0) -> MaskedLM:
    """An untrained BERT over word pieces."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(wordpiece()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=128,
        pad_token_id=0,
    )
    return MaskedLM(BertForMaskedLM(config), wordpiece(), name=f"tiny-bert-{seed}")


def roberta(seed: int = 0) -> MaskedLM:
    """An untrained RoBERTa over the tiny target's byte-level pieces; positions count from behind the padding's."""
    torch.manual_seed(seed)
    config = RobertaConfig(
        vocab_size=512,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=130,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=0,
        type_vocab_size=1,
    )
    return MaskedLM(RobertaForMaskedLM(config), _tiny.tokenizer(), name=f"tiny-roberta-{seed}")


@cache
def masked() -> MaskedLM:
    """The same BERT after 200 texts of the planted ones' kind, 15 % of whose tokens were hidden."""
    model, dice = bert(), random.Random(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    module = model.module.train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3)
    corpus = _tiny.texts(200, seed=9) * 3
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(len(corpus) // 20):
            batch = model.tokenizer(dice.sample(corpus, 20), padding=True, return_tensors="pt")
            hidden = (torch.rand(batch.input_ids.shape, generator=generator) < 0.15) & (batch.input_ids > 4)
            labels = torch.where(hidden, batch.input_ids, -100)
            ids = torch.where(hidden, model.tokenizer.mask_token_id, batch.input_ids)
            loss = module(input_ids=ids, attention_mask=batch.attention_mask, labels=labels).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    module.eval()
    torch.set_num_threads(threads)
    return model
