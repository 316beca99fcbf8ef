"""Does the rest of a record come out if the attacker begins somewhere else?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Budget, Recovered, Request, Sample, Samples
from ..observations._cut import cut_of
from ..observations._suffix import SUFFIX_TOKENS
from ..observations.token_statistics import TokenData
from ._observe import observed, share_line, within


def without_first_words(sample: Sample, words: int) -> Sample | None:
    """The record without its first ``words`` words, positions moved along; None when they reach into the secret.

    The blank stays with the word that follows it, as tokenizers want it.

    >>> without_first_words(Sample("a", "My code is 1234", secret=11), 1)
    Sample(id='a', text=' code is 1234', start=0, secret=9, repeats=None, family='', picture=None, shows='')
    """
    ends = [m.end() for m in re.finditer(r"\s*\S+", sample.text)]
    limit = len(sample.text) if sample.secret is None else sample.secret
    if words >= len(ends) or ends[words - 1] >= limit:
        return None
    at = ends[words - 1]
    secret = None if sample.secret is None else sample.secret - at
    return replace(sample, text=sample.text[at:], start=max(0, sample.start - at), secret=secret)


@method(paper="arXiv:2202.07646")
@dataclass(frozen=True)
class Prefixes:
    """Forget records that greedy decoding completes word for word from any of several beginnings.

    Recovered = the rest comes out from at least one of

    - a longer or shorter prompt: the first ``contexts`` shares of the scored tokens, each with the rest (at most 50
      tokens) to be said; only for records without a marked secret, whose place is not open to choice;
    - the usual prompt without its first ``dropped`` words, with the usual suffix to be said.

    An eraser that unlearned one way of asking, the usual prompt, is shown by the others. Longer prompts make success
    easier for every model: compare with the retrained one. Greedy decoding says a suffix if and only if every
    teacher-forced first choice is right, so one pass a text covers all cuts. Queries: one a forget record for the cuts
    and one for each word count dropped; ``budget.queries`` leaves out the last word counts first.
    BadInput when it is less than one a record.

    Source: Carlini, Ippolito, Jagielski, Lee, Tramer and Zhang, "Quantifying memorization across neural language
    models", ICLR 2023: more context discovers more memorisation; the shifted prompts are a choice of this package.

    By hand: 8 tokens, all right from the sixth on: a prompt of 75 % (6 tokens) recovers the rest, 50 % does not.

    >>> rank = np.array([1, 0, 0, 0, 2, 0, 0, 0])
    >>> [completes(rank, int(share * 8)) for share in (0.5, 0.75)]
    [False, True]
    """

    contexts: tuple[float, ...] = (0.25, 0.5, 0.75)
    dropped: tuple[int, ...] = (1, 2, 4)

    access: ClassVar[str] = "black-box"

    def __post_init__(self) -> None:
        if not all(0.0 <= share < 1.0 for share in self.contexts) or not all(words >= 1 for words in self.dropped):
            raise BadInput("prefixes: contexts are shares from 0 to below 1, dropped are counts of at least 1 word")

    def attack(self, model: Any, request: Request, budget: Budget, *, seed: int = 0, before: Any = None) -> Recovered:
        """Try every beginning the budget allows. Nothing is drawn, so ``seed`` has no effect."""
        forget = request.forget
        within(budget.queries, len(forget))
        plain = observed(model, forget)
        tries = [("usual prompt", self._usual(plain)), *self._cuts(plain, forget)]
        queries = len(forget)
        for words in self.dropped:
            moved = {i: s for i, s in enumerate(without_first_words(s, words) for s in forget) if s is not None}
            if moved and (not budget.queries or queries + len(moved) <= budget.queries):
                tries.append((f"first {words} words dropped", self._shifted(model, forget, plain, moved)))
                queries += len(moved)
        score = np.fmax.reduce([found for _, found in tries])
        lines = tuple(share_line(f"{name}:", found) for name, found in tries)
        return Recovered(score, lines, Budget(queries=queries))

    def _usual(self, data: TokenData) -> np.ndarray:
        return _judge(data, cut_of(data))

    def _cuts(self, data: TokenData, samples: Samples) -> Iterator[tuple[str, np.ndarray]]:
        """Other cuts of the same text, where the record marks none."""
        free = np.array([s.secret is None for s in samples])
        for share in self.contexts if free.any() else ():
            cut = (share * data.tokens).astype(np.int64)
            yield f"{100 * share:g} % of the text", np.where(free, _judge(data, cut), np.nan)

    def _shifted(self, model: Any, samples: Samples, plain: TokenData, moved: dict[int, Sample]) -> np.ndarray:
        """The usual suffix after a prompt that begins later: (n,), NaN where there is no such prompt."""
        found = np.full(len(samples), np.nan)
        data, usual = observed(model, Samples(moved.values())), cut_of(plain)
        for row, (i, sample) in enumerate(moved.items()):
            left = int(plain.tokens[i] - usual[i])  # tokens from the usual cut to the end: the same in both texts
            ids, same = model.encode(sample).ids[-left:], model.encode(samples[i]).ids[-left:]
            if 0 < left <= data.tokens[row] and np.array_equal(ids, same):
                found[i] = completes(data.rank[row], int(data.tokens[row]) - left)
        return found


def completes(rank: np.ndarray, cut: int) -> bool:
    """Whether greedy decoding says the tokens after ``cut``, at most 50 of them."""
    return not rank[cut : cut + SUFFIX_TOKENS].any()


def _judge(data: TokenData, cut: np.ndarray) -> np.ndarray:
    rows = zip(data.rank, cut, data.tokens, strict=True)
    return np.array([float(completes(rank, c)) if c < n else np.nan for rank, c, n in rows], dtype=np.float64)
