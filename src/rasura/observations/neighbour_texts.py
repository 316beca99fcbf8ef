"""Near-identical texts: one token of a record swapped for another that could have stood there.

For every place j behind the record's context and the likeliest other tokens c there, the swap of x_j for c has score

    p(c) / (1 - p(x_j))          the probability of c given that the token there is not x_j

and the ``neighbours`` best-scored swaps over all places are kept, each as a text of its own. p comes from ``source``:

- "masked": a masked language model (role "masked") that reads the whole text while each number of token j's embedding
  is 0 with probability ``dropout`` (partly hidden: what is left keeps c close in meaning). One pass a token;
- "reference": the next-token distribution p(. | x_<j) of a language model (role "reference"). One pass;
- "random": any token of the target's own vocabulary anywhere. For control only: what is not fluent is unlikely for
  every model, so that every text looks like a member.

Every draw depends on ``seed`` and on the record's content alone; a record is read by itself, so that its neighbours do
not depend on company. ``_swaps`` says which tokens fit a place.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..core.errors import BadInput, NotYetSupported
from ..core.types import Sample, Samples, digest
from ._swaps import Span, Swap, Words, best, spans

SPARE = 4  # candidates looked at for each one kept: many do not fit their place
TRIES = 20  # random swaps tried for each one kept
TYPICAL = 64  # tokens of a text, for the bill
NONE_FITS = "no token of the text has a neighbour"


@dataclass(frozen=True)
class NeighbourData:
    """One row a sample, N = ``neighbours`` columns."""

    texts: np.ndarray  # (n, N) str: best-scored first; empty where there are fewer
    count: np.ndarray  # (n,) int64: how many there are
    reason: np.ndarray  # (n,) str: why there is none, empty when there is one


@dataclass(frozen=True)
class NeighbourTexts:
    """Near-identical texts of every record, one token swapped in each."""

    source: Literal["masked", "reference", "random"] = "masked"
    neighbours: int = 50
    candidates: int = 6  # most tokens tried at one place
    dropout: float = 0.7  # source "masked" only
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = NeighbourData

    def __post_init__(self) -> None:
        if self.source not in ("masked", "reference", "random"):
            raise BadInput(f"source is masked, reference or random; got {self.source}")
        if self.neighbours < 1 or self.candidates < 1:
            raise BadInput("neighbours and candidates must be at least 1")
        if not 0 <= self.dropout <= 1:
            raise BadInput(f"dropout is a share between 0 and 1, got {self.dropout}")

    @property
    def role(self) -> str:
        """The model asked for neighbours."""
        return "target" if self.source == "random" else self.source

    @property
    def passes(self) -> tuple[int, int]:
        """A masked model reads the text once for each of its tokens; 64 are assumed."""
        return ({"masked": TYPICAL, "reference": 1, "random": 0}[self.source], 0)

    def measure(self, model: Any, batch: Samples) -> NeighbourData:
        """Raises BadInput when the model is not of the kind the source asks for."""
        if (self.source == "masked") != hasattr(model, "likely"):
            kind = "a masked language model (BERT, RoBERTa, ...)" if self.source == "masked" else "a language model"
            raise BadInput(
                f"{model.name}: neighbours from source={self.source} need {kind}; this is {model.architecture}"
            )
        if not getattr(model.tokenizer, "is_fast", False):
            raise NotYetSupported(f"{model.name}: its tokenizer does not say which characters a token stands for")
        swaps = {"masked": self._masked, "reference": self._reference, "random": self._random}[self.source]
        words = Words(model.tokenizer)
        return self._collect([best(s.text, swaps(model, words, s), self.neighbours) for s in batch], NONE_FITS)

    def blank(self, reason: str, n: int) -> NeighbourData:
        """Rows that could not be measured."""
        return self._collect([[]] * n, reason)

    def _collect(self, found: list[list[str]], reason: str) -> NeighbourData:
        texts = np.full((len(found), self.neighbours), "", dtype=object)
        for i, row in enumerate(found):
            texts[i, : len(row)] = row
        count = np.array([len(row) for row in found], dtype=np.int64)
        return NeighbourData(texts, count, np.array([reason if not row else "" for row in found], dtype=object))

    def _masked(self, model: Any, words: Words, sample: Sample) -> Iterator[Swap]:
        places = model.places(sample.text)
        read = spans(sample.text, places.ids, places.begin, places.end)
        at = np.array([j for j, s in enumerate(read) if s.begin >= sample.start and s.end > s.begin], dtype=np.int64)
        if len(at):
            own = int(digest(["neighbours", self.seed, sample.digest]), 16) % (1 << 31)
            likely = model.likely(places.ids, at, SPARE * self.candidates, self.dropout, own)
            yield from self._fitting(words, sample.text, [read[j] for j in at], *likely)

    def _reference(self, model: Any, words: Words, sample: Sample) -> Iterator[Swap]:
        import torch

        encoded, read = model.encode(sample), _spans_of(model, sample.text)
        at = encoded.first
        with torch.inference_mode():
            for _, target, logits in model.scored_logits([encoded]) if encoded.scored else ():
                logits = logits.scatter(1, target[:, None], -torch.inf)
                top = torch.softmax(logits, dim=-1).topk(min(SPARE * self.candidates, logits.shape[1] - 1), dim=-1)
                ids, chance = top.indices.cpu().numpy(), top.values.cpu().numpy().astype(np.float64)
                yield from self._fitting(words, sample.text, read[at : at + len(ids)], ids, chance)
                at += len(ids)

    def _fitting(
        self, words: Words, text: str, read: list[Span], ids: np.ndarray, chance: np.ndarray
    ) -> Iterator[Swap]:
        """At every place the first ``candidates`` of the likeliest tokens that fit there."""
        for span, row, scores in zip(read, ids, chance, strict=True):
            kept = 0
            for candidate, score in zip(row.tolist(), scores.tolist(), strict=True):
                word = words.written(text, span, candidate)
                if word and kept < self.candidates:
                    kept += 1
                    yield Swap(span.begin, span.end, word, score)

    def _random(self, model: Any, words: Words, sample: Sample) -> Iterator[Swap]:
        read = [s for s in _spans_of(model, sample.text) if s.begin >= sample.start and s.end > s.begin]
        dice = random.Random(f"neighbours {self.seed} {sample.digest}")
        for _ in range(TRIES * self.neighbours if read else 0):
            span = dice.choice(read)
            word = words.written(sample.text, span, dice.randrange(model.vocabulary_size))
            if word:
                yield Swap(span.begin, span.end, word, dice.random())


def _spans_of(model: Any, text: str) -> list[Span]:
    out = model.tokenizer(text, return_offsets_mapping=True, verbose=False)
    begin, end = ([pair[k] for pair in out["offset_mapping"]] for k in (0, 1))
    return spans(text, out["input_ids"], begin, end)
