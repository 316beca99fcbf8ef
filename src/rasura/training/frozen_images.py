"""What a text-to-image model said before training began: the counterpart of frozen.py.

Targets are read from the trajectory cache (trajectories.py), which goes through the pass engine, so that two erasers of
one model share it. Whatever is drawn at random in a step, timesteps and noise, comes from the run's seed and the
step's number alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.errors import BadInput
from ..core.types import Ask, Request, Sample, Samples
from ..observations._engine import Engine
from .trajectories import Pool, Trajectories

if TYPE_CHECKING:
    import torch

    from ..models._schedule import Schedule
    from ..models.text_to_image import TextToImage

T = TypeVar("T")


class FrozenImages:
    """The reference of an erasing: the pipeline as it was, its trajectories, and the dice of the step under way.

    ``step``: the number of the batch being computed, set by whoever drives the training.
    """

    unusable, left_out = "has a caption or a picture", "have neither caption nor picture"

    def __init__(
        self, model: TextToImage, engine: Engine | None = None, request: Request | None = None, seed: int = 0
    ) -> None:
        self.model = model
        self.engine = engine or Engine()
        self.request = request or Request(Samples(), Samples())
        self.seed, self.step = seed, 0
        self._derived: dict[str, Any] = {}
        self._pools: dict[Any, Pool] = {}
        self._latents: dict[str, torch.Tensor] = {}

    # what Finetune asks of either kind of model

    @staticmethod
    def usable(model: TextToImage, sample: Sample) -> bool:
        """Whether training can do anything with a record."""
        return bool(sample.text.strip()) or sample.picture is not None

    @staticmethod
    def loss(student: TextToImage, samples: Samples) -> torch.Tensor:
        """The denoising loss of captioned pictures at fixed timesteps and noise; see ``denoising_loss``."""
        return denoising_loss(student, samples, clean_latents(student, samples), Dice(0, 0, "probe"))

    # what objectives ask

    @property
    def concept(self) -> str:
        """The phrase to erase. Raises BadInput when the request names none."""
        if not (self.request.concept or "").strip():
            raise BadInput("this eraser needs the phrase to erase: give a concept (in Python: Request(concept=...))")
        return str(self.request.concept)

    def trajectories(self, prompts: Sequence[str], recipe: Trajectories | None = None) -> Pool:
        """All training tuples of some prompts under the frozen model; one pass a set of prompts, then remembered."""
        recipe, prompts = recipe or Trajectories(), tuple(prompts)
        if (prompts, recipe) not in self._pools:
            data = self.engine.observe(Ask(recipe), {"target": self.model}, Samples.of(prompts))
            self._pools[prompts, recipe] = Pool(prompts, data, self.model.latent_shape, self.model.device)
        return self._pools[prompts, recipe]

    def latents(self, samples: Samples) -> torch.Tensor:
        """The samples' pictures after the autoencoder, each encoded once: (B, c, h, w). Raises BadInput."""
        import torch

        for s in samples:
            if s.digest not in self._latents:
                self._latents[s.digest] = clean_latents(self.model, Samples([s]))[0].cpu()
        return torch.stack([self._latents[s.digest] for s in samples]).to(self.model.device)

    def dice(self, name: str) -> Dice:
        """Random numbers of the step under way; ``name`` keeps the draws of two uses apart."""
        return Dice(self.seed, self.step, name)

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """A value an objective derives from the model as it was: computed at the first call, the same ever after."""
        if name not in self._derived:
            self._derived[name] = compute()
        return self._derived[name]

    @property
    def derived(self) -> dict[str, float]:
        """The single numbers among those values, for the record."""
        return {name: value for name, value in self._derived.items() if isinstance(value, (int, float))}


class Dice:
    """Timesteps and noise of one step, the same on every device."""

    def __init__(self, seed: int, step: int, name: str) -> None:
        import torch

        mixed = (seed * 1_000_003 + step * 7919 + zlib.crc32(name.encode())) % 2**32
        self.generator = torch.Generator().manual_seed(mixed)

    def noise(self, shape: Sequence[int], device: Any = "cpu") -> torch.Tensor:
        import torch

        return torch.randn(tuple(shape), generator=self.generator).to(device)

    def uniform(self, n: int) -> torch.Tensor:
        import torch

        return torch.rand(n, generator=self.generator)

    def timesteps(self, n: int, steps: int, device: Any = "cpu") -> torch.Tensor:
        """(n,) integers below ``steps``."""
        import torch

        return torch.randint(0, steps, (n,), generator=self.generator).to(device)


def clean_latents(model: TextToImage, samples: Samples) -> torch.Tensor:
    """The samples' pictures after the autoencoder, which nothing trains. Raises BadInput where one is missing."""
    import torch

    with torch.no_grad():
        return model.latents(model.pictures(samples))


def denoising_loss(
    model: TextToImage, samples: Samples, latents: torch.Tensor, dice: Dice, space: str = "noise"
) -> torch.Tensor:
    """mean |eps - eps_theta(x_t, t, c)|^2 over captioned clean latents, t uniform; with ``space`` "output" as raw outputs.

    For a network that predicts v the latter is what it was trained on; an error of noise is sqrt(abar_t) times it.
    """
    t = dice.timesteps(len(latents), model.schedule.steps, latents.device)
    noise = dice.noise(latents.shape, latents.device)
    x = model.schedule.noised(latents, t, noise)
    error = model.output(x, t, model.embed(samples.texts)) - output_of(model.schedule, latents, noise, t)
    return (error if space == "output" else error * model.schedule.noise_scale(t, error)).square().mean()


def output_of(schedule: Schedule, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """What a network that knew x_0 and the noise would say at x_t: eps, or v = sqrt(abar) eps - sqrt(1 - abar) x_0."""
    if schedule.prediction == "epsilon":
        return noise
    a = schedule.alpha(t, clean)
    return a.sqrt() * noise - (1 - a).sqrt() * clean
