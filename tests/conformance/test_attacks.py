"""Every attack: recovers from the untreated model, recovers nothing from one that never saw the records, stays in budget.

An attack for which one of the two is not so carries the reason as a class attribute: ``untreated_gives_nothing``,
``retrained_gives_all``; ``floor`` is its score where there is nothing to find.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.protocols import Attack
from rasura.core.types import Budget, Recovered, Request

NAMES = registry.fitting("attacks", "text")
FREE = Budget()


@pytest.fixture(scope="module")
def asked(planted):
    return Request(planted.forget, planted.retain.take(range(20)))


@pytest.fixture(params=NAMES)
def attack(request):
    return registry.get("attacks", request.param)()


@pytest.fixture(scope="module")
def run(planted, asked):
    """Each attack on each model once for all tests."""
    done: dict = {}

    def go(attack, role) -> Recovered:
        key = (attack, role)
        if key not in done:
            done[key] = attack.attack(planted.models[role], asked, FREE, seed=0, before=planted.models["target"])
        return done[key]

    return go


def test_an_attack_says_what_access_it_needs(attack):
    assert isinstance(attack, Attack)
    assert attack.access in ("black-box", "grey-box", "white-box")
    parameters = list(inspect.signature(attack.attack).parameters)
    assert parameters == ["model", "request", "budget", "seed", "before"]


def test_it_recovers_from_the_untreated_model(attack, run):
    floor = getattr(attack, "floor", 0.0)
    mean = np.nanmean(run(attack, "target").score)
    if hasattr(attack, "untreated_gives_nothing"):
        assert attack.untreated_gives_nothing and mean == floor
    else:
        assert mean >= floor + 0.25


def test_it_recovers_nothing_from_a_model_that_never_saw_the_records(attack, run):
    floor = getattr(attack, "floor", 0.0)
    mean = np.nanmean(run(attack, "retrained").score)
    if hasattr(attack, "retrained_gives_all"):
        assert attack.retrained_gives_all and mean >= 0.9
    else:
        assert mean <= floor + 0.05


def test_one_score_a_forget_record_in_0_1_or_nan(attack, run, asked):
    score = run(attack, "target").score
    assert score.shape == (len(asked.forget),) and score.dtype == np.float64
    known = score[~np.isnan(score)]
    assert len(known) and ((known >= 0) & (known <= 1)).all()


def test_evidence_is_numbers_and_never_text(attack, run, asked):
    found = run(attack, "target")
    assert found.evidence
    words = {w.strip(".").lower() for s in asked.forget for w in s.text.split() if not w.strip(".").isdigit()}
    said = {w.strip(".,:").lower() for line in found.evidence for w in line.split()}
    assert not (words - {"of", "in", "the", "and"}) & said


def test_the_models_are_left_as_they_were(attack, run, planted, asked):
    """Fingerprints are cached, so the weights are hashed anew on fresh handles; gradients are not in a fingerprint."""
    model, before = planted.models["target"], planted.models["retrained"]
    hashes, grads = [m.clone().fingerprint for m in (model, before)], [p.grad for p in model.module.parameters()]
    attack.attack(model, asked, FREE, seed=1, before=before)
    assert [m.clone().fingerprint for m in (model, before)] == hashes
    assert all(p.grad is g for p, g in zip(model.module.parameters(), grads, strict=True))


def test_the_same_seed_gives_the_same_scores(attack, run, planted, asked):
    again = attack.attack(planted.models["target"], asked, FREE, seed=0, before=planted.models["target"])
    assert np.array_equal(again.score, run(attack, "target").score, equal_nan=True)
    assert again.spent == run(attack, "target").spent


def test_budgets_cap_what_is_spent(attack, run, planted, asked):
    """Half of what the attack takes when nothing limits it, kind by kind: kept to, or refused in one line."""
    free = run(attack, "target").spent
    assert free.queries > 0
    for kind in ("steps", "queries", "samples"):
        if not getattr(free, kind):
            continue
        budget = Budget(**{kind: getattr(free, kind) // 2})
        try:
            spent = attack.attack(planted.models["target"], asked, budget, before=planted.models["target"]).spent
        except BadInput as refusal:
            assert "budget" in str(refusal) and "\n" not in str(refusal)
        else:
            assert 0 < getattr(spent, kind) <= getattr(budget, kind)


def test_a_request_for_one_record_is_answered(attack, planted, asked):
    """The most ordinary request of all: a number, or NaN with a line that says why."""
    one = Request(asked.forget.take([0]), asked.retain)
    found = attack.attack(planted.models["target"], one, FREE, before=planted.models["target"])
    assert found.score.shape == (1,)
    assert not np.isnan(found.score[0]) or "not resolvable" in found.evidence[0]


def test_a_budget_too_small_for_anything_is_refused(attack, planted, asked):
    with pytest.raises(BadInput, match="budget"):
        attack.attack(planted.models["target"], asked, Budget(queries=1), before=planted.models["target"])
