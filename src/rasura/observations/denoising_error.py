"""How far a model is from the noise that was mixed into a sample's own picture.

    x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps        e(t, k) = (1/D) ||eps_k - eps_theta(x_t, t, c)||^2

x_0 are the scaled latents of the picture (D entries), c its caption, eps_k the k-th of ``draws`` noises. The noises
come from a hash of (picture, ``seed``, k) and are the same at every timestep, for every model and any batch. Networks that
predict v are converted to noise first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.errors import BadInput
from ..core.types import Samples
from ._with_pictures import PictureNumbers, blank, check_timesteps, noise_seed, of_pictures

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DenoisingError:
    """Squared noise error a latent entry; a row holds ``draws`` numbers for the first timestep, then for the next.

    ``caption``: with the sample's text, or with the empty one. Raises BadInput for a timestep the model does not have.
    """

    timesteps: tuple[int, ...] = (500,)
    draws: int = 4
    caption: bool = True
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = PictureNumbers

    def __post_init__(self) -> None:
        if not self.timesteps or self.draws < 1:
            raise BadInput(f"denoising error: at least one timestep and one draw; got {self.timesteps}, {self.draws}")

    @property
    def rows(self) -> int:
        return self.draws

    def measure(self, model: Any, batch: Samples) -> PictureNumbers:
        """One forward pass of ``draws`` rows a sample for each timestep."""
        check_timesteps(model, *self.timesteps)
        return of_pictures(model, batch, self.caption, lambda *given: self._errors(model, *given))

    def _errors(self, model: Any, clean: torch.Tensor, text: Any, part: Samples) -> torch.Tensor:
        import torch

        noise = model.start([noise_seed(s, self.seed, k) for s in part for k in range(self.draws)])
        clean, text = clean.repeat_interleave(self.draws, dim=0), text.repeat(self.draws)
        found = []
        for t in self.timesteps:
            predicted = model.noise(model.schedule.noised(clean, t, noise), t, text)
            found.append((predicted - noise).square().flatten(1).mean(1).reshape(len(part), self.draws))
        return torch.cat(found, dim=1)

    def blank(self, reason: str, n: int) -> PictureNumbers:
        return blank(reason, n)
