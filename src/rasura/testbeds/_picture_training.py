"""How the pipelines of a picture testbed are trained: a v-prediction network and its text encoder, jointly, from scratch.

The loss of a row is |v_theta(x_t, t, c) - v|^2 with t = 1000 sigmoid(1.4 z + ``late``), z normal, which spends most
steps where colours (late = 1) and shapes (late = 0.3) are decided; a caption is dropped with probability ``dropout``. What is kept is a moving average of the
weights, theta' <- a theta' + (1 - a) theta. Rows come in the plan's order, each once; the model that lacks the concept
reads the same sequence without the rows that hold it. The VAE is the identity, so pictures are their own latents.

Sources: Salimans and Ho, "Progressive distillation for fast sampling of diffusion models", 2022 (v); Ho and Salimans,
"Classifier-free diffusion guidance", 2022 (dropped captions).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.protocols import Loss
from ..models.fresh_pipeline import clip_tokenizer, stable_diffusion
from ..training.loop import Loop, train
from ._picture_plan import PicturePlan
from ._picture_recipes import PictureRecipe

READS = 16  # positions of the text encoder


def fresh(plan: PicturePlan, recipe: PictureRecipe, seed: int, name: str) -> Any:
    """The untrained model."""
    return stable_diffusion(
        clip_tokenizer(plan.words, READS),
        side=recipe.side,
        widths=recipe.widths,
        attention=recipe.attention,
        text_width=recipe.text_width,
        text_layers=recipe.text_layers,
        seed=seed,
        name=name,
    )


def steps_of(plan: PicturePlan, recipe: PictureRecipe, role: str) -> int:
    return len(_rows(plan, role)) // recipe.batch


def train_pictures(
    plan: PicturePlan, recipe: PictureRecipe, seed: int, role: str, on_step: Callable[[int], None] | None = None
) -> Any:
    """A pipeline trained on the rows of its role: everything, or everything that does not hold the concept."""
    import torch

    model = fresh(plan, recipe, seed, role)
    if torch.cuda.is_available() and recipe.side >= 32:
        model.pipeline.to("cuda")
    rows = torch.from_numpy(_rows(plan, role))
    loss = Denoising(model, plan, recipe, seed)
    averages = _Average(model.module, recipe.average)

    def step_loss(step: int) -> Loss:
        averages.update()  # of the weights that the step before left
        if on_step is not None:
            on_step(step)
        return Loss(None, loss(rows[step * recipe.batch : (step + 1) * recipe.batch], step))

    train(model, step_loss, _loop(recipe, steps_of(plan, recipe, role)))
    averages.update()
    averages.put()
    model.weights_changed()
    return model


class Denoising:
    """The loss of a batch of rows; noise, times and dropped captions depend on (seed, step) alone."""

    def __init__(self, model: Any, plan: PicturePlan, recipe: PictureRecipe, seed: int) -> None:
        import torch

        self.model, self.recipe, self.seed = model, recipe, seed
        self.pictures = torch.from_numpy(plan.pixels).permute(0, 3, 1, 2)
        known = {text: i for i, text in enumerate(dict.fromkeys(["", *plan.texts]))}
        self.ids = torch.tensor([model.tokens(text).ids for text in known])
        self.caption = torch.tensor([known[text] for text in plan.texts])

    def __call__(self, rows: Any, step: int) -> Any:
        import torch

        schedule, device = self.model.schedule, self.model.device
        draw = torch.Generator().manual_seed(1_000_003 * self.seed + step)
        x = self.pictures[rows].to(device).float() / 127.5 - 1
        noise = torch.randn(x.shape, generator=draw).to(device)
        t = schedule.steps * torch.sigmoid(1.4 * torch.randn(len(x), generator=draw) + self.recipe.late)
        t = t.long().clamp(max=schedule.steps - 1).to(device)
        dropped = torch.rand(len(x), generator=draw) < self.recipe.dropout
        ids = self.ids[torch.where(dropped, 0, self.caption[rows])].to(device)
        a = schedule.alpha(t, x)
        target = a.sqrt() * noise - (1 - a).sqrt() * x
        answer = self.model.output(schedule.noised(x, t, noise), t, self.model.encode_ids([ids]))
        return torch.nn.functional.mse_loss(answer, target)


class _Average:
    """Exponential moving average of a module's parameters; its first update copies them."""

    def __init__(self, module: Any, decay: float) -> None:
        self.live, self.decay = [p for p in module.parameters() if p.requires_grad], decay
        self.kept: list[Any] = []

    def update(self) -> None:
        import torch

        with torch.no_grad():
            if self.kept:
                torch._foreach_lerp_(self.kept, self.live, 1 - self.decay)
            else:
                self.kept = [p.detach().clone() for p in self.live]

    def put(self) -> None:
        import torch

        with torch.no_grad():
            for p, kept in zip(self.live, self.kept, strict=True):
                p.copy_(kept)


def _rows(plan: PicturePlan, role: str) -> np.ndarray:
    return np.arange(len(plan.texts)) if role == "target" else np.flatnonzero(~plan.holds)


def _loop(recipe: PictureRecipe, steps: int) -> Loop:
    return Loop(
        steps=steps,
        learning_rate=recipe.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=0.01,
        warmup=min(0.5, recipe.warmup_steps / max(1, steps)),
        schedule="cosine",
        final=0.05,
        clip=1.0,
        probe_every=1 << 30,  # a testbed is cheap to train again and has no budget to keep
        checkpoint_every=1 << 30,
    )
