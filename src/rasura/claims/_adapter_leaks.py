"""Tokens read off one batch's LoRA gradients, by rank of the adapters and size of the batch: what one claim is read from.

Batches of held-out documents, which the model never saw: of 8 tokens (one text of 8), 32 (one of 32) and 128 (four of
32), under the testbed's target, with adapters of every rank. No order is searched for beyond the likeliest (one beam).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..core.types import Samples
from ..extraction.federated_gradients import FederatedGradients
from ._own_models import extracted


@dataclass(frozen=True)
class AdapterLeakData:
    """One row a batch."""

    rank: np.ndarray  # (n,) int64 of the adapters
    tokens: np.ndarray  # (n,) int64 in the batch
    precision: np.ndarray  # (n,) of the set of tokens
    recall: np.ndarray  # (n,)
    f1: np.ndarray  # (n,)
    rouge: np.ndarray  # (n,) ROUGE-L of the best recovered text
    exact: np.ndarray  # (n,) 1: a recovered text is the record


@dataclass(frozen=True)
class AdapterLeaks:
    """One seed: every rank on every kind of batch."""

    size: str = "small"
    ranks: tuple[int, ...] = (4, 16, 64)
    lengths: tuple[int, ...] = (8, 32, 32)  # tokens a text, of each kind of batch
    texts: tuple[int, ...] = (1, 1, 4)  # in a batch
    records: int = 12

    Data: ClassVar[type] = AdapterLeakData
    modules: ClassVar[tuple[str, ...]] = ()

    @property
    def ticks(self) -> int:
        return len(self.lengths)

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> AdapterLeakData:
        """Ticks after every kind of batch."""
        model, rows = planted.models["target"], []
        for length, texts in zip(self.lengths, self.texts, strict=True):
            records = _cut(model, planted.heldout, length, self.records)
            for rank in self.ranks:
                asked = FederatedGradients(rank=rank, batch_size=texts, beams=1, seed=seed)
                found = extracted(asked, model, records)
                measures = [c.values[:, 0] for c in found.curves]
                n = len(records)
                rows.append((np.full(n, rank), np.full(n, length * texts), *measures, found.success))
            tick()
        return AdapterLeakData(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _cut(model: Any, records: Samples, length: int, count: int) -> Samples:
    """The first ``count`` records that have so many tokens, cut to them."""
    cut = []
    for record in records:
        encoded = model.encode(record)
        ids = encoded.ids[encoded.first : encoded.first + length]
        text = model.tokenizer.decode(ids.tolist(), clean_up_tokenization_spaces=False)
        short = replace(record, text=text)
        if len(ids) == length == model.encode(short).scored:
            cut.append(short)
    return Samples(cut[:count])
