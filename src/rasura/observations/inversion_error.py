"""How exactly a model retraces its own steps from a sample's picture.

The picture's latents x_0 are carried to timestep t without chance, in steps of k (deterministic DDIM, run backwards):

    x_{s+k} = sqrt(abar_{s+k}) x0_hat(x_s) + sqrt(1 - abar_{s+k}) eps_theta(x_s, s, c)        s = 0, k, 2k, .. t - k

then one step further, to x_{t+k}, and one step back, to x~_t:

    e = (1/D) ||x_t - x~_t||^2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.errors import BadInput
from ..core.types import Samples
from ._with_pictures import PictureNumbers, blank, check_timesteps, of_pictures

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class InversionError:
    """One number a sample: the mean squared difference of x_t and its reconstruction from one step further.

    ``t`` is a multiple of ``step``. Raises BadInput otherwise, and where t + step is beyond the model's last timestep.
    """

    t: int = 100
    step: int = 10
    caption: bool = True

    version: ClassVar[int] = 1
    Data: ClassVar[type] = PictureNumbers

    def __post_init__(self) -> None:
        if self.step < 1 or self.t < self.step or self.t % self.step:
            raise BadInput(f"inversion error: t must be a multiple of step; got t={self.t}, step={self.step}")

    def measure(self, model: Any, batch: Samples) -> PictureNumbers:
        """t / step + 2 forward passes over a batch."""
        check_timesteps(model, self.t + self.step)
        return of_pictures(model, batch, self.caption, lambda *given: self._errors(model, *given))

    def _errors(self, model: Any, clean: torch.Tensor, text: Any, part: Samples) -> torch.Tensor:
        x = clean
        for s in range(0, self.t, self.step):
            x = model.schedule.move(model.output(x, s, text), x, s, s + self.step)
        further = model.schedule.move(model.output(x, self.t, text), x, self.t, self.t + self.step)
        back = model.schedule.move(model.output(further, self.t + self.step, text), further, self.t + self.step, self.t)
        return (x - back).square().flatten(1).mean(1, keepdim=True)

    def blank(self, reason: str, n: int) -> PictureNumbers:
        return blank(reason, n)
