"""How strongly each neuron of a U-Net's feed-forward layers fires while a prompt is drawn.

For a layer with weight W (out, in), its input X at sampling step i of one prompt, a row a latent position, every row first
divided by its own length:

    squares_j = sum over rows of X_j^2            so that  ||X_j||_2 = sqrt(squares_j)

Sums of squares add up over prompts, so the column norm over any set of prompts is had from its rows. Only the branch
with the prompt is looked at; the sampler is guided (DDIM, eta 0). Picture k of every prompt starts from the same noise
number k, so two prompts that differ by a phrase are compared from one start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.types import Ragged, Samples, digest

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class NeuronData:
    """One row a prompt; a prompt whose pictures could not be drawn has an empty row and says why."""

    squares: (
        Ragged  # float32, stop * (inputs of all layers together) entries: step after step, in each layer after layer
    )
    reason: np.ndarray  # (prompts,) str

    def __len__(self) -> int:
        return len(self.reason)

    def mean(self) -> np.ndarray:
        """Squares of the average prompt, rows that are empty left out: (stop * inputs,) float64."""
        whole = [row for row in self.squares if len(row)]
        return np.mean(np.stack(whole).astype(np.float64), axis=0)


@dataclass(frozen=True)
class NeuronActivations:
    """Column norms of the inputs of one kind of layer over the first ``stop`` of ``steps`` sampling steps.

    ``kind``: which layers (models/_unet_sites.py). ``n``: pictures a prompt. ``guidance``: w.
    """

    kind: str = "feed_forward.out"
    n: int = 1
    steps: int = 50
    stop: int = 10
    guidance: float = 7.5
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = NeuronData

    @property
    def rows(self) -> int:
        return 2 * self.n

    def measure(self, model: Any, batch: Samples) -> NeuronData:
        """One sampling run for all pictures of a batch, hooks on every layer of the kind while it lasts."""
        import torch

        names = [site.name for site in model.sites(self.kind)]
        with torch.inference_mode():
            embedded = model.embed(batch.texts).repeat(self.n)
            x = model.start([int(digest(["neurons", self.seed, k])[:8], 16) for _ in batch for k in range(self.n)])
            steps = []
            for t in model.schedule.timesteps(self.steps)[: self.stop]:
                with watched(model, names, len(x)) as seen:
                    u, c = model.both(x, t, embedded)
                each = torch.cat([seen[name] for name in names], dim=1)  # (rows, inputs of all layers)
                steps.append(each.reshape(len(batch), self.n, -1).sum(1))
                x = model.schedule.move(u + self.guidance * (c - u), x, t, model.schedule.before(t, self.steps))
            squares = torch.cat(steps, dim=1).float().cpu().numpy()
        return _data(squares)

    def blank(self, reason: str, n: int) -> NeuronData:
        """Prompts nothing could be drawn for."""
        return NeuronData(Ragged.of([[]] * n, np.float32), np.array([reason] * n, dtype=object))


@contextmanager
def watched(model: Any, names: list[str], rows: int) -> Iterator[dict[str, torch.Tensor]]:
    """Squares of every named layer's input columns over the last ``rows`` rows of each pass: name -> (rows, in)."""
    seen: dict[str, torch.Tensor] = {}

    def hook(name: str) -> Any:
        def look(_layer: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            x = inputs[0][-rows:].float()
            x = x.reshape(rows, -1, x.shape[-1])
            seen[name] = (x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12)).square().sum(1)

        return look

    handles = [model.module.get_submodule(name).register_forward_pre_hook(hook(name)) for name in names]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _data(squares: np.ndarray) -> NeuronData:
    good = np.isfinite(squares).all(axis=1)
    rows = [row if ok else row[:0] for row, ok in zip(squares, good, strict=True)]
    why = "the model's answer is not finite (try --dtype float32)"
    return NeuronData(Ragged.of(rows, np.float32), np.array(["" if ok else why for ok in good], dtype=object))
