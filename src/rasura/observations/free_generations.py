"""What the model says of its own accord: draws from a fixed header, one row a draw.

Nothing of any record is given. The rows of this pass are draws, not records: ask for it with the view ``Draws``, which
replaces whatever records there are by ``n`` numbered draws,

    Ask(FreeGenerations(new_tokens=64), view=Draws(1000))

so that a pass of 1000 draws begins with the very draws of a pass of 500, and the store keeps them. Each token is drawn
as in ``generations``; the numbers u of a draw depend on (``seed``, the draw's number) alone.

Where a draw begins (``header``):

- ``chat`` False: after ``header`` as the tokenizer reads it, special tokens by name and none added; an empty one stands
  for the token the model takes as the beginning of a text;
- ``chat`` True: after what the tokenizer's own chat template puts before the user's words, so that the model writes the
  user's turn itself; when it ends that turn, what the template puts before the answer follows, and it writes that too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ragged, Sample, Samples, digest
from ._continue import Draw, Said, continuations
from ._sampler import Sampler
from .generations import BROKEN

NO_TEMPLATE = "the tokenizer has no chat template: give the text in front of a user's turn as header"
NO_BEGINNING = "the tokenizer has no token that begins a text: give a header"
MARKS = ("@@user@@", "@@answer@@")  # words no template treats in a special way
SETTINGS = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}


@dataclass(frozen=True)
class Draws:
    """The view of ``n`` numbered draws in place of the records; of no records it is empty.

    >>> [s.text for s in Draws(2).apply(Samples.of(["some record"]))], len(Draws(2).apply(Samples()))
    (['draw 0', 'draw 1'], 0)
    """

    n: int = 1000

    def apply(self, samples: Samples) -> Samples:
        return Samples(Sample(f"draw-{i}", f"draw {i}") for i in range(self.n if len(samples) else 0))


@dataclass(frozen=True)
class FreeData:
    """One row a draw."""

    ids: Ragged  # int64: what was said, without the end-of-text token
    texts: np.ndarray  # (draws,) str: the same as text, special tokens left out; the two turns of a chat on two lines
    ended: np.ndarray  # (draws,) bool: the model said end-of-text (in a chat: after its answer)
    reason: np.ndarray  # (draws,) str: why there is no draw, empty when there is


@dataclass(frozen=True)
class FreeGenerations:
    """Texts drawn from nothing but a header."""

    header: str = ""
    chat: bool = False
    new_tokens: int = 64  # longest draw; in a chat the longest turn
    temperature: float = 1.0
    top_k: int = 0  # 0: no truncation
    top_p: float = 1.0  # 1: no truncation
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = FreeData

    def __post_init__(self) -> None:
        _ = self.sampler  # refuses settings that make no sense
        if self.new_tokens < 1:
            raise BadInput(f"new_tokens is {self.new_tokens}, expected at least 1")
        if self.temperature == 0:
            raise BadInput("temperature 0: every draw from one header would say the same; set it above 0")
        if self.chat and self.header:
            raise BadInput("a header and the chat template at once: set one of them")

    @property
    def sampler(self) -> Sampler:
        return Sampler(self.temperature, self.top_k, self.top_p)

    @property
    def passes(self) -> tuple[int, int]:
        """Forward passes a draw, one a token (of one token each, after the header)."""
        return (self.new_tokens * (1 + self.chat), 0)

    @property
    def rows(self) -> int:
        """How many times the width of its number a draw takes."""
        return max(1, self.new_tokens * (1 + self.chat) // 4)

    def measure(self, model: Any, batch: Samples) -> FreeData:
        """Draw once for every numbered row of ``batch`` (see ``Draws``)."""
        try:
            pieces = self.pieces(model.tokenizer)
        except BadInput as error:
            return self.blank(str(error), len(batch))
        prompt = np.asarray(pieces[0], dtype=np.int64)
        said = self._continued(model, [prompt] * len(batch), batch, turn=0)
        turns = [said]
        for turn, piece in enumerate(pieces[1:], start=1):
            on = [i for i, s in enumerate(said) if s.ended and not s.broken]
            prompts = [np.concatenate([prompt, said[i].ids, np.asarray(piece, dtype=np.int64)]) for i in on]
            answers = self._continued(model, prompts, batch.take(on), turn)
            turns.append([Said(prompt[:0])] * len(batch))
            for i, answer in zip(on, answers, strict=True):
                turns[-1][i] = answer
        return self._collect(model, turns)

    def pieces(self, tokenizer: Any) -> list[list[int]]:
        """Token ids of the header, and in a chat of what stands between the user's words and the answer's.

        Raises BadInput when the tokenizer has no chat template, or no token that begins a text.
        """
        if self.chat:
            return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in chat_pieces(tokenizer)]
        if self.header:
            return [tokenizer(self.header, add_special_tokens=False)["input_ids"]]
        begin = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        if begin is None:
            raise BadInput(NO_BEGINNING)
        return [[int(begin)]]

    def _continued(self, model: Any, prompts: Sequence[np.ndarray], batch: Samples, turn: int) -> list[Said]:
        draws = []
        for prompt, sample in zip(prompts, batch, strict=True):
            limit = max(0, min(self.new_tokens, model.context - len(prompt)))
            draws.append(Draw(prompt, limit, self._uniforms(sample, turn, limit)))
        return continuations(model, draws, self.sampler)

    def _uniforms(self, sample: Sample, turn: int, n: int) -> np.ndarray:
        key = int(digest(["free generations", self.seed, sample.text, turn]), 16)
        return np.random.default_rng(key).random(n)

    def _collect(self, model: Any, turns: list[list[Said]]) -> FreeData:
        rows = list(zip(*turns, strict=True))
        broken = [any(s.broken for s in row) for row in rows]
        ids = [
            np.concatenate([s.ids for s in row]) if not bad else row[0].ids[:0]
            for row, bad in zip(rows, broken, strict=True)
        ]
        texts = [
            "" if bad else "\n".join(t for t in (model.tokenizer.decode(s.ids.tolist(), **SETTINGS) for s in row) if t)
            for row, bad in zip(rows, broken, strict=True)
        ]
        return FreeData(
            ids=Ragged.of(ids, np.int64),
            texts=np.array(texts, dtype=object),
            ended=np.array([row[-1].ended and not bad for row, bad in zip(rows, broken, strict=True)], dtype=bool),
            reason=np.array([BROKEN if bad else "" for bad in broken], dtype=object),
        )

    def blank(self, reason: str, n: int) -> FreeData:
        """Rows that could not be drawn."""
        text = np.array([""] * n, dtype=object)
        return FreeData(
            Ragged.of([[]] * n, np.int64), text, np.zeros(n, dtype=bool), np.array([reason] * n, dtype=object)
        )


def chat_pieces(tokenizer: Any) -> tuple[str, str]:
    """What the chat template puts before the user's words, and between them and the answer's.

    A template that adds a system turn of its own is taken as it is. Raises BadInput when there is no template, or none
    that shows a user's words before an answer's.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise BadInput(NO_TEMPLATE)
    turns = [{"role": "user", "content": MARKS[0]}, {"role": "assistant", "content": MARKS[1]}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    before, found, rest = text.partition(MARKS[0])
    between, answered, _ = rest.partition(MARKS[1])
    if not found or not answered:
        raise BadInput("the chat template does not show a user's words before an answer's: give a header")
    return before, between
