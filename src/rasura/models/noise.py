"""Seeded Gaussian noise on every parameter, in place and exactly reversible.

While a module runs its own forward, its parameters hold w + sign * sigma * eps; before and after they hold w, bit for
bit. Extra memory is one module's parameters, never a second copy of the model. eps depends on (seed, parameter name)
alone, so ``sign=-1`` gives the antithetic partner and batches see the same noise.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class WeightNoise:
    """theta + sign * sigma * eps with eps ~ N(0, I)."""

    sigma: float = 0.005
    seed: int = 0
    sign: int = 1

    def __str__(self) -> str:
        return f"noise(sigma={self.sigma!r}, seed={self.seed}, sign={self.sign:+d})"

    def draw(self, name: str, like: torch.Tensor) -> torch.Tensor:
        """eps for one parameter: the same whichever module asks, so tied weights stay tied."""
        import torch

        generator = torch.Generator(device=like.device).manual_seed(
            zlib.crc32(f"{self.seed} {name}".encode())
        )  # 32 bits: all a CPU generator looks at
        return torch.randn(like.shape, generator=generator, device=like.device, dtype=torch.float32).to(like.dtype)

    @contextmanager
    def attached(self, module: Any) -> Iterator[None]:
        """Noise is in force inside the block, for every module that owns parameters."""
        names = {id(p): n for n, p in module.named_parameters()}  # tied parameters are listed once
        hooks = []
        for child in module.modules():
            own = [p for p in child.parameters(recurse=False)]
            if own:
                hooks += self._hook(child, own, names)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _hook(self, child: Any, own: list[Any], names: dict[int, str]) -> list[Any]:
        exact: list[Any] = []

        def enter(_module: Any, _inputs: Any) -> None:
            for p in own:
                exact.append(p.data)
                p.data = (
                    self.draw(names[id(p)], p.data).mul_(self.sign * self.sigma).add_(p.data)
                )  # in the draw's memory

        def leave(_module: Any, _inputs: Any, _output: Any) -> None:
            for p, data in zip(own, exact, strict=False):
                p.data = data
            exact.clear()

        return [child.register_forward_pre_hook(enter), child.register_forward_hook(leave, always_call=True)]
