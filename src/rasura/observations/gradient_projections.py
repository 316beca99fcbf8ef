"""Gradient norms and, from the same backward pass, a random shadow of each parameter's gradient.

The gradient of a parameter with o rows and i columns (o x i numbers, too many to keep) is projected on both sides:

    P = A^T (dl/dW) B          A (o, a), B (i, b), entries +-1/sqrt(a) and +-1/sqrt(b), a b = ``k``

so that the mean of <P, P'> over A and B is the inner product of the two gradients (Johnson-Lindenstrauss). A parameter
with one axis is projected to ``k`` numbers directly. A and B follow from ``seed`` and the parameter's name alone: the same
for every sample, run and machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ragged, Samples, digest
from .gradient_norms import GradientData, GradientNorms, layers_of, measured

if TYPE_CHECKING:
    import torch

MOST = 64


@dataclass(frozen=True)
class ProjectedData(GradientData):
    """Gradient norms with each parameter tensor's projection."""

    projected: Ragged  # float32, groups * k entries, tensor after tensor; empty where nothing was scored

    def projections_by_tensor(self) -> np.ndarray:
        """(n, groups * k) float64; NaN where nothing was scored."""
        return self._filled(self.projected)

    def projections_by_layer(self) -> np.ndarray:
        """(n, layers * k) float64: sums over each layer's tensors, which project the layer's concatenated gradient."""
        names = [text.split("\n") for text in self.groups[self.groups != ""][:1]]
        if not names:
            return np.zeros((len(self.tokens), 0))
        layers = layers_of(names[0])
        by_tensor = self.projections_by_tensor().reshape(len(self.tokens), len(layers), -1)
        own = [[i for i, each in enumerate(layers) if each == layer] for layer in dict.fromkeys(layers)]
        return np.concatenate([by_tensor[:, kept].sum(1) for kept in own], axis=1)


@dataclass(frozen=True)
class GradientProjections:
    """All gradient norms and ``k`` random projections of every parameter tensor's gradient, in one batched pass.

    Raises BadInput for ``k`` outside 1..64.
    """

    k: int = 16
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = ProjectedData
    passes: ClassVar[tuple[int, int]] = (1, 1)

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MOST:
            raise BadInput(f"gradient projections: k must lie between 1 and {MOST}, got {self.k}")

    def measure(self, model: Any, batch: Samples) -> ProjectedData:
        """One forward and one backward pass over a batch. Raises NotYetSupported for a model under weight noise."""
        norms, projected = measured(model, batch, TwoSided(self.k, self.seed))
        rows = [[] if reason else row.ravel() for row, reason in zip(projected, norms.reason, strict=True)]
        return _joined(norms, Ragged.of(rows, np.float32))

    def blank(self, reason: str, n: int) -> ProjectedData:
        """Rows that could not be measured."""
        return _joined(GradientNorms().blank(reason, n), Ragged.of([[]] * n, np.float32))


def _joined(norms: GradientData, projected: Ragged) -> ProjectedData:
    return ProjectedData(*(getattr(norms, f.name) for f in fields(norms)), projected=projected)


@dataclass
class TwoSided:
    """Projects gradients of one parameter at a time: (b, *shape) to (b, k)."""

    k: int
    seed: int = 0
    _signs: dict[tuple[str, str, int, int], torch.Tensor] = field(default_factory=dict, repr=False)

    def __call__(self, name: str, gradient: torch.Tensor) -> torch.Tensor:
        if gradient.dim() == 2:
            return gradient @ self.signs(name, "right", gradient.shape[1], self.k).to(gradient.device)
        matrix, rows = gradient.flatten(2), factors(self.k)[0]
        left = self.signs(name, "left", matrix.shape[1], rows).to(gradient.device)
        right = self.signs(name, "right", matrix.shape[2], self.k // rows).to(gradient.device)
        return (left.T @ (matrix @ right)).flatten(1)

    def signs(self, name: str, side: str, n: int, k: int) -> torch.Tensor:
        """(n, k) of +-1/sqrt(k), from the seed, the parameter's name and the side."""
        import torch

        key = (name, side, n, k)
        if key not in self._signs:
            rng = np.random.default_rng(int(digest([self.seed, name, side])[:16], 16))
            drawn = rng.integers(0, 2, (n, k)).astype(np.float32) * 2 - 1
            self._signs[key] = torch.from_numpy(drawn / np.float32(np.sqrt(k)))
        return self._signs[key]


def factors(k: int) -> tuple[int, int]:
    """a b = k with a <= b as close to each other as can be.

    >>> factors(64), factors(32), factors(7)
    ((8, 8), (4, 8), (1, 7))
    """
    a = next(a for a in range(int(k**0.5), 0, -1) if k % a == 0)
    return a, k // a
