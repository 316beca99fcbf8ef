"""Every metric: tells an untreated model from one that never saw the records, with an interval, and breaks on nothing."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace

import numpy as np
import pytest

import _tiny
from conformance._marked import marked
from rasura.core import registry
from rasura.core.protocols import Metric
from rasura.core.types import Estimate, Sample, Samples
from rasura.metrics._population import POPULATIONS, questions
from rasura.observations._engine import Engine

NAMES = registry.fitting("metrics", "text")


@pytest.fixture(scope="module")
def engine():
    return Engine()


@pytest.fixture(scope="module")
def populations(planted):
    parts = {
        "forget": planted.forget,
        "retain": planted.retain.take(range(24)),
        "heldout": planted.heldout,
        "nonmembers": planted.like(planted.forget),
    }
    return {name: marked(samples) for name, samples in parts.items()}


@pytest.fixture(params=NAMES)
def metric(request):
    return registry.get("metrics", request.param)()


def estimate(metric, engine, model, planted, populations) -> Estimate:
    models = {"target": model, "retrained": planted.models["retrained"]}
    asked = questions(metric).items()
    return metric.estimate(**{name: engine.observe(ask, models, populations[p]) for name, (p, ask) in asked})


def badness(metric, value: float) -> float:
    """How far from good: from the goal where there is one, else in the direction of ``better``."""
    if hasattr(metric, "goal"):
        return abs(value - metric.goal)
    return value if metric.better == "lower" else -value


def test_a_metric_says_direction_population_and_what_it_needs(metric):
    assert isinstance(metric, Metric)
    assert metric.better in ("higher", "lower")
    assert metric.population in POPULATIONS
    assert list(metric.needs()) == list(inspect.signature(metric.estimate).parameters)
    for population, ask in questions(metric).values():
        assert population in POPULATIONS and ask.role in ("target", "retrained")
    assert metric.population in {population for population, _ in questions(metric).values()}


def test_untreated_is_worse_than_retrained_and_untrained_is_worse_at_what_must_survive(
    metric, engine, planted, populations
):
    """Forget side: the untreated model against the retrained one. Utility side: an untrained model against it."""
    worse = planted.models["target"] if metric.population == "forget" else _tiny.neox(seed=9)
    better = planted.models["retrained" if metric.population == "forget" else "target"]
    values = [estimate(metric, engine, model, planted, populations).value for model in (worse, better)]
    assert badness(metric, values[0]) > badness(metric, values[1])


def test_an_estimate_has_interval_size_and_unit(metric, engine, planted, populations):
    found = estimate(metric, engine, planted.models["reference"], planted, populations)
    assert isinstance(found, Estimate) and found.known and found.unit
    assert found.low <= found.value <= found.high and math.isfinite(found.low) and math.isfinite(found.high)
    sizes = [len(populations[p]) for p, _ in questions(metric).values()]
    assert 0 < found.n <= sum(sizes)


def test_order_does_not_matter(metric, planted, populations):
    """The retrained model sees the same order, because pairs stay pairs."""
    backwards = {name: Samples(samples[::-1]) for name, samples in populations.items()}
    forth = estimate(metric, Engine(), planted.models["reference"], planted, populations)
    back = estimate(metric, Engine(), planted.models["reference"], planted, backwards)
    assert back.value == pytest.approx(forth.value, abs=1e-5) and back.n == forth.n


def test_records_that_cannot_be_scored_are_left_out(metric, engine, planted, populations):
    empty = Sample("empty", "Anna watched.", start=13)
    wider = {name: Samples([empty, *samples]) for name, samples in populations.items()}
    plain = estimate(metric, engine, planted.models["reference"], planted, populations)
    mixed = estimate(metric, engine, planted.models["reference"], planted, wider)
    assert mixed.value == pytest.approx(plain.value, abs=1e-5) and mixed.n == plain.n


@pytest.mark.parametrize("kind", ["no record", "no scorable record"])
def test_without_data_the_value_is_absent_and_says_why(metric, engine, planted, populations, kind):
    records = Samples() if kind == "no record" else Samples([Sample("empty", "Anna watched.", start=13)] * 3)
    found = estimate(metric, engine, planted.models["reference"], planted, dict.fromkeys(populations, records))
    assert not found.known and found.note and math.isnan(found.low)


def test_the_same_records_under_the_same_model_are_exactly_at_the_goal(metric, engine, planted, populations):
    """Two-sided metrics read 0 (or 1/2) when the model under test is the retrained one itself."""
    if not any(ask.role == "retrained" for _, ask in questions(metric).values()):
        return
    found = estimate(metric, engine, planted.models["retrained"], planted, populations)
    assert found.value == getattr(metric, "goal", 0.0)


def test_what_was_observed_is_left_as_it_was(metric, engine, planted, populations):
    models = {"target": planted.models["target"], "retrained": planted.models["retrained"]}
    asked = questions(metric).items()
    observed = {name: engine.observe(ask, models, populations[p]) for name, (p, ask) in asked}
    kept = {name: replace(data) for name, data in observed.items()}
    copies = {name: np.array(next(iter(vars(data).values())), dtype=object).copy() for name, data in kept.items()}
    metric.estimate(**observed)
    for name, data in observed.items():
        now = np.array(next(iter(vars(data).values())), dtype=object)
        assert all(np.array_equal(a, b) for a, b in zip(np.ravel(copies[name]), np.ravel(now), strict=True))
