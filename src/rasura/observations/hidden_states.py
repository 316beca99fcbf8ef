"""What one decoder layer holds of a text: the mean of its output over the scored tokens.

    h(x) = (1/T) sum_t h_t          h_t (d,): output of decoder layer ``layer`` where token t was read

One forward pass that stops at the layer. Float32, in the model's own units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.types import Ragged, Samples


@dataclass(frozen=True)
class HiddenData:
    """One row a sample."""

    mean: Ragged  # float32, d entries; empty where nothing was scored
    tokens: np.ndarray  # (n,) int64: scored tokens
    reason: np.ndarray  # (n,) str: why a sample could not be scored, empty when it was

    def matrix(self) -> np.ndarray:
        """(n, d) float64; NaN where nothing was scored."""
        full = np.full((len(self.mean), int(self.mean.lengths.max(initial=0))), np.nan)
        full[self.mean.lengths > 0] = self.mean.values.reshape(-1, full.shape[1]) if full.size else 0
        return full


@dataclass(frozen=True)
class HiddenStates:
    """Mean output of one decoder layer over the scored tokens; a negative ``layer`` counts from the last (-1).

    Raises BadInput for a layer the model does not have.
    """

    layer: int = -1

    version: ClassVar[int] = 1
    Data: ClassVar[type] = HiddenData

    def measure(self, model: Any, batch: Samples) -> HiddenData:
        """One forward pass over a batch, up to the layer."""
        import torch

        with torch.inference_mode():
            hidden, scored = model.hidden_at(batch, self.layer + model.layers if self.layer < 0 else self.layer)
            weight = scored.to(hidden.device).float()
            sums = (hidden.float() * weight[..., None]).sum(1)
            means = (sums / weight.sum(1, keepdim=True).clamp(min=1)).cpu().numpy()
        tokens = scored.sum(1).cpu().numpy().astype(np.int64)
        return _collect(means, tokens)

    def blank(self, reason: str, n: int) -> HiddenData:
        """Rows that could not be measured."""
        return HiddenData(
            Ragged.of([[]] * n, np.float32), np.zeros(n, dtype=np.int64), np.array([reason] * n, dtype=object)
        )


def _collect(means: np.ndarray, tokens: np.ndarray) -> HiddenData:
    reasons = [
        "no token to score" if not n else "" if np.isfinite(row).all() else "the model's answer is not finite"
        for row, n in zip(means, tokens, strict=True)
    ]
    rows = [[] if reason else row for row, reason in zip(means, reasons, strict=True)]
    return HiddenData(Ragged.of(rows, np.float32), tokens, np.array(reasons, dtype=object))
