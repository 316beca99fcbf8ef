"""Texts as token ids: one at a time or many at once, and in runs of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

EVEN = 0.9  # on a CPU a batch is cut where texts get shorter than this share of its longest: padding costs as text does
PART_TOKENS = 512  # and holds at least these, so that the layers' fixed cost does not count
GRADIENT_PART_TOKENS = 256  # with gradients, where a token costs three times as much and each part adds to all of them
TOGETHER = 1024  # texts cut into tokens in one call
ENCODED_KEPT = 8192  # texts whose tokens a handle remembers


Tokens: TypeAlias = tuple[np.ndarray, np.ndarray]  # ids, and for each the position just after its last character


@dataclass(frozen=True)
class Encoded:
    """One sample as token ids. Token t is scored for t >= first, predicted from the tokens before it."""

    ids: np.ndarray  # (T,) int64, as the tokenizer returns them
    first: int  # >= 1: the first token of a text has nothing before it
    cut: int  # index of the first token of the secret (Sample.secret, else what follows Sample.start), T when there is none
    scored_text: str  # the characters the scored tokens stand for

    @property
    def scored(self) -> int:
        return max(0, len(self.ids) - self.first)


def tokens_of(tokenizer: Any, texts: list[str]) -> list[Tokens]:
    """Ids and ends of many texts in one call, several times faster than one by one.

    Empty where that cannot be had: a tokenizer without offsets, or a text it refuses, which is then asked for by itself.
    """
    if len(texts) < 2 or not getattr(tokenizer, "is_fast", False):
        return []
    try:
        out = tokenizer(texts, return_offsets_mapping=True, verbose=False)
    except (TypeError, ValueError, OverflowError):
        return []
    return [arrays(ids, spans) for ids, spans in zip(out["input_ids"], out["offset_mapping"], strict=True)]


def arrays(ids: Sequence[int], spans: Sequence[tuple[int, int]]) -> Tokens:
    """Token ids and where each token's characters end, never before where an earlier one's did."""
    ends = np.array(spans, dtype=np.int64).reshape(-1, 2)[:, 1]
    return np.array(ids, dtype=np.int64), np.maximum.accumulate(ends) if len(ends) else ends


def padded(encoded: Sequence[Encoded]) -> tuple[np.ndarray, np.ndarray]:
    """Ids padded on the right with 0, and 1 where there is a token: two (B, T) int64."""
    lengths = np.array([len(e.ids) for e in encoded])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, dtype=np.int64)
    ids[mask] = np.concatenate([e.ids for e in encoded])
    return ids, mask.astype(np.int64)


def positions(encoded: Sequence[Encoded]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, position it is predicted from, id) of every scored token, text after text."""
    scored, first = np.array([(e.scored, e.first) for e in encoded], dtype=np.int64).reshape(-1, 2).T
    row = np.repeat(np.arange(len(encoded)), scored)
    position = np.arange(len(row)) + np.repeat(first - 1 - (scored.cumsum() - scored), scored)
    return row, position, np.concatenate([np.zeros(0, dtype=np.int64), *(e.ids[e.first :] for e in encoded)])


def even_order(encoded: Sequence[Encoded], *, cut: bool) -> np.ndarray:
    """The order, longest first, in which ``even_parts`` finds even runs; as they come where it would find one only."""
    order = np.argsort([-len(e.ids) for e in encoded], kind="stable").astype(np.int64)
    several = sum(1 for _ in even_parts([encoded[i] for i in order], cut=cut)) > 1
    return order if several else np.arange(len(encoded))


def even_parts(encoded: Sequence[Encoded], *, cut: bool) -> Iterator[tuple[int, Sequence[Encoded]]]:
    """Runs of texts of similar length, with the index of the first; one run without ``cut``."""
    import torch

    at, fewest = 0, GRADIENT_PART_TOKENS if torch.is_grad_enabled() else PART_TOKENS
    for i, e in enumerate(encoded if cut else ()):
        longest = len(encoded[at].ids)
        if not EVEN * longest <= len(e.ids) <= longest and longest * (i - at) >= fewest:
            yield at, encoded[at:i]
            at = i
    if len(encoded):
        yield at, encoded[at:]
