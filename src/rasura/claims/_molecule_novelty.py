"""Strings that a model of made-up molecules writes unasked, after a corpus with and without copies.

Both corpora hold equally many strings, the same molecules first: in one, half of the strings are copies of a few
(``testbeds._molecules.corpora``). One model is trained on each, ``epochs`` times over it, and draws at temperature 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..core.types import Samples
from ..extraction.novelty import ABSENT, NO_STRING, Generated, Novelty
from ..testbeds._molecules import corpora
from ..testbeds._tokenizer import train_tokenizer
from ..testbeds._training import Recipe
from ._own_models import extracted, trained

CORPORA = ("duplicated", "deduplicated")
LETTERS = 258  # a vocabulary of bytes and two special tokens: a letter is a token


@dataclass(frozen=True)
class MoleculeData:
    """First one row a draw of either model, then one a string of the corpora; what does not apply is -1."""

    corpus: np.ndarray  # (n,) str: whose model, whose string
    string: np.ndarray  # (n,) int64: equal number, equal string; -1 not valid
    record: np.ndarray  # (n,) int64: which string of the corpus a draw is, -1 none
    copies: np.ndarray  # (n,) int64: of a string of the corpus an epoch; 0: the row is a draw
    times: np.ndarray  # (n,) int64: draws that are this string

    def draws(self, corpus: str, first: int | None = None) -> Generated:
        """The draws of one model, or the first of them, as ``extraction.novelty`` reads them."""
        mine, blank = np.flatnonzero((self.corpus == corpus) & (self.copies == 0))[:first], np.zeros(0)
        return Generated(*[blank] * 5, string=self.string[mine], record=self.record[mine])


@dataclass(frozen=True)
class MoleculeNovelty:
    """One seed: two corpora, two trainings, draws from both."""

    strings: int = 500
    draws: int = 1000
    new_tokens: int = 48
    epochs: int = 40
    learning_rate: float = 2e-3
    rows: int = 1  # of 128 tokens a step: many small steps memorise better than few large ones
    width: int = 128

    Data: ClassVar[type] = MoleculeData
    modules: ClassVar[tuple[str, ...]] = ()
    testbed: ClassVar[str] = ""
    ticks: ClassVar[int] = len(CORPORA)

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> MoleculeData:
        """Ticks after every model."""
        samples = dict(zip(CORPORA, corpora(self.strings, seed), strict=True))
        tokenizer = train_tokenizer(samples["deduplicated"].texts, LETTERS)
        recipe = replace(
            Recipe(),
            hidden=self.width,
            vocabulary=LETTERS,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            rows=self.rows,
        )
        parts = []
        for name, corpus in samples.items():
            model = trained(corpus, tokenizer, recipe, seed, name)
            asked = Novelty(draws=self.draws, new_tokens=self.new_tokens, valid="smiles", seed=seed)
            parts.append(_rows(name, corpus, extracted(asked, model, corpus)))
            tick()
        return MoleculeData(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _rows(name: str, corpus: Samples, found: Generated) -> tuple[np.ndarray, ...]:
    """Columns of ``MoleculeData``: draws, then strings."""
    n, m = found.draws, len(corpus)
    return (
        np.array([name] * (n + m), dtype=object),
        np.concatenate([found.string, np.full(m, NO_STRING)]).astype(np.int64),
        np.concatenate([found.record, np.full(m, ABSENT)]).astype(np.int64),
        np.array([0] * n + [s.repeats or 0 for s in corpus], dtype=np.int64),
        np.concatenate([np.full(n, -1), found.times]).astype(np.int64),
    )
