"""Small models that a study trains itself: documents end to end in a known order, one pass, packed rows of tokens.

The architecture and the learning rate are those of a testbed ``size``; the optimiser starts anew in every course.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from ..core.protocols import Loss
from ..core.store import Store
from ..core.types import Ask, Sample, Samples
from ..models.fresh import gpt_neox, wrap_tokenizer
from ..observations._engine import Engine
from ..observations.token_statistics import TokenData, TokenStatistics
from ..testbeds._grammar import documents
from ..testbeds._tokenizer import train_tokenizer
from ..testbeds._training import RECIPES, Recipe
from ..testbeds.language import ids_with
from ..training.loop import Loop, train


@dataclass(frozen=True)
class Course:
    """A tokenizer and a recipe: makes models and reads documents to them."""

    recipe: Recipe
    tokenizer: Any  # as transformers sees it
    ids_of: Callable[[str], np.ndarray]

    @classmethod
    def of(cls, size: str, texts: Iterable[str]) -> Course:
        """The recipe of a testbed size, one pass; a tokenizer trained on ``texts``."""
        recipe = replace(RECIPES[size], epochs=1)
        backend = train_tokenizer(texts, recipe.vocabulary)
        return cls(recipe, wrap_tokenizer(backend, context=recipe.context), ids_with(backend))

    def untrained(self, seed: int) -> Any:
        r = self.recipe
        return gpt_neox(
            self.tokenizer, hidden=r.hidden, layers=r.layers, heads=r.heads, context=r.context, seed=seed, name="small"
        )

    def read(self, model: Any, texts: Iterable[str], *, learning_rate: float = 0.0, rows: int = 0) -> Any:
        """Train ``model`` in place on the texts in their order, ``rows`` packed rows a step; the learning rate is constant."""
        import torch

        rows, length = rows or self.recipe.rows, self.recipe.length
        stream = np.concatenate([self.ids_of(text) for text in texts])
        steps = len(stream) // (rows * length)
        data = torch.from_numpy(stream[: steps * rows * length].reshape(steps, rows, length))

        def step_loss(k: int) -> Loss:
            logits = model.base(input_ids=data[k][:, :-1], use_cache=False).logits
            return Loss(None, torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), data[k][:, 1:].flatten()))

        train(model, step_loss, self._loop(steps, learning_rate or self.recipe.learning_rate))
        return model

    def _loop(self, steps: int, learning_rate: float) -> Loop:
        """A tenth of a short course is warm-up, or the testbeds' 30 steps of a long one."""
        return Loop(
            steps=steps,
            learning_rate=learning_rate,
            betas=(0.9, 0.95),
            weight_decay=0.01,
            warmup=min(0.1, self.recipe.warmup_steps / max(1, steps)),
            probe_every=1 << 30,
            checkpoint_every=1 << 30,
        )


def fresh_documents(n: int, *label: object, sentences: tuple[int, int], seen: set[str]) -> list[str]:
    """``n`` documents of the generator; no sentence is in ``seen``, which collects them."""
    return list(islice(documents(*label, sentences=sentences, seen=seen), n))


def shuffled(documents: Samples, seed: int) -> list[str]:
    """Texts to be read, each ``repeats`` times, in an order drawn by ``seed``."""
    repeated = [d.text for d in documents for _ in range(1 if d.repeats is None else d.repeats)]
    return [repeated[i] for i in np.random.default_rng([seed, 0]).permutation(len(repeated))]


def numbered(texts: Iterable[str], name: str, repeats: int = 1) -> Samples:
    return Samples(Sample(f"{name}-{i:05}", text, repeats=repeats) for i, text in enumerate(texts))


def statistics(model: Any, samples: Samples) -> TokenData:
    """One pass, kept nowhere."""
    return observed(model, samples, TokenStatistics())


def observed(model: Any, samples: Samples, what: Any) -> Any:
    """Any observation of one model, kept nowhere."""
    store = Store()
    try:
        return Engine(store=store).observe(Ask(what), {"target": model}, samples)
    finally:
        store.files.rm(store.base, recursive=True)
