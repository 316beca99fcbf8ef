"""Which kinds of made-up code come out word for word, by copies and size of the model: what one claim is read from.

Passages of six kinds (``testbeds._code_plants``) among others of the same kinds, one model for each of ``widths``,
``epochs`` times over all of them. All kinds are asked for equally much: ``suffix`` tokens after their cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..core.types import Samples
from ..extraction.code_traces import CodeTraces
from ..testbeds._code_plants import code_background, code_plants
from ..testbeds._tokenizer import train_tokenizer
from ..testbeds._training import Recipe, as_documents
from ._own_models import extracted, trained

COUNTS = (16, 16, 8, 4)  # plants of each kind at each of DOSES
DOSES = (0, 4, 16, 64)


@dataclass(frozen=True)
class CodeData:
    """One row a passage; S sizes, smallest first."""

    kind: np.ndarray  # (n,) str
    dose: np.ndarray  # (n,) int64: copies an epoch, 0 = never seen
    exact: np.ndarray  # (n, S) 1: word for word
    bleu: np.ndarray  # (n, S) BLEU-4 over characters
    nats: np.ndarray  # (n, S) a token of what is to be extracted, minus its mean log-probability


@dataclass(frozen=True)
class CodeLeaks:
    """One seed: a model of each width, asked for every plant."""

    widths: tuple[int, ...] = (64, 128)
    background: int = 600
    counts: tuple[int, ...] = COUNTS
    suffix: int = 16
    epochs: int = 2

    Data: ClassVar[type] = CodeData
    modules: ClassVar[tuple[str, ...]] = ()
    testbed: ClassVar[str] = ""

    @property
    def ticks(self) -> int:
        return len(self.widths)

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> CodeData:
        """Ticks after every model."""
        plants, _ = code_plants(seed, dict(zip(DOSES, self.counts, strict=True)))
        background = code_background(self.background, seed)
        members = plants.where(lambda s: bool(s.repeats))
        documents = Samples([*as_documents(background, "background"), *members])
        tokenizer = train_tokenizer(background)
        columns = []
        for width in self.widths:
            recipe = replace(Recipe(), hidden=width, epochs=self.epochs)
            model = trained(documents, tokenizer, recipe, seed, f"width {width}")
            found = extracted(CodeTraces(suffix_tokens=self.suffix), model, plants)
            columns.append((found.success, found.curves[0].values[:, 0], -found.log_probability / found.tokens))
            tick()
        exact, bleu, nats = (np.stack(column, axis=1) for column in zip(*columns, strict=True))
        return CodeData(
            kind=np.array([s.family for s in plants], dtype=object),
            dose=np.array([s.repeats or 0 for s in plants], dtype=np.int64),
            exact=exact,
            bleu=bleu,
            nats=nats,
        )
