"""Does a model find in a noised picture the noise that it saw in the clean one?

    e_0 = eps_theta(x_0, 0, c)        x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) e_0        e = (1/D) ||e_0 - eps_theta(x_t, t, c)||_4^4

x_0 are the scaled latents of the picture (D entries), c its caption. With ``normalised`` the noise is first scaled to the
mean absolute value of a standard normal: e_0 <- e_0 sqrt(2/pi) / mean|e_0|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.types import Samples
from ._with_pictures import PictureNumbers, blank, check_timesteps, of_pictures

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ProximalError:
    """One number a sample: the mean fourth power of the difference of the two noises, from two forward passes."""

    t: int = 200
    normalised: bool = False
    caption: bool = True

    version: ClassVar[int] = 1
    Data: ClassVar[type] = PictureNumbers

    def measure(self, model: Any, batch: Samples) -> PictureNumbers:
        """Raises BadInput for a timestep the model does not have."""
        check_timesteps(model, self.t)
        return of_pictures(model, batch, self.caption, lambda *given: self._errors(model, *given))

    def _errors(self, model: Any, clean: torch.Tensor, text: Any, part: Samples) -> torch.Tensor:
        first = model.noise(clean, 0, text)
        if self.normalised:
            size = first.abs().mean(dim=tuple(range(1, first.ndim)), keepdim=True)
            first = first * (math.sqrt(2 / math.pi) / size)
        again = model.noise(model.schedule.noised(clean, self.t, first), self.t, text)
        return (first - again).pow(4).flatten(1).mean(1, keepdim=True)

    def blank(self, reason: str, n: int) -> PictureNumbers:
        return blank(reason, n)
