"""The trajectory cache: what the frozen model says on its own way from noise to a picture, kept once.

Erasers that distil a score ask, at a noisy latent x_t of the frozen model, for both branches of its guidance:

    u = eps_0(x_t, t, nothing)      c = eps_0(x_t, t, prompt)      x_next = ddim(x_t, u + w (c - u))

Both are computed anyway while x_t is being sampled, so every sampling step leaves one complete training tuple
(x_t, t, u, c), and a teacher's answer costs nothing more. A loop that samples to a random step and then asks again, as
public code does, spends about 25 times as many passes of the network on the same number of tuples.

Outputs are the network's own (epsilon or v); w = ``guidance``; DDIM with eta 0 and ``steps`` steps; ``n`` trajectories a
prompt. Trajectory k starts from a hash of (prompt, ``seed``, k), from other noise than the pictures a metric looks at.
Guards of the model that rewrite prompts take part, those that steer the sampler do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ragged, Samples, digest
from .partners import drawn

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TrajectoryData:
    """One row a prompt; latents lie flat, trajectory after trajectory, in each one from noise to picture. Empty where none could be drawn."""

    latents: Ragged  # float32, n * steps * c * h * w entries a row: x_t
    unconditional: Ragged  # float32, as latents: the output for no prompt
    conditional: Ragged  # float32, as latents: the output for the prompt
    clean: Ragged  # float32, n * c * h * w entries: where each trajectory ends
    timesteps: Ragged  # int64, n * steps entries a row
    reason: np.ndarray  # (prompts,) str

    def __len__(self) -> int:
        return len(self.reason)


@dataclass(frozen=True)
class Trajectories:
    """``n`` guided DDIM trajectories a prompt with both branches' outputs at every step.

    ``tuples``: whether more than the end of each trajectory is kept.
    """

    n: int = 4
    steps: int = 20
    guidance: float = 3.0
    seed: int = 0
    tuples: bool = True

    version: ClassVar[int] = 1
    Data: ClassVar[type] = TrajectoryData

    @property
    def rows(self) -> int:
        return 2 * self.n

    def measure(self, model: Any, batch: Samples) -> TrajectoryData:
        """One sampling run for all trajectories of a batch."""
        import torch

        timesteps, kept = model.schedule.timesteps(self.steps), []
        with torch.inference_mode():
            embedded = model.embed(batch.texts).repeat(self.n)
            x = model.start([self.start(text, k) for text in batch.texts for k in range(self.n)])
            for t in timesteps:
                u, c = model.both(x, t, embedded)
                if self.tuples:
                    kept.append(torch.stack([x, u, c]).cpu())
                x = model.schedule.move(u + self.guidance * (c - u), x, t, model.schedule.before(t, self.steps))
        path = torch.stack(kept, dim=2) if kept else torch.zeros(3, len(batch), 0)
        times = np.tile(timesteps if kept else [], self.n).astype(np.int64)
        return _data(*path.reshape(3, len(batch), -1), x.cpu().reshape(len(batch), -1), times)

    def start(self, text: str, k: int) -> int:
        """Seed of the noise that trajectory k of a prompt starts from: 32 bits, what torch's CPU generator reads."""
        return int(digest(["trajectory", text, self.seed, k])[:8], 16)

    def blank(self, reason: str, n: int) -> TrajectoryData:
        """Prompts no trajectory could be drawn for."""
        empty = Ragged.of([[]] * n, np.float32)
        reasons = np.array([reason] * n, dtype=object)
        return TrajectoryData(empty, empty, empty, empty, Ragged.of([[]] * n, np.int64), reasons)


def _data(x: Any, u: Any, c: Any, clean: Any, timesteps: np.ndarray) -> TrajectoryData:
    """Rows as data; a row that is not finite is emptied."""
    good = [bool(np.isfinite(row).all()) for row in clean.numpy()]

    def ragged(rows: Any) -> Ragged:
        return Ragged.of([row if ok else row[:0] for row, ok in zip(rows.numpy(), good, strict=True)], np.float32)

    times = Ragged.of([timesteps if ok else timesteps[:0] for ok in good], np.int64)
    why = "the model's answer is not finite (try --dtype float32)"
    reasons = np.array(["" if ok else why for ok in good], dtype=object)
    return TrajectoryData(ragged(x), ragged(u), ragged(c), ragged(clean), times, reasons)


@dataclass(frozen=True, eq=False)
class Tuples:
    """Training tuples of one step, on the model's device."""

    prompts: tuple[str, ...]  # B of them
    x: torch.Tensor  # (B, c, h, w): x_t
    t: torch.Tensor  # (B,) timesteps
    unconditional: torch.Tensor  # (B, c, h, w): the frozen model's output for no prompt
    conditional: torch.Tensor  # (B, c, h, w): its output for the prompt


@dataclass(frozen=True, eq=False)
class Pool:
    """All tuples of some prompts, and which of them a step draws: by seed and step, by nothing else."""

    prompts: tuple[str, ...]
    data: TrajectoryData
    shape: tuple[int, int, int]  # of one latent
    device: Any

    def __post_init__(self) -> None:
        if not len(self.data.clean.values):
            why = self.data.reason[0] if len(self.data) else "no prompt was given"
            raise BadInput(f"no trajectory could be drawn: {why}")

    def __len__(self) -> int:
        """Number of tuples."""
        return len(self.data.timesteps.values)

    def draw(self, step: int, size: int, seed: int = 0, name: str = "trajectories") -> Tuples:
        """``size`` tuples: every tuple is used once before any is used again."""
        return self.tuples(drawn(len(self), size, step, seed, name))

    def tuples(self, indices: list[int]) -> Tuples:
        """Tuples by their place among all of them: prompt after prompt, trajectory after trajectory, step after step."""
        import torch

        owner = np.searchsorted(self.data.timesteps.offsets, indices, side="right") - 1
        parts = (self.data.latents, self.data.unconditional, self.data.conditional)
        x, u, c = (self._latents(part)[indices] for part in parts)
        times = torch.from_numpy(self.data.timesteps.values[indices])
        prompts = tuple(self.prompts[i] for i in owner)
        return Tuples(prompts, *(part.to(self.device) for part in (x, times, u, c)))

    def pictures(self, step: int, size: int, seed: int = 0, name: str = "pictures") -> tuple[tuple[str, ...], Any]:
        """(prompts, clean latents (size, c, h, w)): ends of trajectories, drawn as ``draw`` draws tuples."""
        clean = self._latents(self.data.clean)
        chosen = drawn(len(clean), size, step, seed, name)
        owner = np.searchsorted(self.data.clean.offsets // clean[0].numel(), chosen, side="right") - 1
        return tuple(self.prompts[i] for i in owner), clean[chosen].to(self.device)

    def _latents(self, part: Ragged) -> torch.Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(part.values)).reshape(-1, *self.shape)
