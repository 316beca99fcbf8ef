"""The reference answers as the handle did before training, one pass for what can be kept."""

from __future__ import annotations

import pytest
import torch

from rasura.core.types import Request, Sample, Samples
from rasura.observations._engine import Engine
from rasura.training.frozen import Frozen

FORGET = Samples(
    [Sample("a", "Anna opened 12 quiet letters.", start=5), Sample("b", "Boris repaired the violin of Greta in 1850.")]
)
RETAIN = Samples.of(["Clara counted 7 windows.", "Hugo"])


@pytest.fixture
def frozen(neox):
    return Frozen(neox, Engine(), Request(FORGET, RETAIN))


def test_log_probability_is_the_sum_over_scored_tokens(neox, frozen):
    mixed = Samples([FORGET[1], RETAIN[0], FORGET[0]])
    with torch.no_grad():
        expected = torch.stack([neox.score(Samples([s])).sums()[0] for s in mixed])
    assert torch.allclose(frozen.log_probability(mixed), expected, atol=1e-4)


def test_one_pass_over_each_set_however_often_it_is_asked(frozen):
    for k in range(4):
        frozen.log_probability(Samples([FORGET[k % 2]]))
    assert [p.samples for p in frozen.engine.passes] == [2], "the retain set was not asked for and costs nothing"
    frozen.log_probability(RETAIN)
    assert [p.samples for p in frozen.engine.passes] == [2, 2]


def test_records_outside_the_request_are_answered_too(neox, frozen):
    other = Samples.of(["Irene borrowed a bottle."])
    assert float(frozen.log_probability(other)[0]) == pytest.approx(neox.score(other).sums().item(), abs=1e-4)


def test_equal_ids_with_other_text_are_not_confused(frozen):
    one = frozen.log_probability(FORGET.take([0]))
    two = frozen.log_probability(Samples([Sample("a", "Klara painted 3 islands.")]))
    assert not torch.equal(one, two)


def test_distribution_and_hidden_follow_the_handle(neox, frozen):
    scored = neox.score(FORGET, distributions=True)
    found = frozen.distribution(FORGET)
    assert torch.equal(found, scored.log_distribution) and not found.requires_grad
    assert torch.allclose(found.exp().sum(-1), torch.ones(len(found)), atol=1e-5)
    hidden = frozen.hidden(FORGET, 0)
    assert torch.equal(hidden, neox.hidden_at(FORGET, 0)[0]) and not hidden.requires_grad


def test_derived_values_are_computed_once_and_reported(frozen):
    calls = []
    for _ in range(3):
        frozen.once("strength", lambda: calls.append(1) or 2.5)
    frozen.once("vector", lambda: torch.zeros(3))
    assert calls == [1] and frozen.derived == {"strength": 2.5}
