"""What one step of training on a text would do to its loss.

For a text x with mean token loss l(theta; x) and gradient g = dl/dtheta, all parameters:

    before = l(theta; x)          after = l(theta - step * g; x)          squared_norm = ||g||^2

Weights are never changed and changed back, which would drift: each text's step starts from the same exact weights, in
a copy of the model. One forward and one backward pass, and one more forward pass behind the step.

The difference is of the size step * ||g||^2, which for a step of 5e-5 is lost in the rounding of single precision, so
the copy is in double precision. Some architectures compute their norms and attention weights in single precision
whatever their weights are; there the difference is good to about 1e-7 nats. To first order it is known without a step:
before - after = step * ||g||^2 + O(step^2), which is what ``squared_norm`` is kept for.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.errors import BadInput, NotYetSupported
from ..core.types import Samples

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class OneStepData:
    """One row a sample; NaN where nothing was scored."""

    before: np.ndarray  # (n,) float64: nats a token
    after: np.ndarray  # (n,) float64: the same, after one step on this very text
    squared_norm: np.ndarray  # (n,) float64: ||g||^2 over all parameters
    tokens: np.ndarray  # (n,) int64: scored tokens
    reason: np.ndarray  # (n,) str: why a sample could not be scored, empty when it was


@dataclass(frozen=True)
class OneStepLoss:
    """Each text's loss before and after one step of gradient descent on it alone."""

    step: float = 5e-5  # learning rate

    version: ClassVar[int] = 1
    Data: ClassVar[type] = OneStepData
    passes: ClassVar[tuple[int, int]] = (2, 1)

    def __post_init__(self) -> None:
        if not self.step > 0:
            raise BadInput(f"step is {self.step}: the size of a training step must be above 0")

    def measure(self, model: Any, batch: Samples) -> OneStepData:
        """Two forward and one backward pass a sample, in a copy of the model in double precision.

        Raises NotYetSupported for a model with noise in force: the step would start from other weights.
        """
        if getattr(model, "_noise", ""):
            raise NotYetSupported("one training step of a model under weight noise")
        encoded = [model.encode(sample) for sample in batch]
        found = np.full((len(batch), 3), np.nan)
        if any(e.scored for e in encoded):
            module = copy.deepcopy(model.base).double()
            for i, e in enumerate(encoded):
                if e.scored:
                    found[i] = _step(module, e, self.step)
        scored = np.array([e.scored for e in encoded], dtype=np.int64)
        good = np.isfinite(found).all(axis=1)
        found[~good] = np.nan
        reason = np.where(good, "", np.where(scored == 0, "no token to score", "the model's gradient is not finite"))
        return OneStepData(*found.T.copy(), scored, reason.astype(object))

    def blank(self, reason: str, n: int) -> OneStepData:
        """Rows that could not be measured."""
        nan = np.full(n, np.nan)
        return OneStepData(nan, nan, nan, np.zeros(n, dtype=np.int64), np.array([reason] * n, dtype=object))


def _step(module: Any, encoded: Any, step: float) -> tuple[float, float, float]:
    """(loss before, loss after, squared norm of the gradient) of one text."""
    import torch

    parameters = [p.requires_grad_(True) for p in module.parameters() if p.is_floating_point()]
    with torch.enable_grad():
        before = _loss(module, encoded)
        found = torch.autograd.grad(before, parameters, allow_unused=True)
    gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
    with torch.no_grad():
        with _moved(parameters, gradients, -step):
            after = _loss(module, encoded)
        norm = sum(float(g.square().sum()) for g in gradients)
    return float(before.detach()), float(after), norm


@contextmanager
def _moved(parameters: list[Any], by: list[Any], factor: float) -> Iterator[None]:
    """Every parameter holds p + factor * by inside the block and its own tensor again afterwards, bit for bit."""
    exact = [p.data for p in parameters]
    try:
        for p, data, move in zip(parameters, exact, by, strict=True):
            p.data = data + factor * move
        yield
    finally:
        for p, data in zip(parameters, exact, strict=True):
            p.data = data


def _loss(module: Any, encoded: Any) -> torch.Tensor:
    """Mean negative log-probability of one text's scored tokens, by itself: no padding, no other text."""
    import torch

    device = next(module.parameters()).device
    ids = torch.from_numpy(encoded.ids)[None].to(device)
    logits = module(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0]
    return torch.nn.functional.cross_entropy(logits[encoded.first - 1 : -1].double(), ids[0, encoded.first :])
