"""The tokenizer of the `language` testbed: byte-level BPE small enough for a model of half a million parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SEPARATOR = "<|endoftext|>"
PAD = "<|pad|>"


def train_tokenizer(texts: Iterable[str], vocabulary: int = 1024) -> Tokenizer:
    """Byte-level BPE with at most ``vocabulary`` entries; the same texts in the same order give the same tokenizer.

    - Pass background documents only: a tokenizer that has seen the members but not the non-members compresses the
      members better, which is a leak that has nothing to do with the model.
    - Digits are tokens of their own, so every secret of n digits has n tokens and no two digits are easier than others.
    - Every text is encoded with the separator in front, as in training. Without it the first token of a text would
      have no context and no score.
    - All 256 bytes are in the alphabet, so any text survives the round trip.

    >>> tokenizer = train_tokenizer(["the boat and the old boat"] * 9, vocabulary=300)
    >>> tokenizer.encode("the boat 17").tokens
    ['<|endoftext|>', 'the', 'Ġboat', 'Ġ', '1', '7']
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[SEPARATOR, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),  # comes as a set: sorted, or ids could vary
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SEPARATOR} $A",
        pair=f"{SEPARATOR} $A {SEPARATOR}:1 $B:1",
        special_tokens=[(SEPARATOR, tokenizer.token_to_id(SEPARATOR))],
    )
    return tokenizer
