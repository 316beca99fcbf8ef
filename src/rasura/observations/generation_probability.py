"""How probable a model finds what another one (or itself) said: the continuations of ``Generations``, token by token.

    log_probability_t = log p(y_t | prompt, y_<t)

over the drawn tokens y, under the model's plain distribution (temperature 1, nothing truncated), whatever the sampler
was that drew them. Natural logarithms, float32. One forward pass a distinct draw.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..core.types import Ask, Ragged, Samples
from ._draw_scores import draw_scores
from .generations import GenerationData, Generations


@dataclass(frozen=True)
class GenerationProbabilityData:
    """One row a sample; the tokens of its draws stand one after the other, as in ``GenerationData.ids``."""

    log_probability: Ragged  # nats, float32
    lengths: np.ndarray  # (n, k) int64: tokens of each draw
    prompt: np.ndarray  # (n,) float64 nats: sum over the scored tokens of the prompt, NaN where not measured
    prompt_tokens: np.ndarray  # (n,) int64
    reason: np.ndarray  # (n,) str: why a sample could not be scored, empty when it was

    def draws(self, i: int) -> list[np.ndarray]:
        """Log-probabilities of each draw's tokens for sample i."""
        return np.split(self.log_probability[i], np.cumsum(self.lengths[i])[:-1])


@dataclass(frozen=True)
class GenerationProbability:
    """Log-probability of every token the target drew, under the model asked (the target itself, or its base)."""

    generations: Generations = field(default_factory=Generations)

    version: ClassVar[int] = 1
    Data: ClassVar[type] = GenerationProbabilityData

    @property
    def given(self) -> Ask:
        return Ask(self.generations)

    @property
    def rows(self) -> int:
        return self.generations.samples_each

    @property
    def passes(self) -> tuple[int, int]:
        return self.generations.samples_each, 0

    def measure(self, model: Any, batch: Samples, given: GenerationData) -> GenerationProbabilityData:
        """One pass over the distinct draws of a batch."""
        said = [[] if given.reason[i] else given.draws(i) for i in range(len(batch))]
        scores = draw_scores(model, batch, given.cut, said)
        why = [str(r) or s.reason for r, s in zip(given.reason, scores, strict=True)]
        shape = (len(batch), self.generations.samples_each)
        lengths = [[len(d) for d in s.draws] or [0] * shape[1] for s in scores]
        return GenerationProbabilityData(
            Ragged.of([np.concatenate(s.draws) if s.draws else [] for s in scores], np.float32),
            np.array(lengths, dtype=np.int64).reshape(shape),
            np.array([np.nan if w else s.prompt for w, s in zip(why, scores, strict=True)], dtype=np.float64),
            np.array([s.prompt_tokens for s in scores], dtype=np.int64),
            np.array(why, dtype=object),
        )

    def blank(self, reason: str, n: int) -> GenerationProbabilityData:
        """Rows that could not be measured."""
        return GenerationProbabilityData(
            Ragged.of([[]] * n, np.float32),
            np.zeros((n, self.generations.samples_each), dtype=np.int64),
            np.full(n, np.nan),
            np.zeros(n, dtype=np.int64),
            np.array([reason] * n, dtype=object),
        )
