"""Small models that a study trains itself, the way testbeds train theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.store import Store
from ..core.types import Samples
from ..models.fresh import wrap_tokenizer
from ..observations._engine import Engine
from ..testbeds._training import Recipe, curriculum, train_model
from ..testbeds.language import ids_with


def trained(
    documents: Samples,
    backend: Any,
    recipe: Recipe,
    seed: int,
    name: str,
    on_step: Callable[[int], None] | None = None,
) -> Any:
    """A GPT-NeoX trained on ``documents``, each ``repeats`` times an epoch; ``backend`` is a tokenizer of ``tokenizers``."""
    rows = curriculum(documents, ids_with(backend), recipe, seed).rows
    return train_model(wrap_tokenizer(backend, context=recipe.context), rows, recipe, seed, name, on_step)


def extracted(extractor: Any, model: Any, records: Samples) -> Any:
    """What an extractor finds of ``records`` in a model; nothing is kept."""
    engine, asks = Engine(store=Store()), extractor.needs()
    seen = {name: engine.observe(ask, {"target": model}, records) for name, ask in asks.items()}
    engine.store.files.rm(engine.store.base, recursive=True)
    return extractor.extract(**seen)
