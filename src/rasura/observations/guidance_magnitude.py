"""How hard a prompt pulls at every step of sampling.

    m(k, i) = ||eps_theta(x, t_i, c) - eps_theta(x, t_i, nothing)||_2 / sqrt(D)        x = x_{t_i} on the guided path

for ``n`` noises k and the first ``steps`` steps i of ``total`` (DDIM, eta 0, guidance w = ``guidance``); D latent entries, so
that a threshold carries over to pictures of another size. Noise k comes from a hash of (prompt, ``seed``, k).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ragged, Samples
from ._guided import check_space, magnitude, walk
from .generated_images import NOT_FINITE, picture_seed

NO_CAPTION = "an empty caption pulls nowhere"


@dataclass(frozen=True)
class MagnitudeData:
    """One row a sample, ``n`` x ``steps`` magnitudes, noise after noise; empty where the caption is."""

    magnitude: Ragged  # float32, root mean square a latent entry
    reason: np.ndarray  # (samples,) str


@dataclass(frozen=True)
class GuidanceMagnitude:
    """Size of the difference between the outputs with and without the prompt.

    ``space``: "noise" compares predicted noise; "output" what the network puts out, which differs where it predicts v:
    there the noise difference is sqrt(abar_t) of it, next to nothing in the first steps.
    """

    n: int = 4
    steps: int = 50
    total: int = 50
    guidance: float = 7.5
    space: Literal["noise", "output"] = "noise"
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = MagnitudeData

    def __post_init__(self) -> None:
        check_space(self.space)
        if self.n < 1:
            raise BadInput(f"guidance magnitude: at least one noise; got n={self.n}")

    @property
    def rows(self) -> int:
        return 2 * self.n

    def measure(self, model: Any, batch: Samples) -> MagnitudeData:
        """``steps`` forward passes of 2n rows a sample."""
        import torch

        seeds = [picture_seed(s.text, self.seed, k) for s in batch for k in range(self.n)]
        with torch.inference_mode():
            path = walk(model, model.embed(batch.texts).repeat(self.n), seeds, self.steps, self.total, self.guidance)
            steps = [magnitude(model, x, t, c - u, self.space) for t, x, u, c in path]
            found = torch.stack(steps, dim=1).reshape(len(batch), -1).cpu().numpy()
        reasons = [
            NO_CAPTION if not s.text.strip() else "" if np.isfinite(row).all() else NOT_FINITE
            for s, row in zip(batch, found, strict=True)
        ]
        rows = [row[:0] if reason else row for row, reason in zip(found, reasons, strict=True)]
        return MagnitudeData(Ragged.of(rows, np.float32), np.array(reasons, dtype=object))

    def blank(self, reason: str, n: int) -> MagnitudeData:
        """Rows that could not be measured."""
        return MagnitudeData(Ragged.of([[]] * n, np.float32), np.array([reason] * n, dtype=object))
