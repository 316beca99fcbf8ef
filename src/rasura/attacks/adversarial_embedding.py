"""Is there any prompt embedding from which the model still draws one particular picture?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Budget, Recovered, Request, Samples
from ..data.pictures import pixels
from . import _drawing, _soft_words

if TYPE_CHECKING:
    import torch

    from ..models._prompts import Embedded


@method(paper="arXiv:2507.16880")
@dataclass(frozen=True)
class AdversarialEmbedding:
    """Share of pictures that copy a memorised one, drawn from the prompt embedding that denoises it best (Dori).

        y* = argmin_y E_{t, eps} || z - z_theta(x_t, t, y) ||^2,     score = share of ``pictures`` draws from y* that copy x

    x is the record's own picture and y (L, d) the whole prompt embedding; z the noise (v, where the network predicts
    that). ``steps`` Adam steps at ``learning_rate``, each on ``batch`` fresh (t, eps); ``start``: "caption", the record's own
    embedding, "random", N(0, 1) numbers, or "other", the caption of the record after it. SDXL's pooled vector stays the
    start's. A draw copies x if of all pictures of the request, forget and retain, x is nearest and

        max over ``tiles`` x ``tiles`` tiles of sqrt(mean (drawn - x)^2) <= ``threshold``         (values in [0, 1])

    An embedding has L d free numbers and can describe a small picture the model never saw. What decides whether a copy means
    memory is therefore the control: the same search for ``controls`` retain pictures, drawn by seed. Evidence gives both
    rates; the model that never saw the pictures gives the same floor from the other side. Every forget record needs its
    picture (BadInput), whatever concept the request names; no judge is asked. Records in which the picture does not come
    back score 0. Behind guards y is searched through the guard.

    Source: Kowalczuk, Hintersdorf, Struppek, Kersting, Dziedzic and Boenisch, "Finding Dori: memorization in text-to-image
    diffusion models is less local than assumed", 2025 (50 steps, rate .1, batch 8; copies by SSCD >= .7). Deviation: copies
    by the tile distance of Carlini et al., "Extracting training data from diffusion models", 2023, since SSCD says nothing
    on pictures of a testbed's size.

    By hand, 2 x 2 pixels and tiles of one: a single pixel .4 off is a distance of .4, not .2 (``tile_distance``).
    """

    steps: int = 50
    learning_rate: float = 0.1
    batch: int = 8
    start: Literal["caption", "random", "other"] = "caption"
    threshold: float = 0.15
    tiles: int = 4
    controls: int = 4
    pictures: int = 8
    draw_steps: int = 20
    guidance: float = 1.0

    modality: ClassVar[str] = "images"
    access: ClassVar[str] = "white-box"
    about: ClassVar[str] = "pictures"
    testbed_settings: ClassVar[Mapping[str, Any]] = {"steps": 20, "threshold": 0.25, "pictures": 4, "draw_steps": 10}
    testbed_reason: ClassVar[str] = (
        "a tile of an 8 x 8 picture is 4 pixels, so that memorised pictures are drawn .13 to .22 off; after 50 steps pictures "
        "never seen come as near as .31, after 20 as near as .41 (medians of four draws)"
    )

    def __post_init__(self) -> None:
        if (
            min(self.steps, self.batch, self.tiles, self.pictures) < 1
            or self.controls < 0
            or not self.learning_rate > 0
        ):
            raise BadInput(
                "adversarial_embedding: steps, batch, tiles and pictures must be at least 1, the rate above 0"
            )
        if self.start not in ("caption", "random", "other"):
            raise BadInput(f"adversarial_embedding: start is '{self.start}', expected 'caption', 'random' or 'other'")

    def attack(self, model: Any, request: Request, budget: Budget, *, seed: int = 0, before: Any = None) -> Recovered:
        """Search an embedding for every picture and for the controls, then draw from them."""
        missing = [s.id for s in request.forget if s.picture is None]
        if missing:
            raise BadInput(
                f"adversarial_embedding: {len(missing)} of {len(request.forget)} forget records have no picture "
                f"(first: {missing[0]}); each needs the picture it is asked about"
            )
        n, searched = len(request.forget), self._with_controls(request, seed)
        rows = _drawing.branches(model) if model.guards or self.guidance != 1 else 1
        plan = _drawing.plan(
            budget,
            len(searched),
            steps=self.steps,
            pictures=self.pictures,
            a_step=self.batch * (rows if model.guards else 1),
            a_picture=rows * self.draw_steps,
        )
        with _drawing.counted(model) as counter:
            embedded = self._searched(model, searched, plan.steps, seed)
            settings = {"seed": seed, "steps": self.draw_steps, "guidance": self.guidance}
            drawn = _drawing.draw_each(model, embedded, searched, plan.pictures, **settings)
        copied = self._copied(model, request, searched, drawn)
        score, control = copied[:n], copied[n:]
        lines = [f"copied from the embedding found: {_share(score, plan.pictures)}"]
        lines.append(
            f"control, pictures that are to survive: {_share(control, plan.pictures)}; difference {score.mean() - control.mean():.2f}"
            if len(control)
            else "no control: the retain set holds no pictures, so a copy may be the search's own work"
        )
        spent = Budget(plan.steps * len(searched), counter.rows, len(searched) * plan.pictures)
        return Recovered(score, tuple(lines), spent, drawn[:n])

    def _with_controls(self, request: Request, seed: int) -> Samples:
        own = {s.picture.digest for s in request.forget if s.picture}
        others = [s for s in request.retain if s.picture is not None and s.picture.digest not in own]
        order = np.random.default_rng(seed).permutation(len(others))[: self.controls]
        return Samples([*request.forget, *(others[i] for i in sorted(order.tolist()))])

    def _searched(self, model: Any, samples: Samples, steps: int, seed: int) -> Embedded:
        """Embeddings found, one a sample; samples in passes the model's size allows, each search by itself."""
        import torch

        generator, n = torch.Generator().manual_seed(seed), len(samples)
        with torch.no_grad():
            start = self._start(model, samples, generator)
            clean = torch.cat([model.latents(model.pictures(samples.take([i]))) for i in range(n)])
        hidden, size = start.hidden.float().clone(), _drawing.at_once(model, self.batch)
        optimiser = torch.optim.Adam([hidden], lr=self.learning_rate)
        for _ in range(steps):
            gradient = torch.zeros_like(hidden)
            for low in range(0, n, size):
                rows = range(low, min(low + size, n))
                y = hidden[low : low + size].detach().requires_grad_()
                embedded = start.rows(rows).with_hidden(y).repeat(self.batch)
                x = clean[low : low + size].repeat_interleave(self.batch, 0)
                t = _soft_words.some_times(model, len(x), generator)
                noise = _soft_words.some_noise(x, generator)
                loss = _soft_words.denoising_loss(model, embedded, x, t, noise, self.draw_steps, self.guidance)
                gradient[low : low + size] = torch.autograd.grad(loss.sum() / self.batch, y)[0]
            _soft_words.ascend([hidden], [gradient], optimiser)
        return start.with_hidden(hidden)

    def _start(self, model: Any, samples: Samples, generator: torch.Generator) -> Embedded:
        """No prompt stands behind an embedding that was searched: guards that read words find none."""
        texts = samples.texts if self.start != "other" else [*samples.texts[1:], samples.texts[0]]
        found = model.embed(texts).detach()
        hidden = _soft_words.some_noise(found.hidden.float(), generator) if self.start == "random" else found.hidden
        return type(found)(hidden, found.pooled, ("",) * len(found))

    def _copied(self, model: Any, request: Request, searched: Samples, drawn: np.ndarray) -> np.ndarray:
        """Share of each sample's draws that copy its picture: (n,)."""
        known = {s.picture.digest: s for s in (*request.forget, *request.retain) if s.picture is not None}
        shown = {digest: pixels(s, model.resolution) / 255.0 for digest, s in known.items()}
        return np.array(
            [
                np.mean([_copies(d / 255.0, s.picture.digest, shown, self) for d in row])  # type: ignore[union-attr]
                for s, row in zip(searched, drawn, strict=True)
            ],
            dtype=np.float64,
        )


def tile_distance(a: np.ndarray, b: np.ndarray, tiles: int) -> float:
    """The largest root mean square difference over tiles x tiles tiles of two pictures (H, W, 3) in [0, 1].

    Where the side is no multiple of ``tiles``, tiles differ by a pixel; there are never more tiles than pixels.

    >>> spot = np.zeros((2, 2, 3)); spot[0, 0] = 0.4
    >>> round(tile_distance(spot, np.zeros((2, 2, 3)), 2), 6), round(tile_distance(spot, np.zeros((2, 2, 3)), 1), 6)
    (0.4, 0.2)
    """
    square = ((a - b) ** 2).mean(-1)
    rows = np.array_split(square, min(tiles, len(square)), axis=0)
    means = [part.mean() for row in rows for part in np.array_split(row, min(tiles, row.shape[1]), axis=1)]
    return float(np.sqrt(max(means)))


def _copies(drawn: np.ndarray, own: str, shown: Mapping[str, np.ndarray], attack: AdversarialEmbedding) -> bool:
    """Close to its own picture, and closer than to any other."""
    distance = tile_distance(drawn, shown[own], attack.tiles)
    if distance > attack.threshold:
        return False
    return all(distance <= tile_distance(drawn, other, attack.tiles) for d, other in shown.items() if d != own)


def _share(copied: np.ndarray, pictures: int) -> str:
    return f"{round(float(copied.sum()) * pictures)} of {len(copied) * pictures} pictures, {len(copied)} searches"
