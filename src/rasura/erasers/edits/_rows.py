"""Rows of text features for closed-form edits: which position of one prompt is to say what a position of another says.

Positions of a prompt of n tokens: 0 the start token, 1..n its words, n + 1 the first end token, then padding to the
encoder's width L. The empty prompt's "last word" is its start token: what public code reads there, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...core.errors import BadInput
from ...models._prompts import Tokens, tokens
from ...models.text_map import TextMap

if TYPE_CHECKING:
    import torch

BATCH = 64  # prompts encoded at once


@dataclass(frozen=True)
class Pair:
    """Positions ``at`` of the source prompt and, one for one, the positions ``to`` of the target prompt."""

    source: str
    target: str
    at: tuple[int, ...]
    to: tuple[int, ...]


def last_word(of: Tokens) -> int:
    """Position of the last word token; 0, the start token, in an empty prompt."""
    return of.words.stop - 1


def last_words(model: Any, source: str, target: str) -> Pair:
    """The last word token alone (UCE, the authors' code of 2025)."""
    return Pair(source, target, (last_word(model.tokens(source)),), (last_word(model.tokens(target)),))


def from_the_last_word(model: Any, source: str, target: str) -> Pair:
    """The last word token and all positions after it, as many as both prompts have (UCE, the authors' code of 2023)."""
    own, other = last_word(model.tokens(source)), last_word(model.tokens(target))
    count = len(model.tokens(source).ids) - max(own, other)
    return Pair(source, target, tuple(range(own, own + count)), tuple(range(other, other + count)))


def every(model: Any, source: str, target: str) -> Pair:
    """Every position of the source prompt, aligned as ``aligned`` says."""
    a, b = model.tokens(source), model.tokens(target)
    words = [["a" if piece == "an" else piece for piece in t.pieces] for t in (a, b)]
    return Pair(source, target, tuple(range(len(a.ids))), aligned(*words, len(a.ids)))


def same(model: Any, source: str, target: str) -> Pair:
    """Every position to the position of the same number."""
    positions = tuple(range(len(model.tokens(source).ids)))
    return Pair(source, target, positions, positions)


def aligned(source: Sequence[Any], target: Sequence[Any], width: int) -> tuple[int, ...]:
    """Positions of the target prompt that stand against positions 0..width-1 of the source prompt; words given.

    Where the target prompt holds all source words in their order, each goes to itself and inserted words are skipped, the end
    token to the end token, what follows to what follows (TIME). Otherwise the prompts differ in a stretch between equal
    beginnings and endings: its i-th token goes to the i-th token of the other stretch, the last one repeated, and an
    empty stretch is answered by the position where it would begin. What would lie past the end goes to the last position.

    >>> aligned([7, 3], [5, 7, 4, 3], 8)  # "red ring" against "a red big ring"
    (0, 2, 4, 5, 6, 7, 7, 7)
    >>> aligned([5, 7, 3], [5, 9], 6)     # "a red ring" against "a cross": "red" and "ring" both to "cross"
    (0, 1, 2, 2, 3, 4)
    >>> aligned([5, 3], [5], 6)           # "a ring" against "a": "ring" to the end token after "a"
    (0, 1, 2, 2, 3, 4)
    """
    walked = _walked(source, target)
    places = _replaced(source, target) if walked is None else walked
    rest = [len(target) + 1 + k for k in range(width - 1 - len(source))]
    return tuple(min(p, width - 1) for p in [0, *places, *rest])


def _walked(source: Sequence[Any], target: Sequence[Any]) -> list[int] | None:
    """Positions of the source's words in the target, in order, or None when one is missing."""
    places, at = [], 0
    for word in source:
        while at < len(target) and target[at] != word:
            at += 1
        if at == len(target):
            return None
        at += 1
        places.append(at)  # position at - 1 among the words is at in the prompt
    return places


def _replaced(source: Sequence[Any], target: Sequence[Any]) -> list[int]:
    """As ``aligned`` for two prompts that differ in one stretch."""
    short = min(len(source), len(target))
    head = next((i for i in range(short) if source[i] != target[i]), short)
    tail = next((i for i in range(short - head) if source[-1 - i] != target[-1 - i]), short - head)
    old, new = len(source) - head - tail, len(target) - head - tail
    middle = [head + min(i, max(new - 1, 0)) for i in range(old)]
    return [1 + i for i in [*range(head), *middle, *range(head + new, len(target))]]


@dataclass
class Rows:
    """What goes into one text map, gathered from prompts: pairs to move and prompts to keep."""

    model: Any
    sources: list[Any] = field(default_factory=list)
    targets: list[Any] = field(default_factory=list)
    kept: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)

    def move(self, pairs: Iterable[Pair]) -> None:
        """Rows C and G of pairs of prompts."""
        pairs = list(pairs)
        read = features(self.model, [p.source for p in pairs] + [p.target for p in pairs])
        self.sources += [read[p.source][list(p.at)] for p in pairs]
        self.targets += [read[p.target][list(p.to)] for p in pairs]

    def solve(self, scale: float, kept_scale: float, ridge: float) -> TextMap:
        """The map of all rows; kept ones are folded to their second moment where they are many."""
        import torch

        source, target = torch.cat(self.sources), torch.cat(self.targets)
        rows, moment = self._gathered
        more = {"kept": rows, "kept_scale": kept_scale, "moment": None if moment is None else kept_scale * moment}
        return TextMap.of_rows(source, target, scale, ridge, **more)

    def forget_moves(self) -> None:
        """Start again with the same prompts to keep."""
        self.sources, self.targets = [], []

    @cached_property
    def _gathered(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """The kept prompts' rows where they are few, else the sum of c c^T over them."""
        rows, moment, count = [], None, 0
        for part in self._kept_parts():
            count += len(part)
            if moment is None and 2 * count < part.shape[1]:
                rows.append(part)
                continue
            for held in (*rows, part):
                moment = held.T @ held + (0 if moment is None else moment)
            rows = []
        return (_joined(rows) if rows else None), moment

    def _kept_parts(self) -> Iterator[torch.Tensor]:
        """Rows of a batch of kept prompts at a time."""
        for start in range(0, len(self.kept), BATCH):
            batch = self.kept[start : start + BATCH]
            read = features(self.model, [text for text, _ in batch])
            yield _joined([read[text][list(at)] for text, at in batch])


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    import torch

    return torch.cat(list(parts))


def features(model: Any, texts: Sequence[str]) -> dict[str, torch.Tensor]:
    """What cross-attention reads for each text, (L, d) float64 on the CPU; each distinct text is encoded once."""
    import torch

    found, distinct = {}, list(dict.fromkeys(texts))
    for start in range(0, len(distinct), BATCH):
        batch = distinct[start : start + BATCH]
        for text in batch:
            _same_positions(model, text)
        with torch.no_grad():
            hidden = model.embed(batch).hidden.detach().double().cpu()
        found |= dict(zip(batch, hidden, strict=True))
    return found


def _same_positions(model: Any, text: str) -> None:
    """Two encoders side by side are read at one position, so their tokenizers must cut a text alike."""
    words = model.tokens(text).words
    if any(tokens(other, text).words != words for other in model.tokenizers[1:]):
        raise BadInput(f"the model's tokenizers cut a text of {len(words)} tokens differently: positions do not match")
