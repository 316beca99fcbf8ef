"""Planted passages under the signals that need gradients: read by two claims."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask, Samples
from ..observations._engine import Engine
from ..observations.gradient_norms import ORDERS
from ..observations.token_statistics import TokenStatistics
from ..signals.gradient_norm import GradientNorm
from ..signals.loss import Loss
from ..signals.one_step_ratio import OneStepRatio

MATRICES = ("attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
WHOLE = "all"
OUTPUT = "output matrix"  # its tensor is called differently by different versions of transformers


@dataclass(frozen=True)
class GradientScoresData:
    """One row a passage; larger = more likely a member."""

    dose: np.ndarray  # (n,) int64: copies an epoch, 0 = never seen
    loss: np.ndarray  # (n,)
    norms: np.ndarray  # (n, C) minus the norm, one column a choice
    one_step: np.ndarray  # (n,)


@dataclass(frozen=True)
class GradientScores:
    """One seed: every planted passage, all norms of its gradient, and one step along it."""

    size: str = "small"
    layers: int = 2

    Data: ClassVar[type] = GradientScoresData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 3

    @property
    def choices(self) -> tuple[tuple[str, str], ...]:
        """(tensor or tensors, order of the norm), one a column."""
        blocks = [f"{layer}.{matrix}.weight" for layer in range(self.layers) for matrix in MATRICES]
        groups = (WHOLE, "embedding", "embed_in.weight", *blocks, OUTPUT)
        return tuple((group, order) for group in groups for order in ORDERS)

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> GradientScoresData:
        """A forward pass, a backward pass for all texts together, and two forward and one backward of each alone."""
        texts = Samples(s for s in (*planted.members, *planted.nonmembers) if s.family == "passage")
        engine, models = Engine(store=Store()), {"target": planted.models["target"]}
        plain = Loss().score(engine.observe(Ask(TokenStatistics()), models, texts))
        tick()
        names = {OUTPUT: _output_matrix(models["target"])}
        signals = [GradientNorm(order, names.get(group, group)) for group, order in self.choices]  # type: ignore[arg-type]
        norms = engine.observe(signals[0].needs()["gradients"], models, texts)
        tick()
        one_step = OneStepRatio()
        losses = engine.observe(one_step.needs()["losses"], models, texts)
        tick()
        return GradientScoresData(
            dose=np.array([s.repeats or 0 for s in texts], dtype=np.int64),
            loss=plain,
            norms=np.stack([signal.score(norms) for signal in signals], axis=1),
            one_step=one_step.score(losses),
        )


def _output_matrix(model: Any) -> str:
    """Name of the tensor that turns hidden states into logits."""
    matrix = model.base.get_output_embeddings().weight
    return next(name for name, parameter in model.module.named_parameters() if parameter is matrix)
