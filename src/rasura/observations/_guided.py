"""The guided sampling path, step by step, with both branches of the network shown before each step is taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput

if TYPE_CHECKING:
    import torch


def walk(model: Any, embedded: Any, seeds: list[int], steps: int, total: int, guidance: float) -> Iterator[Any]:
    """(t, x_t, unconditional, conditional output) at the first ``steps`` of ``total`` DDIM steps.

    A guard that steers is followed; without one both branches serve the step as well, so that nothing is computed twice.
    """
    if not 1 <= steps <= total:
        raise BadInput(f"steps is {steps}: expected 1 to total, which is {total}")
    x, schedule = model.start(seeds), model.schedule
    steered = any(hasattr(guard, "steer") for guard in model.guards)
    steer = model.steer(embedded, guidance, total)
    for i, t in enumerate(schedule.timesteps(total)[:steps]):
        unconditional, conditional = model.both(x, t, embedded)
        yield t, x, unconditional, conditional
        if i + 1 < steps:
            guided = unconditional + guidance * (conditional - unconditional)
            x = schedule.move(steer(x, i, t) if steered else guided, x, t, schedule.before(t, total))


def magnitude(model: Any, x: torch.Tensor, t: int, difference: torch.Tensor, space: str) -> torch.Tensor:
    """||c - u||_2 / sqrt(D) of each row, in predicted noise or as the network puts it out: (B,)."""
    if space == "noise":
        difference = difference * model.schedule.noise_scale(t, x)
    return difference.flatten(1).norm(dim=1) / difference[0].numel() ** 0.5


def check_space(space: str) -> None:
    if space not in ("noise", "output"):
        raise BadInput(f"space is '{space}': expected 'noise' or 'output'")
