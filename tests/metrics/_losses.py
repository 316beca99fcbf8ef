"""Losses of 60 forget records and 60 twins, and what a metric makes of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from rasura.core import registry
from rasura.core.types import Estimate
from rasura.metrics._population import questions

RNG = np.random.default_rng(0)
RETRAINED = RNG.normal(2.5, 0.2, size=60)  # forget records under a model that never saw them
TWINS = RNG.normal(2.5, 0.2, size=60)
KNOWN, SHUNNED = RETRAINED - 2.0, RETRAINED + 2.0
FORGOTTEN = RETRAINED + RNG.normal(0, 0.05, size=60)


def data(loss) -> SimpleNamespace:
    return SimpleNamespace(loss=np.asarray(loss, dtype=np.float64))


def estimate(name: str, after: np.ndarray) -> Estimate:
    """The metric of this name, given the losses above by role and population and ``after`` for the model under test."""
    losses = {
        ("forget", "target"): after,
        ("forget", "retrained"): RETRAINED,
        ("nonmembers", "target"): TWINS,
        ("nonmembers", "retrained"): TWINS,
    }
    metric = registry.get("metrics", name)()
    asked = questions(metric).items()
    return metric.estimate(**{key: data(losses[population, ask.role]) for key, (population, ask) in asked})
