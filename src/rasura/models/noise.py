"""Seeded Gaussian noise on every parameter, in place and exactly reversible.

While a module runs its own forward, its parameters hold w + sign * sigma * eps; before and after they hold w, bit for
bit. Extra memory is one tensor of each shape a parameter has, used again by the next one because getting fresh memory
takes time as drawing the noise does; never a second copy of the model. eps depends on (seed, parameter name) alone, so
``sign=-1`` gives the antithetic partner and batches see the same noise.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import torch


Spare: TypeAlias = dict[tuple[Any, Any], list[Any]]  # memory no module has in use, by shape and device


@dataclass(frozen=True)
class WeightNoise:
    """theta + sign * sigma * eps with eps ~ N(0, I)."""

    sigma: float = 0.005
    seed: int = 0
    sign: int = 1

    def __str__(self) -> str:
        return f"noise(sigma={self.sigma!r}, seed={self.seed}, sign={self.sign:+d})"

    def draw(self, name: str, like: torch.Tensor, memory: torch.Tensor | None = None) -> torch.Tensor:
        """eps for one parameter: the same whichever module asks, so tied weights stay tied.

        ``memory``: a float32 tensor of the parameter's shape to draw into.
        """
        import torch

        generator = torch.Generator(device=like.device).manual_seed(
            zlib.crc32(f"{self.seed} {name}".encode())
        )  # 32 bits: all a CPU generator looks at
        memory = torch.empty(like.shape, device=like.device) if memory is None else memory
        return memory.normal_(generator=generator).to(like.dtype)

    @contextmanager
    def attached(self, module: Any) -> Iterator[None]:
        """Noise is in force inside the block, for every module that owns parameters."""
        names = {id(p): n for n, p in module.named_parameters()}  # tied parameters are listed once
        spare: Spare = {}
        hooks = []
        for child in module.modules():
            own = [p for p in child.parameters(recurse=False)]
            if own:
                hooks += self._hook(child, own, names, spare)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _hook(self, child: Any, own: list[Any], names: dict[int, str], spare: Spare) -> list[Any]:
        import torch

        exact: list[Any] = []
        lent: list[Any] = []

        def enter(_module: Any, _inputs: Any) -> None:
            for p in own:
                free = spare.get((p.shape, p.device))
                lent.append(free.pop() if free else torch.empty(p.shape, device=p.device))
                exact.append(p.data)
                eps = self.draw(names[id(p)], p.data, lent[-1])
                p.data = eps.mul_(self.sign * self.sigma).add_(p.data)  # of float32 weights in the draw's memory

        def leave(_module: Any, _inputs: Any, output: Any) -> None:
            for p, data, memory in zip(own, exact, lent, strict=False):
                p.data = data
                if not _is_part_of(memory, output):
                    spare.setdefault((p.shape, p.device), []).append(memory)
            exact.clear()
            lent.clear()

        return [child.register_forward_pre_hook(enter), child.register_forward_hook(leave, always_call=True)]


def _is_part_of(memory: torch.Tensor, output: Any) -> bool:
    """Does a module hand on its parameter itself, as a table of positions does? Then its memory is still in use."""
    if isinstance(output, Mapping):
        return _is_part_of(memory, list(output.values()))
    if isinstance(output, (list, tuple)):
        return any(_is_part_of(memory, part) for part in output)
    storage = getattr(output, "untyped_storage", None)
    return storage is not None and storage().data_ptr() == memory.untyped_storage().data_ptr()
