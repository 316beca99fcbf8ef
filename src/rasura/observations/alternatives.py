"""How probable a secret is among others that could have stood in its place.

The characters of a secret that belong to ``alphabet`` (the digits of an access code) are replaced by random ones of
that alphabet, ``references`` times, and each alternative is scored on the secret's tokens alone, after the same
context:

    score(s) = sum over the tokens t of s of  log p(x_t | x_<t)          nats

A sample qualifies when its secret is marked, holds at least one character of the alphabet and no other letter or
digit, so that everything in it that carries information is random. All alternatives differ from the secret and from
each other; where fewer than ``references`` exist, all of them are scored. An alternative that the tokenizer cuts into
another number of tokens is left out, because a longer secret would be less probable for no other reason.

The draw depends on ``seed`` and on the sample's content alone: order and company do not change it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ragged, Sample, Samples
from ..stats.randomness import exposure_rank

LEAST_TOKENS = 1024  # tokens tried at once however small the batch is
UNSUITABLE = "no marked secret made of characters of the alphabet"


@dataclass(frozen=True)
class AlternativeData:
    """One row a sample."""

    candidate: np.ndarray  # (n,) float64: nats, log-probability of the true secret; NaN where it cannot be scored
    references: Ragged  # nats, float32: the same of each alternative
    space: np.ndarray  # (n,) float64: bits, log2 of how many secrets of this form there are
    tokens: np.ndarray  # (n,) int64: tokens of the secret
    reason: np.ndarray  # (n,) str: why a sample could not be scored, empty when it was

    @property
    def exposure(self) -> np.ndarray:
        """(n,) bits, by rank among the references; NaN without references.

        By hand: a secret more probable than all of 7 others has rank 1 of 8, log2 8 = 3 bits; than none of them, 0.

        >>> two = np.ones(2)
        >>> AlternativeData(-two * [1, 3], Ragged.of([[-2.0] * 7] * 2), two, two, two).exposure.tolist()
        [3.0, 0.0]
        """
        pairs = zip(self.candidate, self.references, strict=True)
        return np.array([exposure_rank(c, r) if len(r) else math.nan for c, r in pairs], dtype=np.float64)

    @property
    def most_bits(self) -> float:
        """The largest exposure these references can show: log2 of their number plus one, 0 without any."""
        return math.log2(1 + max(self.references.lengths, default=0))


@dataclass(frozen=True)
class Alternatives:
    """Log-probability of every marked secret and of random ones of the same form."""

    references: int = 200
    seed: int = 0
    alphabet: str = "0123456789"

    version: ClassVar[int] = 1
    Data: ClassVar[type] = AlternativeData

    def __post_init__(self) -> None:
        if self.references < 1:
            raise BadInput(f"references is {self.references}: expected at least 1 alternative a secret")
        if len(set(self.alphabet)) < 2 or len(set(self.alphabet)) < len(self.alphabet):
            raise BadInput("alphabet: expected at least 2 characters, each once")

    def measure(self, model: Any, batch: Samples) -> AlternativeData:
        """Score each secret and its alternatives, as many tokens at once as ``batch`` holds itself."""
        budget = max(LEAST_TOKENS, sum(len(model.encode(s).ids) for s in batch))
        return _collect([self._row(model, sample, budget) for sample in batch])

    def blank(self, reason: str, n: int) -> AlternativeData:
        """Rows that could not be measured."""
        return _collect([_Row(reason=reason)] * n)

    def _row(self, model: Any, sample: Sample, budget: int) -> _Row:
        size = _free_characters(sample, self.alphabet)
        if size == 0:
            return _Row(reason=UNSUITABLE)
        true, *others = (replace(sample, start=sample.secret, text=text) for text in self._texts(sample, size))
        tokens = model.encode(true).scored
        kept = [true, *(s for s in others if _tokens(model, s) == tokens)]
        scores = _scores(model, Samples(kept), budget)
        good = tokens > 0 and bool(np.isfinite(scores[0]))
        if not good:
            return _Row(reason="no token to score" if tokens == 0 else "the model's answer is not finite")
        return _Row(float(scores[0]), scores[1:][np.isfinite(scores[1:])], size * math.log2(len(self.alphabet)), tokens)

    def _texts(self, sample: Sample, size: int) -> Iterator[str]:
        """The true text, then its alternatives."""
        yield sample.text
        head, tail = sample.text[: sample.secret], sample.text[sample.secret :]
        for number in self.draws(sample, size):
            yield head + _written(tail, number, self.alphabet)

    def draws(self, sample: Sample, size: int) -> list[int]:
        """Distinct random numbers of ``size`` digits in base len(``alphabet``), none of them the sample's own."""
        space, own = len(self.alphabet) ** size, _number(sample.text[sample.secret :], self.alphabet)
        if space - 1 <= self.references:
            return [k for k in range(space) if k != own]
        dice, found = random.Random(f"{self.seed} {sample.digest}"), dict.fromkeys([own])
        while len(found) <= self.references:
            found.setdefault(dice.randrange(space))
        return list(found)[1:]


@dataclass(frozen=True)
class _Row:
    candidate: float = math.nan
    references: Any = ()
    space: float = math.nan
    tokens: int = 0
    reason: str = ""


def _collect(rows: list[_Row]) -> AlternativeData:
    return AlternativeData(
        np.array([r.candidate for r in rows], dtype=np.float64),
        Ragged.of([r.references for r in rows], np.float32),
        np.array([r.space for r in rows], dtype=np.float64),
        np.array([r.tokens for r in rows], dtype=np.int64),
        np.array([r.reason for r in rows], dtype=object),
    )


def _tokens(model: Any, sample: Sample) -> int:
    """Scored tokens of an alternative; -1 where it does not fit the context, though the record itself did."""
    try:
        return model.encode(sample).scored
    except BadInput:
        return -1


def _free_characters(sample: Sample, alphabet: str) -> int:
    """How many characters of the secret are random; 0 when the sample does not qualify."""
    secret = "" if sample.secret is None else sample.text[sample.secret :]
    if any(c.isalnum() and c not in alphabet for c in secret):
        return 0
    return sum(c in alphabet for c in secret)


def _number(secret: str, alphabet: str) -> int:
    """The secret's characters of the alphabet, read as one number.

    >>> _number("04-2.", "0123456789")
    42
    """
    number = 0
    for character in secret:
        if character in alphabet:
            number = number * len(alphabet) + alphabet.index(character)
    return number


def _written(secret: str, number: int, alphabet: str) -> str:
    """The secret with ``number`` in place of its own.

    >>> _written("04-2.", 917, "0123456789")
    '91-7.'
    """
    characters = list(secret)
    for i in reversed(range(len(characters))):
        if characters[i] in alphabet:
            number, digit = divmod(number, len(alphabet))
            characters[i] = alphabet[digit]
    return "".join(characters)


def _scores(model: Any, samples: Samples, budget: int) -> np.ndarray:
    """Log-probability of the scored part of each sample: (n,) float64."""
    import torch

    width = max(len(model.encode(s).ids) for s in samples)
    size, sums = max(1, budget // width), []
    with torch.inference_mode():
        for at in range(0, len(samples), size):
            sums.append(
                model.score(samples.take(range(at, min(at + size, len(samples))))).sums().double().cpu().numpy()
            )
    return np.concatenate(sums)
