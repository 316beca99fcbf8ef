"""How likely near-identical texts are: each neighbour's mean log-probability under the model.

    mean_log_probability_i = (1/T_i) sum_t log p(x^i_t | x^i_<t)          nats a token, of neighbour i

with its own T_i scored tokens: a swapped token may be cut into another number of them. The record's context is read
and not scored, as for the record itself. A neighbour that is longer than the model's context is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ask, Ragged, Sample, Samples
from ._engine import TOKEN_BUDGET
from .neighbour_texts import NONE_FITS, NeighbourData, NeighbourTexts


@dataclass(frozen=True)
class NeighbourLikelihoods:
    """One row a sample, one entry a neighbour that could be scored."""

    mean_log_probability: Ragged  # float64, nats a token; best-scored neighbour first
    reason: np.ndarray  # (n,) str: why there is none, empty when there is one


@dataclass(frozen=True)
class NeighbourStatistics:
    """Mean log-probability of every neighbour of a record."""

    texts: NeighbourTexts = NeighbourTexts()

    version: ClassVar[int] = 1
    Data: ClassVar[type] = NeighbourLikelihoods

    @property
    def given(self) -> Ask:
        """The neighbours, from whichever model they come."""
        return Ask(self.texts, of=self.texts.role)

    @property
    def rows(self) -> int:
        """Texts a sample stands for."""
        return self.texts.neighbours

    @property
    def passes(self) -> tuple[int, int]:
        return (self.texts.neighbours, 0)

    def measure(self, model: Any, batch: Samples, given: NeighbourData) -> NeighbourLikelihoods:
        """One forward pass a neighbour, many together."""
        encoded, owner = [], []
        for i, (sample, texts) in enumerate(zip(batch, given.texts, strict=True)):
            for text in texts[: given.count[i]]:
                e = _encoded(model, sample, text)
                if e is not None and e.scored:
                    encoded.append(e)
                    owner.append(i)
        means = _means(model, encoded)
        rows: list[list[float]] = [[] for _ in batch]
        for i, mean in zip(owner, means, strict=True):
            if np.isfinite(mean):
                rows[i].append(mean)
        reasons = ["" if row else why or NONE_FITS for row, why in zip(rows, given.reason, strict=True)]
        return NeighbourLikelihoods(Ragged.of(rows, np.float64), np.array(reasons, dtype=object))

    def blank(self, reason: str, n: int) -> NeighbourLikelihoods:
        """Rows that could not be measured."""
        return NeighbourLikelihoods(Ragged.of([[]] * n, np.float64), np.array([reason] * n, dtype=object))


def _encoded(model: Any, sample: Sample, text: str) -> Any:
    try:
        return model.encode(replace(sample, text=text, secret=None))
    except BadInput:  # longer than the context, though the record itself was not
        return None


def _means(model: Any, encoded: Sequence[Any]) -> np.ndarray:
    """Mean log-probability of each text's scored tokens: (k,) float64; texts of alike length together."""
    import torch

    means = np.zeros(len(encoded))
    order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i].ids))
    with torch.inference_mode():
        while order:
            size = max(1, TOKEN_BUDGET // len(encoded[order[0]].ids))
            chunk, order = order[:size], order[size:]
            sums = np.zeros(len(chunk))
            for row, target, logits in model.scored_logits([encoded[i] for i in chunk]):
                own = logits.gather(1, target[:, None]).squeeze(1) - torch.logsumexp(logits, dim=-1)
                np.add.at(sums, row.cpu().numpy(), own.double().cpu().numpy())
            means[chunk] = sums / [encoded[i].scored for i in chunk]
    return means
