"""Forgetting too much is a fault as forgetting too little is, and no metric that claims two sides may hide it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from metrics._losses import FORGOTTEN, KNOWN, SHUNNED, estimate
from rasura.core import registry
from rasura.core.types import Ask
from rasura.metrics._population import On, questions

SIGNED = [name for name in registry.fitting("metrics", "text") if hasattr(registry.get("metrics", name), "goal")]


@pytest.mark.parametrize("name", SIGNED)
def test_the_goal_lies_between_knowing_and_shunning(name):
    goal = registry.get("metrics", name).goal
    known, forgotten, shunned = (estimate(name, after) for after in (KNOWN, FORGOTTEN, SHUNNED))
    assert (known.value - goal) * (shunned.value - goal) < 0, "the sign must tell the two faults apart"
    assert abs(forgotten.value - goal) < min(abs(known.value - goal), abs(shunned.value - goal))
    assert forgotten.low <= goal <= forgotten.high
    for fault in (known, shunned):
        assert not fault.low <= goal <= fault.high


def test_an_ask_names_its_own_population_or_takes_the_metric_s():
    needs = {"a": Ask("pass"), "b": On("nonmembers", Ask("pass", "retrained"))}
    asked = questions(SimpleNamespace(population="forget", needs=lambda: needs))
    assert asked == {"a": ("forget", needs["a"]), "b": ("nonmembers", needs["b"].ask)}
