"""How probable a sampler makes each token of a text.

For scored token t of a text and a sampler g (temperature, top-k, top-p; see ``_sampler``):

    log_probability_t = log p_g(x_t | x_<t)        -inf where truncation removed x_t

so that exp(sum over the tokens from the cut on) is the probability that one sample continues the prompt with exactly
the rest of the text, from one forward pass and without sampling. Natural logarithms, float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.types import Ragged, Samples
from ._sampler import Sampler


@dataclass(frozen=True)
class SamplingData:
    """One row a sample, one entry a scored token."""

    log_probability: Ragged  # nats, float32, <= 0; -inf: the sampler never says this token here
    cut: np.ndarray  # (n,) int64: index among the scored tokens where the secret begins; = length when none is marked
    reason: np.ndarray  # (n,) str: why a sample could not be scored, empty when it was

    @property
    def tokens(self) -> np.ndarray:
        """(n,) number of scored tokens."""
        return self.log_probability.lengths


@dataclass(frozen=True)
class SamplingProbability:
    """Log-probability of every scored token under a sampler, truncation and renormalisation included."""

    temperature: float = 1.0  # 0: greedy
    top_k: int = 0  # 0: no truncation
    top_p: float = 1.0  # 1: no truncation

    version: ClassVar[int] = 1
    Data: ClassVar[type] = SamplingData

    def __post_init__(self) -> None:
        _ = self.sampler  # refuses settings that make no sense

    @property
    def sampler(self) -> Sampler:
        return Sampler(self.temperature, self.top_k, self.top_p)

    def measure(self, model: Any, batch: Samples) -> SamplingData:
        """One forward pass over a batch. A sample whose answer is not a number is emptied and says why."""
        import torch

        encoded, parts = [model.encode(sample) for sample in batch], []
        with torch.inference_mode():
            for row, target, logits in model.scored_logits(encoded):
                chosen = self.sampler.log_probabilities(logits).gather(1, target[:, None]).squeeze(1)
                chosen = torch.where(logits.isnan().any(-1), torch.nan, chosen)
                parts.append((row.cpu().numpy(), chosen.float().cpu().numpy()))
        row, log_p = (np.concatenate(c) for c in zip(*parts, strict=True)) if parts else (np.zeros(0), np.zeros(0))
        return _collect(encoded, row, log_p)

    def blank(self, reason: str, n: int) -> SamplingData:
        """Rows that could not be measured."""
        return SamplingData(
            Ragged.of([[]] * n, np.float32), np.zeros(n, dtype=np.int64), np.array([reason] * n, dtype=object)
        )


def _collect(encoded: list[Any], row: np.ndarray, log_p: np.ndarray) -> SamplingData:
    rows, reasons = [], []
    for i, e in enumerate(encoded):
        mine = log_p[row == i]
        good = e.scored > 0 and not np.isnan(mine).any()
        rows.append(mine if good else mine[:0])
        reasons.append("" if good else "no token to score" if e.scored == 0 else "the model's answer is not a number")
    cut = [max(0, min(e.cut, len(e.ids)) - e.first) if len(r) else 0 for e, r in zip(encoded, rows, strict=True)]
    return SamplingData(Ragged.of(rows, np.float32), np.array(cut, dtype=np.int64), np.array(reasons, dtype=object))
