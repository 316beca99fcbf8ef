"""Rare synonyms in the owner's documents, chosen by coin flips that only the owner knows."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import stdtr

from ..core.errors import BadInput
from ..core.protocols import Marked, Query
from ..core.records import MarkTest
from ..core.registry import method
from ..core.types import Ask, Sample, Samples
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.intervals import difference_of_means, mean_estimate, welch
from ..stats.token_scores import lowest_mean, standardised
from ._math import sign_flip_p_value
from ._synonyms import SynonymTable, synonym_table

WORD = re.compile(r"\b[a-z]+\b")
SENTENCE = re.compile(r"[^.!?]+[.!?]*")
LOWEST = 0.2  # share of tokens Min-K%++ looks at


@method(paper="arXiv:2506.14474")
@dataclass(frozen=True)
class LexicalMark:
    """Words replaced by rarer synonyms, one of two by a coin; a model trained on them prefers the published choice.

    Embedding, sentence by sentence: the ``per_sentence`` words of the table that have the largest surprisal
    -log2 f(w), f the frequency of w, each have two candidates, the rarest of their synonyms (or the rarest and the word
    itself). A fair coin for each word of a text, the same wherever that text has the word, publishes one and keeps the
    other for the twin: the text with every coin the other way, which nobody ever sees. Capitalised words (names) stay.

    Paired test, the one a verdict speaks of. Over the n texts with at least one replaced word,

        d_i = log p(published_i) - log p(twin_i)         minus the same under a reference model where there is one
        p   = P[ sum_i s_i |d_i| >= sum_i d_i ]           over fair coins s_i in {-1, 1}

    exact, because for a model that did not read the texts the published one and its twin are exchangeable, whatever the
    words are; enumerated up to 14 texts, else (1 + count)/(1 + ``draws``). Welch's t test on the Min-K%++ scores (20 %)
    of published texts against their twins stands beside it, as published. Nats a text; NaN when no text has a pair.

    ``synonyms``: a file of sets, one a line, "word frequency, word frequency, ..."; the built-in table has about 130.

    Source: German, Antebi, Habler, Shabtai and Elovici, "LexiMark: robust watermarking via lexical substitutions to
    enhance membership verification of an LLM's textual training data", 2025, and their code. Deviations: that code
    minimises -f log2 f over the known words; here surprisal -log2 f ranks words and candidates alike; candidates come
    from a table and not from BERT and WordNet; the coin and the twin are ours, where the authors compare with other
    texts, equally marked.

    By hand: "big" 240 and "hefty" 2 of a million words: -log2 f = 12.02 and 18.93 bits.

    >>> table = synonym_table()
    >>> round(table.surprisal("big"), 2), round(table.surprisal("hefty"), 2)
    (12.02, 18.93)
    """

    per_sentence: int = 5
    synonyms: str = ""
    draws: int = 9999

    evidence: ClassVar[str] = "key"
    finds: ClassVar[str] = "the model was trained on the marked texts"

    def __post_init__(self) -> None:
        if self.per_sentence < 1 or self.draws < 1:
            raise BadInput("lexical_mark: per_sentence and draws start at 1")

    def embed(self, samples: Samples, *, seed: int = 0) -> Marked:
        """The texts with their words replaced, and the key. Raises BadInput when no text has a word of the table."""
        table = synonym_table(self.synonyms)
        rng = np.random.default_rng([seed, 0])
        texts, kept = [], []
        for sample in samples:
            text, slots = self._replaced(sample.text, table, rng)
            texts.append(text)
            if slots:
                kept.append({"id": sample.id, "text": text, "slots": slots})
        if not kept:
            raise BadInput("lexical_mark: no text has a word of the synonym table; set synonyms to a table of your own")
        return Marked(tuple(texts), {"texts": kept, "seed": seed})

    def queries(self, evidence: Mapping[str, Any], roles: Collection[str]) -> Mapping[str, Query]:
        published = Samples(Sample(t["id"], t["text"]) for t in evidence["texts"])
        twins = Samples(Sample(t["id"], twin(t["text"], t["slots"])) for t in evidence["texts"])
        found = {}
        for role in ("target", "reference"):
            if role in roles:
                prefix = "" if role == "target" else "reference_"
                found[f"{prefix}published"] = Query(Ask(TokenStatistics(), of=role), published)
                found[f"{prefix}twins"] = Query(Ask(TokenStatistics(), of=role), twins)
        return found

    def test(
        self, evidence: Mapping[str, Any], published: TokenData, twins: TokenData, **reference: TokenData
    ) -> tuple[MarkTest, ...]:
        d = published.log_probability.sum() - twins.log_probability.sum()
        if reference:
            mine, other = (reference[f"reference_{k}"].log_probability.sum() for k in ("published", "twins"))
            d = d - (mine - other)
        n = int(np.sum(~np.isnan(d)))
        note = "" if n else "no text and its twin could be scored"
        p = sign_flip_p_value(d, self.draws)
        return MarkTest("paired coin flips", mean_estimate(d, "nats a text"), p, n, note), _welch(published, twins)

    def _replaced(self, text: str, table: SynonymTable, rng: np.random.Generator) -> tuple[str, list[list[Any]]]:
        """The published text and its slots: [begin, end, what the twin says there]."""
        chosen: dict[str, tuple[str, str]] = {}
        out, slots, at, length = [], [], 0, 0
        for begin, end in self._slots(text, table):
            word = text[begin:end]
            if word not in chosen:
                pair = table.pair(word)
                chosen[word] = pair if rng.random() < 0.5 else pair[::-1]
            said, kept = chosen[word]
            out += [text[at:begin], said]
            length += begin - at + len(said)
            slots.append([length - len(said), length, kept])
            at = end
        return "".join([*out, text[at:]]), slots

    def _slots(self, text: str, table: SynonymTable) -> list[tuple[int, int]]:
        """Where words are replaced: the most surprising ones of each sentence that have synonyms, in order."""
        found: list[tuple[int, int]] = []
        for sentence in SENTENCE.finditer(text):
            words = [m for m in WORD.finditer(text, *sentence.span()) if m.group() in table and not _in_name(text, m)]
            words.sort(key=lambda m: (-table.surprisal(m.group()), m.start()))
            found += [m.span() for m in words[: self.per_sentence]]
        return sorted(found)


def twin(text: str, slots: list[list[Any]]) -> str:
    """The text with every coin the other way.

    >>> twin("a hefty dog", [[2, 7, "sizeable"]])
    'a sizeable dog'
    """
    for begin, end, other in reversed(slots):
        text = text[:begin] + other + text[end:]
    return text


def _in_name(text: str, word: re.Match[str]) -> bool:
    """Part of a hyphenated or apostrophised word, an address or a path."""
    around = text[max(0, word.start() - 1) : word.start()] + text[word.end() : word.end() + 1]
    return any(c in "-'_/@\u2019" or c.isalnum() for c in around)


def _welch(published: TokenData, twins: TokenData) -> MarkTest:
    """The published test: do equally marked texts that were trained on score higher than those that were not?"""
    a, b = (x[~np.isnan(x)] for x in (_min_k(published), _min_k(twins)))
    estimate = difference_of_means(a, b, "Min-K%++, standard deviations")
    p = math.nan
    if min(len(a), len(b)) >= 2:
        shift, error, freedom = welch(a, b)
        p = float(stdtr(freedom, -shift / error)) if error > 0 else math.nan
    return MarkTest("Welch on Min-K%++", estimate, p, len(a) + len(b))


def _min_k(data: TokenData) -> np.ndarray:
    """Min-K%++ of each text: (n,)."""
    rows = zip(data.log_probability, data.mean, data.deviation, strict=True)
    return np.array([lowest_mean(standardised(*row), LOWEST) for row in rows], dtype=np.float64)
