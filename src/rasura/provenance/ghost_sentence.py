"""A secret sentence of random words in the owner's documents, which a model that read them finds less strange."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.stats import binom

from ..core.errors import BadInput
from ..core.protocols import Marked, Query
from ..core.records import MarkTest
from ..core.registry import method
from ..core.types import Ask, Sample, Samples
from ..observations._suffix import suffix, verbatim
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.intervals import proportion
from ..stats.randomness import permutation_p_value
from ._words import list_digest, word_list

SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?=\s|$)")


def last_words_p_value(hits: int, phrases: int, size: int, last: int, by_chance: float = 0.0) -> float:
    """P[Binomial(phrases, q) >= hits] with q = max(size^-last, by_chance).

    By hand: one passphrase, its last word said, of 7776: 1/7776. Two of two: its square.

    >>> round(1 / last_words_p_value(1, 1, 7776, 1)), round(last_words_p_value(2, 2, 100, 1), 9)
    (7776, 0.0001)
    """
    return float(binom.sf(hits - 1, phrases, max(float(size) ** -last, by_chance)))


@method(paper="arXiv:2403.15740")
@dataclass(frozen=True)
class GhostSentence:
    """A passphrase of random words in every document; a model trained on them knows it better than fresh ones.

    Embedding: each of ``phrases`` passphrases is ``length`` words drawn with replacement from a list of V words (built
    in: 7776; or one word a line in the file ``words``). Documents take them in turn. The passphrase stands as a
    sentence of its own behind a sentence that ends in the document's second half, else at the end.

    Perplexity test, the one a verdict speaks of. With L(w) the mean log-probability of the tokens of passphrase w,
    nothing before it, averaged over the passphrases, and ``fresh`` further draws w_1, .., w_N from the same list:

        p = (1 + #{ j : L(w_j) >= L(w) }) / (N + 1)

    exact, because own and fresh passphrases are exchangeable for a model that saw neither. Last-words test: h of the
    m passphrases are completed by greedy decoding in all tokens of their last ``last`` words:

        p = P[ Binomial(m, q) >= h ],     q = max( V^-last, share of the fresh passphrases completed )

    V^-last alone is too small where the model prefers some words of the list. The same passphrase in many documents is
    one trial, not many. NaN when a passphrase cannot be scored.

    Source: Zhao, Zhu, Quan and Yang, "Protecting copyrighted material with unique identifiers in large language model
    training" (first: "Ghost sentence"), 2024. Deviations: the last-words test is read off teacher-forced ranks, which
    say what greedy decoding would; q as above; the document is not put in front of the passphrase, so that the owner's
    key needs no text. Length, list and insertion are choices of this package, following the paper's advice: natural words,
    second half, at least ten repetitions for the last-words test.

    By hand: own -1, four fresh ones -1.5, -2, -.5, -3: one is as likely, p = 2/5.

    >>> permutation_p_value([-1.5, -2.0, -0.5, -3.0], -1.0)
    0.4
    """

    length: int = 12
    phrases: int = 1
    words: str = ""
    last: int = 1
    fresh: int = 4999

    evidence: ClassVar[str] = "key"
    finds: ClassVar[str] = "the model was trained on the marked texts"

    def __post_init__(self) -> None:
        if self.length < 2 or self.phrases < 1 or self.fresh < 1 or not 1 <= self.last < self.length:
            raise BadInput("ghost_sentence: length from 2, phrases and fresh from 1, last from 1 to length - 1")

    def embed(self, samples: Samples, *, seed: int = 0) -> Marked:
        """The documents with their passphrase, and the key. The same seed gives the same passphrases and places."""
        words = word_list(self.words)
        phrases = self._draw(words, np.random.default_rng([seed, 0]), self.phrases)
        rng = np.random.default_rng([seed, 1])
        texts, places = [], []
        for i, sample in enumerate(samples):
            phrase, at = phrases[i % len(phrases)], _place(sample.text, rng)
            texts.append(_with(sample.text, at, phrase) if sample.text.strip() else sample.text)
            places.append([sample.id, at, i % len(phrases)])
        return Marked(
            tuple(texts), {"phrases": phrases, "list": list_digest(words), "fresh_seed": [seed, 2], "places": places}
        )

    def queries(self, evidence: Mapping[str, Any], roles: Collection[str]) -> Mapping[str, Query]:
        """Raises BadInput when the word list is not the one the key was drawn from."""
        words = word_list(self.words)
        if evidence["list"] != list_digest(words):
            raise BadInput("ghost_sentence: the key was drawn from another word list; set words to that file")
        own = evidence["phrases"]
        drawn = self._draw(words, np.random.default_rng(evidence["fresh_seed"]), self.fresh * len(own))
        ask = Ask(TokenStatistics())
        return {"own": Query(ask, self._samples("own", own)), "fresh": Query(ask, self._samples("fresh", drawn))}

    def test(self, evidence: Mapping[str, Any], own: TokenData, fresh: TokenData) -> tuple[MarkTest, ...]:
        m = len(evidence["phrases"])
        mine, groups = float(np.mean(-own.loss)), np.mean(-fresh.loss.reshape(-1, m), axis=1)
        groups = groups[~np.isnan(groups)]
        below = 0 if np.isnan(mine) else int(np.sum(groups < mine))
        note = "" if not np.isnan(mine) else "a passphrase could not be scored"
        shares = proportion(
            below, 0 if note else len(groups), "share of fresh passphrases less likely", "clopper-pearson"
        )
        perplexity = MarkTest("perplexity", shares, permutation_p_value(groups, mine), m, note)
        return perplexity, self._last_words(own, fresh, m)

    def _last_words(self, own: TokenData, fresh: TokenData, m: int) -> MarkTest:
        said, by_chance = (verbatim(suffix(d, d.rank, suffix_tokens=0)) for d in (own, fresh))
        unit, name = "share of passphrases completed", f"last {self.last} word{'s' * (self.last > 1)}"
        if np.isnan(said).any():
            return MarkTest(name, proportion(0, 0, unit), float("nan"), m, "a passphrase could not be scored")
        hits, size = int(said.sum()), len(word_list(self.words))
        chance = float(np.nanmean(by_chance))
        p = last_words_p_value(hits, m, size, self.last, chance)
        note = f"chance of a hit: {max(float(size) ** -self.last, chance):.2g}"
        return MarkTest(name, proportion(hits, m, unit, "clopper-pearson"), p, m, note)

    def _draw(self, words: tuple[str, ...], rng: np.random.Generator, n: int) -> list[str]:
        return [" ".join(words[i] for i in row) for row in rng.integers(0, len(words), size=(n, self.length))]

    def _samples(self, name: str, phrases: list[str]) -> Samples:
        """Only the passphrase is scored: the blank in front is what stands there in a document."""
        return Samples(
            Sample(f"{name}-{i}", f" {p}", start=1, secret=1 + len(" ".join(p.split(" ")[: -self.last])))
            for i, p in enumerate(phrases)
        )


def _place(text: str, rng: np.random.Generator) -> int:
    """Behind a sentence that ends in the second half; the end of the text where there is none."""
    ends = [m.end() for m in SENTENCE_END.finditer(text) if m.end() >= len(text) / 2]
    return int(rng.choice(ends)) if ends else len(text.rstrip())


def _with(text: str, at: int, phrase: str) -> str:
    return f"{text[:at]} {phrase}.{text[at:]}"
