"""A model of a few numbers with the two attributes the loop asks of a handle."""

from __future__ import annotations

import torch

from rasura.core.protocols import Loss


class Toy:
    """y = W x + b with W (3, 4); ``loss(k)`` pulls it to a target drawn from k."""

    def weights_changed(self) -> None:
        """What a handle is told after training in place; a toy keeps no hash."""

    def __init__(self, dtype: torch.dtype = torch.float32, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.module = torch.nn.Linear(4, 3)
        with torch.no_grad():
            for p in self.module.parameters():
                p.copy_(torch.randn(p.shape, generator=generator))
        self.module.to(dtype)

    @property
    def device(self) -> torch.device:
        return self.module.weight.device

    def loss(self, k: int) -> Loss:
        generator = torch.Generator().manual_seed(1000 + k)
        x, y = torch.randn(2, 4, generator=generator), torch.randn(2, 3, generator=generator)
        error = (self.module(x.to(self.module.weight.dtype)).float() - y).square()
        return Loss(-0.05 * error[0].mean(), error[1].mean())

    @property
    def state(self) -> list[torch.Tensor]:
        return [p.detach().clone() for p in self.module.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    """Bit for bit."""
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
