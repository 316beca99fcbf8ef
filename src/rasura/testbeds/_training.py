"""How testbed models are trained: packed rows of tokens, the same documents in the same order for every twin model.

The documents of an epoch, plants repeated by their dose, are shuffled by (seed, epoch) and laid end to end, each after
a separator, then cut into rows of ``length`` tokens. The model that lacks the forget set reads the same sequence with
the forgotten documents left out: everything else is seen as often and in the same order, under the same recipe.
Filling their places instead was tried and tilts comparisons (docs/LOG.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.protocols import Loss
from ..core.types import Sample, Samples
from ..models.fresh import gpt_neox
from ..training.loop import Loop, train


@dataclass(frozen=True)
class Recipe:
    """Architecture and schedule of a testbed model."""

    hidden: int = 128
    layers: int = 2
    heads: int = 4
    vocabulary: int = 1024
    context: int = 256  # positions the model can read; training rows are shorter
    length: int = 128  # tokens a training row
    rows: int = 2  # rows a step: many small steps memorise better than few large ones
    epochs: int = 2
    learning_rate: float = 4e-3
    warmup_steps: int = 30


RECIPES = {
    "tiny": Recipe(length=64, learning_rate=5e-3),
    "small": Recipe(),
    "base": Recipe(
        hidden=512, layers=8, heads=8, vocabulary=8192, context=1024, length=512, rows=16, epochs=2, learning_rate=1e-3
    ),
}


@dataclass(frozen=True)
class Placed:
    """One line of the transcript: where a document stood in training."""

    epoch: int
    token: int  # offset of its separator in the epoch's stream
    step: int  # optimiser step that first saw it, counted over the whole training
    id: str


@dataclass(frozen=True)
class Curriculum:
    """Packed rows of all epochs, and who stood where."""

    rows: np.ndarray  # (R, length) int64
    placed: tuple[Placed, ...]


def curriculum(
    documents: Sequence[Sample],
    ids_of: Callable[[str], np.ndarray],
    recipe: Recipe,
    seed: int,
    without: frozenset[str] = frozenset(),
) -> Curriculum:
    """Rows for every epoch. ``without``: ids of documents that are left out, the order of the others unchanged."""
    repeated = [d for d in documents for _ in range(d.repeats or 1)]
    rows, placed, done = [], [], 0
    for epoch in range(recipe.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(repeated))
        pieces, at = [], 0
        for document in (repeated[i] for i in order):
            if document.id not in without:
                pieces.append(ids_of(document.text))
                placed.append(Placed(epoch, at, (done + at // recipe.length) // recipe.rows, document.id))
                at += len(pieces[-1])
        full = at // (recipe.length * recipe.rows) * recipe.length * recipe.rows
        rows.append(np.concatenate(pieces)[:full].reshape(-1, recipe.length))
        done += len(rows[-1])
    return Curriculum(np.concatenate(rows), tuple(placed))


def train_model(
    tokenizer: Any,
    rows: np.ndarray,
    recipe: Recipe,
    seed: int,
    name: str,
    on_step: Callable[[int], None] | None = None,
) -> Any:
    """A GPT-NeoX trained on packed rows; every next token of a row is a target."""
    import torch

    model = gpt_neox(
        tokenizer,
        hidden=recipe.hidden,
        layers=recipe.layers,
        heads=recipe.heads,
        context=recipe.context,
        seed=seed,
        name=name,
    )
    data = torch.from_numpy(rows)
    if torch.cuda.is_available() and recipe.hidden >= 256:
        model.module.to("cuda")

    def step_loss(step: int) -> Loss:
        if on_step is not None:
            on_step(step)
        ids = data[step * recipe.rows : (step + 1) * recipe.rows].to(model.device)
        logits = model.base(input_ids=ids[:, :-1], use_cache=False).logits
        return Loss(None, torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten()))

    steps = len(rows) // recipe.rows
    train(model, step_loss, loop_of(recipe, steps))
    return model


def loop_of(recipe: Recipe, steps: int) -> Loop:
    """The testbeds' schedule: warm-up, then cosine to 5 % of the peak."""
    return Loop(
        steps=steps,
        learning_rate=recipe.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=0.01,
        warmup=min(0.5, recipe.warmup_steps / max(1, steps)),
        schedule="cosine",
        final=0.05,
        clip=1.0,
        probe_every=1 << 30,  # a testbed is cheap to train again and has no budget to keep
        checkpoint_every=1 << 30,
    )


def as_documents(texts: Sequence[str], prefix: str) -> Samples:
    """Background texts, each seen once an epoch."""
    return Samples(Sample(f"{prefix}-{i:05}", text, repeats=1, family="background") for i, text in enumerate(texts))
