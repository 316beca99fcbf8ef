"""What the optimiser moves: float32 weights, the masks on them, and copies to go back to.

A model held in half precision is trained through float32 masters, because a step of 1e-5 on a bfloat16 weight of
size one is rounded away (its neighbours are 0.004 apart). The model's own tensors get the rounded masters after
every step. A float32 model is its own master, so nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput
from ._spread import ALONE, local, shard_of

if TYPE_CHECKING:
    import torch

_HALF = ("torch.float16", "torch.bfloat16")


class Weights:
    """The parameters of a module that require grad, in the order of their names' appearance."""

    def __init__(self, module: Any, masks: Mapping[str, torch.Tensor] | None = None) -> None:
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        if not named:
            raise BadInput("nothing to train: no parameter of the model is left to move")
        self.names = [name for name, _ in named]
        self.live = [p for _, p in named]
        self.masters = [_master(local(p)) for p in self.live]
        self.masks = self._masks(masks or {})
        self.start = {i: self.masters[i].detach().clone() for i in self.masks}

    def _masks(self, masks: Mapping[str, torch.Tensor]) -> dict[int, torch.Tensor]:
        unknown = sorted(set(masks) - set(self.names))
        if unknown:
            raise BadInput(f"a mask for {unknown[0]}, which is not a parameter that may move")
        by_index = {self.names.index(name): mask for name, mask in masks.items()}
        for i, mask in by_index.items():
            if mask.shape != self.live[i].shape:
                raise BadInput(
                    f"the mask of {self.names[i]} is {tuple(mask.shape)}, the weight {tuple(self.live[i].shape)}"
                )
        return {i: shard_of(mask.to(self.live[i].device).bool(), self.live[i]) for i, mask in by_index.items()}

    def take_gradients(self) -> list[torch.Tensor | None]:
        """The gradients of the last backward pass in float32, moved out of the module."""
        taken = [None if p.grad is None else local(p.grad).float() for p in self.live]
        for p in self.live:
            p.grad = None
        return taken

    def masked(self, gradients: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
        """Zero where a mask says so, in place."""
        for i, mask in self.masks.items():
            if gradients[i] is not None:
                gradients[i].mul_(mask)
        return gradients

    def publish(self) -> None:
        """After an optimiser step: masked-out entries go back to their start values, half-precision weights follow."""
        import torch

        with torch.no_grad():
            for i, mask in self.masks.items():  # momentum and weight decay move them even with a zero gradient
                self.masters[i].copy_(torch.where(mask, self.masters[i], self.start[i]))
            for p, master in zip(self.live, self.masters, strict=True):
                if master.data_ptr() != local(p).data_ptr():
                    local(p).copy_(master)

    def copy(self) -> list[torch.Tensor]:
        return [master.detach().clone() for master in self.masters]

    def restore(self, values: list[torch.Tensor]) -> None:
        import torch

        with torch.no_grad():
            for master, value in zip(self.masters, values, strict=True):
                master.copy_(value)
        self.publish()

    @property
    def finite(self) -> bool:
        import torch

        return all(bool(torch.isfinite(local(p)).all()) for p in self.live)


def _master(p: torch.Tensor) -> torch.Tensor:
    """float32 weights: a copy of half-precision ones, otherwise the tensor itself (of a shard, another view of it)."""
    if str(p.dtype) in _HALF:
        return p.detach().float().clone().requires_grad_()
    return p if p.is_leaf else p.detach().requires_grad_()


def add(total: list[torch.Tensor | None], more: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
    """Sum of two lists of gradients; None is no gradient."""
    return [b if a is None else a if b is None else a.add_(b) for a, b in zip(total, more, strict=True)]


def projected(
    forget: list[torch.Tensor | None],
    retain: list[torch.Tensor | None],
    total: Callable[[list[torch.Tensor], list[Any]], torch.Tensor] = ALONE.total,
    live: list[Any] | None = None,
) -> list[torch.Tensor | None]:
    """The forget gradient without its component against the retain gradient (Yu et al. 2020, gradient surgery).

    g_f - min(0, g_f . g_r) / |g_r|^2 * g_r, the product taken over all parameters together; ``total`` adds them up
    where ``live`` parameters are sharded over processes.

    >>> import torch
    >>> projected([torch.tensor([1.0, -1.0])], [torch.tensor([0.0, 2.0])])[0].tolist()
    [1.0, 0.0]
    """
    both = [i for i, (f, r) in enumerate(zip(forget, retain, strict=True)) if f is not None and r is not None]
    if not both:
        return forget
    of = [(live or forget)[i] for i in both]
    product = total([(forget[i].double() * retain[i].double()).sum() for i in both], of)
    square = total([(retain[i].double() ** 2).sum() for i in both], of)
    if float(product) >= 0 or float(square) == 0:
        return forget
    share = float(product / square)
    return [f if f is None or r is None else f - share * r for f, r in zip(forget, retain, strict=True)]
