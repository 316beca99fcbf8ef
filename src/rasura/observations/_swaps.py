"""One token of a text in place of another: which swaps read like text, and how they are written.

A swap replaces the characters of one token, without the blank before them, and leaves the rest of the text as it is. A
candidate fits when it begins a word exactly where the token there does, is a word where that is a word and a sign
where that is a sign, is no special token and stands for whole characters. A model that knows small letters only gives
a capital back to a word that had one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MARKS = ("##", "\u0120", "\u2581")  # what pieces begin with: a word goes on; a word begins (byte-level, SentencePiece)
BROKEN = "\ufffd"


@dataclass(frozen=True)
class Swap:
    """Characters [begin, end) of a text replaced by others; ``score`` says how well that fits."""

    begin: int
    end: int
    text: str
    score: float

    def applied(self, text: str) -> str:
        return text[: self.begin] + self.text + text[self.end :]


@dataclass(frozen=True)
class Span:
    """A token of a text: its id, and its characters without blanks before them."""

    id: int
    begin: int
    end: int


def spans(text: str, ids: Iterable[int], begin: Iterable[int], end: Iterable[int]) -> list[Span]:
    """Each token's characters without blanks in front; begin = end for a token that stands for none.

    >>> spans("to be", [1, 2], [0, 2], [2, 5])
    [Span(id=1, begin=0, end=2), Span(id=2, begin=3, end=5)]
    """
    found = []
    for one, b, e in zip(ids, begin, end, strict=True):
        found.append(Span(int(one), int(b) + len(text[b:e]) - len(text[b:e].lstrip()), int(e)))
    return found


class Words:
    """A vocabulary as it is written: looked up once a token."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.special = frozenset(tokenizer.all_special_ids)
        self._known: dict[int, tuple[str, str]] = {}

    def written(self, text: str, span: Span, candidate: int) -> str:
        """The candidate as it would be written in place of the token; empty where it does not fit there."""
        there = text[span.begin : span.end]
        (mark, read), (other, word) = self._word(span.id), self._word(candidate)
        if candidate in self.special or not there or not word.strip() or other != mark or BROKEN in word:
            return ""
        if word[0].isalnum() != there[0].isalnum():
            return ""
        lowered = read != there and read == there.lower()  # capitals are lost on this tokenizer
        return word[0].upper() + word[1:] if lowered and there[0].isupper() else word

    def _word(self, token: int) -> tuple[str, str]:
        """How its piece begins, and its characters without blanks in front."""
        if token not in self._known:
            piece = self.tokenizer.convert_ids_to_tokens(token) or ""
            word = str(self.tokenizer.decode([token], clean_up_tokenization_spaces=False))
            mark = next((m for m in MARKS if piece.startswith(m)), "")
            self._known[token] = mark, word.removeprefix("##").lstrip()
        return self._known[token]


def best(text: str, swaps: Iterable[Swap], most: int) -> list[str]:
    """Texts of the best-scored swaps, each once and none the text itself; ties in order of position.

    >>> best("a b", [Swap(0, 1, "x", .1), Swap(2, 3, "y", .5), Swap(2, 3, "b", .9), Swap(0, 1, "z", .4)], 2)
    ['a y', 'z b']
    """
    found: dict[str, None] = {}
    for swap in sorted(swaps, key=lambda s: (-s.score, s.begin, s.text)):
        changed = swap.applied(text)
        if changed != text:
            found.setdefault(changed)
        if len(found) == most:
            break
    return list(found)
