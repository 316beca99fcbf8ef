"""Every metric on pictures: tells a model that draws from one that does not, with an interval, and breaks on nothing."""

from __future__ import annotations

import inspect
import math
from dataclasses import fields

import numpy as np
import pytest

from conformance._picture_planted import Reader, memory, planted, scrambled
from rasura.core import registry, store
from rasura.core.protocols import Metric
from rasura.core.types import Estimate, Sample, Samples
from rasura.metrics._population import POPULATIONS, questions
from rasura.observations._engine import Engine

NAMES = registry.fitting("metrics", "images")
QUICK = {"n": 2, "steps": 10}  # of the settings a metric has: 8 x 8 pictures are drawn as well in half the steps
ROLES = ("target", "retrained", "judge", "clip", "encoder")


@pytest.fixture(scope="module")
def engine():
    return Engine()


@pytest.fixture(scope="module")
def populations():
    """The forget set holds prompts of the concept and memorised pictures, so that both kinds of erasure are asked for."""
    side = planted()
    few = {name: side.more[name].take(range(min(12, len(side.more[name])))) for name in ("paraphrases", "near", "far")}
    return {
        "forget": Samples([*side.forget.take(range(min(12, len(side.forget)))), *memory().many]),
        "retain": side.retain.take(range(16)),
        "heldout": side.heldout.take(range(16)),
        "nonmembers": side.nonmembers.take(range(16)),
        "pictures": side.more["pictures"].take(range(32)),
        **few,
    }


@pytest.fixture(params=NAMES)
def metric(request):
    cls = registry.get("metrics", request.param)
    settings = getattr(cls, "testbed_settings", {})
    assert not settings or getattr(cls, "testbed_reason", ""), "an exception needs its reason"
    quick = {f.name: QUICK[f.name] for f in fields(cls) if f.name in QUICK and f.default > QUICK[f.name]}
    return cls(**{**quick, **settings})


def roles(model):
    side = planted()
    more = {"judge": side.judge, "encoder": side.judge, "clip": Reader(side.judge)}
    return {"target": model, "retrained": side.models["retrained"], **more}


def estimate(metric, engine, model, populations) -> Estimate:
    asked = questions(metric).items()
    return metric.estimate(**{name: engine.observe(ask, roles(model), populations[p]) for name, (p, ask) in asked})


def untreated(metric):
    """The testbed's target; for a metric that looks at the pictures itself, and not through a judge, one that copies."""
    copies = any(ask.role == "target" for _, ask in questions(metric).values())
    return memory().model if copies else planted().models["target"]


def badness(metric, value: float) -> float:
    if hasattr(metric, "goal"):
        return abs(value - metric.goal)
    return value if metric.better == "lower" else -value


def needs_retrained(metric) -> bool:
    asks = [ask for _, ask in questions(metric).values()]
    return any("retrained" in (ask.role, getattr(getattr(ask.what, "given", None), "role", "")) for ask in asks)


def test_a_metric_says_direction_population_and_what_it_needs(metric):
    assert isinstance(metric, Metric) and isinstance(type(metric)(), Metric)
    assert metric.better in ("higher", "lower") and metric.population in POPULATIONS
    assert list(metric.needs()) == list(inspect.signature(metric.estimate).parameters)
    for population, ask in questions(metric).values():
        assert population in POPULATIONS and ask.role in ROLES
    assert metric.population in {population for population, _ in questions(metric).values()}


def test_a_model_that_draws_nothing_forgets_everything_and_keeps_nothing(metric, engine, populations):
    """Forget side: the target is worse than shuffled weights. What must survive: shuffled weights are worse than it."""
    on_forget = metric.population in ("forget", "paraphrases")
    draws, ruined = (estimate(metric, engine, m, populations) for m in (untreated(metric), scrambled()))
    if hasattr(metric, "goal"):
        return  # ruin is no nearer to a goal than the target is: see the next test
    worse, better = (draws, ruined) if on_forget else (ruined, draws)
    assert badness(metric, worse.value) > badness(metric, better.value), (draws, ruined)


def test_the_target_is_further_from_the_goal_than_the_retrained_model(metric, engine, populations):
    """Two-sided metrics read exactly the goal when the model under test is the retrained one itself."""
    if not hasattr(metric, "goal"):
        return
    same = estimate(metric, engine, planted().models["retrained"], populations)
    other = estimate(metric, engine, untreated(metric), populations)
    assert badness(metric, same.value) < badness(metric, other.value)
    assert not needs_retrained(metric) or same.value == metric.goal


def test_an_estimate_has_interval_size_and_unit(metric, engine, populations):
    found = estimate(metric, engine, untreated(metric), populations)
    assert isinstance(found, Estimate) and found.known and found.unit
    assert found.low <= found.value <= found.high and math.isfinite(found.low) and math.isfinite(found.high)
    sizes = [len(populations[p]) for p, _ in questions(metric).values()]
    assert 0 < found.n <= sum(sizes)


def test_order_does_not_matter(metric, engine, populations):
    """Batches hold the same pictures in another order, so a byte may round the other way."""
    backwards = {name: Samples(samples[::-1]) for name, samples in populations.items()}
    forth, back = (estimate(metric, engine, untreated(metric), p) for p in (populations, backwards))
    assert back.value == pytest.approx(forth.value, rel=2e-2, abs=0.02) and back.n == forth.n


def test_rows_that_could_not_be_observed_are_left_out(metric, engine, populations):
    """As running out of memory leaves them."""
    asked = questions(metric).items()
    models = roles(untreated(metric))
    observed = {name: engine.observe(ask, models, populations[p]) for name, (p, ask) in asked}
    wider = {name: store.concatenate([ask.what.blank("out of memory", 1), observed[name]]) for name, (_, ask) in asked}
    plain, mixed = metric.estimate(**observed), metric.estimate(**wider)
    assert mixed.value == pytest.approx(plain.value, abs=1e-9) and mixed.n == plain.n


@pytest.mark.parametrize("kind", ["no record", "nothing to look at"])
def test_without_data_the_value_is_absent_and_says_why(metric, engine, kind):
    model = untreated(metric)
    if kind == "no record":
        found = estimate(metric, engine, model, dict.fromkeys(POPULATIONS, Samples()))
    else:
        found = metric.estimate(
            **{name: ask.what.blank("out of memory", 3) for name, (_, ask) in questions(metric).items()}
        )
    assert not found.known and found.note and math.isnan(found.low)


def test_a_prompt_without_class_or_picture_is_no_crash(metric, engine, populations):
    bare = Sample("bare", populations["forget"][0].text + " a")
    wider = {name: Samples([bare, *samples]) for name, samples in populations.items()}
    assert estimate(metric, engine, untreated(metric), wider).known


def test_what_was_observed_is_left_as_it_was(metric, engine, populations):
    models = roles(untreated(metric))
    observed = {name: engine.observe(ask, models, populations[p]) for name, (p, ask) in questions(metric).items()}
    before = {name: _copies(data) for name, data in observed.items()}
    metric.estimate(**observed)
    for name, data in observed.items():
        for old, new in zip(before[name], _copies(data), strict=True):
            assert old.dtype == object or np.array_equal(old, new, equal_nan=True)


def _copies(data):
    arrays = [getattr(data, f.name) for f in fields(data)]
    return [np.array(getattr(a, "values", a), copy=True) for a in arrays]
