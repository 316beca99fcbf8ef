"""The noise schedule of a diffusion model, and the algebra between what a network says and what it means.

    x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps          abar_t = prod_{s<=t} (1 - beta_s)
    v_t = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0           (Salimans and Ho, "Progressive distillation", 2022)

so that from an output v: eps = sqrt(abar) v + sqrt(1 - abar) x_t and x_0 = sqrt(abar) x_t - sqrt(1 - abar) v.
Differences of two outputs at one x_t are differences of noise times ``noise_scale``: 1 for epsilon, sqrt(abar) for v.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput

if TYPE_CHECKING:
    import torch

PREDICTIONS = ("epsilon", "v_prediction")


@dataclass(frozen=True, eq=False)
class Schedule:
    """The schedule of a pipeline, read from its scheduler's configuration; ``t`` is a training timestep, an integer."""

    alphas: torch.Tensor  # (T,) abar_t, float32
    last: float  # abar before the first timestep
    prediction: str  # "epsilon" or "v_prediction"
    config: Any  # what diffusers' DDIM scheduler reads spacing and offset from

    @classmethod
    def of(cls, scheduler: Any, where: str) -> Schedule:
        """Raises BadInput on a prediction type whose algebra is not known here."""
        from diffusers import DDIMScheduler

        prediction = scheduler.config.get("prediction_type", "epsilon")
        if prediction not in PREDICTIONS:
            raise BadInput(
                f"{where}: its scheduler says prediction_type '{prediction}'; known are {' and '.join(PREDICTIONS)}"
            )
        ddim = DDIMScheduler.from_config(scheduler.config)
        return cls(ddim.alphas_cumprod.float(), float(ddim.final_alpha_cumprod), prediction, ddim.config)

    @property
    def steps(self) -> int:
        """T, the number of training timesteps."""
        return len(self.alphas)

    def timesteps(self, steps: int) -> list[int]:
        """The ``steps`` timesteps of sampling, from noise to picture, spaced as the pipeline's configuration says."""
        from diffusers import DDIMScheduler

        if not 1 <= steps <= self.steps:
            raise BadInput(f"steps is {steps}: expected 1 to {self.steps}")
        scheduler = DDIMScheduler.from_config(self.config)
        scheduler.set_timesteps(steps)
        return [int(t) for t in scheduler.timesteps]

    def alpha(self, t: Any, like: torch.Tensor) -> torch.Tensor:
        """abar_t shaped to multiply ``like`` (B, ...): ``t`` an integer or (B,) integers; t < 0 is the clean end."""
        import torch

        index = torch.as_tensor(t, device=self.alphas.device).reshape(-1)
        values = torch.where(index < 0, torch.tensor(self.last), self.alphas[index.clamp(min=0)])
        return values.to(like.device, torch.float32).reshape(-1, *[1] * (like.ndim - 1))

    def noised(self, clean: torch.Tensor, t: Any, noise: torch.Tensor) -> torch.Tensor:
        """x_t."""
        a = self.alpha(t, clean)
        return a.sqrt() * clean + (1 - a).sqrt() * noise

    def noise_scale(self, t: Any, like: torch.Tensor) -> torch.Tensor:
        """What a difference of outputs is multiplied by to be a difference of predicted noise."""
        a = self.alpha(t, like)
        return a.sqrt() if self.prediction == "v_prediction" else a.new_ones(a.shape)

    def noise_of(self, output: torch.Tensor, x: torch.Tensor, t: Any) -> torch.Tensor:
        """The predicted noise eps behind a network's output at x_t."""
        if self.prediction == "epsilon":
            return output
        a = self.alpha(t, x)
        return a.sqrt() * output + (1 - a).sqrt() * x

    def clean_of(self, output: torch.Tensor, x: torch.Tensor, t: Any) -> torch.Tensor:
        """The predicted x_0 behind a network's output at x_t."""
        a = self.alpha(t, x)
        if self.prediction == "epsilon":
            return (x - (1 - a).sqrt() * output) / a.sqrt()
        return a.sqrt() * x - (1 - a).sqrt() * output

    def move(self, output: torch.Tensor, x: torch.Tensor, t: Any, to: Any) -> torch.Tensor:
        """One deterministic DDIM step from t to ``to`` (either direction): Song, Meng and Ermon 2021, eta = 0."""
        return self.noised(self.clean_of(output, x, t), to, self.noise_of(output, x, t))

    def before(self, t: int, steps: int) -> int:
        """The timestep a sampling step at ``t`` arrives at; negative for the last one."""
        return t - self.steps // steps
