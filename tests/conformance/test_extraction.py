"""Every extractor: finds what was planted, finds nothing where nothing was learned, and keeps the family's promises."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest

from conformance._marked import marked
from rasura.core import registry
from rasura.core.protocols import Extractor
from rasura.core.types import Sample, Samples
from rasura.extraction._dose import rate
from rasura.observations._engine import Engine
from rasura.stats.roc import auc

NAMES = registry.fitting("extraction", "text")


@pytest.fixture(scope="module")
def engine():
    return Engine()


@pytest.fixture(params=NAMES)
def extractor(request, planted):
    """At the settings of testbeds, where there are any; one that learns is told of records that no test attacks."""
    cls = registry.get("extraction", request.param)
    settings = getattr(cls, "testbed_settings", {})
    assert not settings or getattr(cls, "testbed_reason", ""), "an exception needs its reason"
    made = cls(**settings)
    return made.tuned_on(marked(planted.members.take(range(8, 16)))) if hasattr(made, "tuned_on") else made


@pytest.fixture(scope="module")
def roles(planted):
    """Every role an extractor may ask for beside the target: a model that saw none of the records."""
    return {"base": planted.models["reference"], "reference": planted.models["reference"]}


@pytest.fixture
def extract(roles):
    def run(extractor, engine, model, samples):
        models = {**roles, "target": model}
        return extractor.extract(**{key: engine.observe(a, models, samples) for key, a in extractor.needs().items()})

    return run


def test_an_extractor_is_constructible_and_asks_for_what_it_takes(extractor):
    assert isinstance(extractor, Extractor) and isinstance(type(extractor)(), Extractor)
    parameters = inspect.signature(extractor.extract).parameters.values()
    named = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    asked = list(extractor.needs())
    assert set(named) <= set(asked) and (len(named) < len(parameters) or asked == named)
    assert "target" in (found := {ask.role for ask in extractor.needs().values()}) <= {"target", "base", "reference"}
    assert all(role.isidentifier() for role in found)


def test_it_finds_the_plants_and_nothing_in_records_never_seen(extractor, engine, planted, extract):
    """8 records trained on 40 times an epoch against 16 twins: every share of success at least .5 against at most .1."""
    seen = extract(extractor, engine, planted.models["target"], marked(planted.forget))
    twins = extract(extractor, engine, planted.models["target"], marked(planted.nonmembers.take(range(16))))
    assert auc(seen.success, twins.success) >= 0.75
    top = seen.bounds[1]
    assert np.mean(seen.success) >= 0.5 * top
    assert np.mean(twins.success) <= (0.1 * top if seen.unit == "share" else 0.5 * top)


def test_a_model_that_never_saw_them_gives_nothing_away(extractor, engine, planted, extract):
    model = planted.models["retrained"]
    seen = extract(extractor, engine, model, marked(planted.forget))
    twins = extract(extractor, engine, model, marked(planted.nonmembers.take(range(16))))
    assert 0.1 <= auc(seen.success, twins.success) <= 0.9
    assert np.mean(seen.success) <= 0.3 * seen.bounds[1]


def test_one_row_a_record_of_the_right_kind(extractor, engine, planted, extract):
    found = extract(extractor, engine, planted.models["target"], marked(planted.forget))
    n = len(planted.forget)
    for name in ("success", "log_probability", "hits"):
        assert getattr(found, name).shape == (n,) and getattr(found, name).dtype == np.float64, name
    assert found.tokens.shape == (n,) and found.tokens.dtype == np.int64
    assert found.reason.shape == (n,) and not any(found.reason)
    low, high = found.bounds
    assert ((found.success >= low) & (found.success <= high)).all()
    assert (found.log_probability <= 1e-5).all() and (found.tokens == 4).all()
    assert rate(found.success, found.unit, found.bounds).n == n
    for curve in found.curves:
        low, high = curve.bounds
        assert curve.values.shape == (n, len(curve.x)) and curve.values.dtype == np.float64, curve.name
        assert ((curve.values >= low) & (curve.values <= high) | np.isnan(curve.values)).all(), curve.name
    for ranking in found.rankings:
        assert ranking.correct.shape == ranking.confidence.shape == (n,), ranking.name
    assert len({(c.name, c.axis) for c in found.curves}) == len(found.curves)


def test_order_and_company_do_not_matter(extractor, planted, extract):
    samples = marked(Samples([*planted.forget.take(range(3)), *planted.nonmembers.take(range(3))]))
    together = extract(extractor, Engine(), planted.models["target"], samples)
    backwards = extract(extractor, Engine(), planted.models["target"], Samples(samples[::-1]))
    alone = extract(extractor, Engine(), planted.models["target"], samples.take([1]))
    assert np.array_equal(together.success, backwards.success[::-1])
    assert np.allclose(together.log_probability, backwards.log_probability[::-1], atol=1e-4)
    assert together.success[1] == alone.success[0]


def test_a_record_that_cannot_be_judged_is_nan_with_a_reason_and_harms_no_other(extractor, planted, extract):
    """A record that is context to its last character has no token to score."""
    good = marked(planted.forget.take(range(2)))
    empty = Sample("empty", "Anna watched.", start=13)
    alone = extract(extractor, Engine(), planted.models["target"], good)
    mixed = extract(extractor, Engine(), planted.models["target"], Samples([good[0], empty, good[1]]))
    assert np.isnan(mixed.success).tolist() == [False, True, False]
    assert [bool(r) for r in mixed.reason] == [False, True, False]
    assert np.array_equal(mixed.success[[0, 2]], alone.success)


def test_no_record_is_no_crash(extractor, planted, extract):
    found = extract(extractor, Engine(), planted.models["target"], Samples())
    assert found.success.shape == (0,)
    assert not rate(found.success, found.unit, found.bounds).known


def test_what_was_observed_is_left_as_it_was(extractor, engine, planted, roles):
    asks, models = extractor.needs(), {**roles, "target": planted.models["target"]}
    observed = {key: engine.observe(ask, models, marked(planted.forget)) for key, ask in asks.items()}
    before = {key: _copies(data) for key, data in observed.items()}
    extractor.extract(**observed)
    for key, data in observed.items():
        for old, new in zip(before[key], _copies(data), strict=True):
            assert np.array_equal(old, new)


def test_settings_are_the_identity(extractor):
    cls = type(extractor)
    assert cls() == cls() and hash(cls()) == hash(cls()) and hash(extractor) == hash(dataclasses.replace(extractor))
    for field in dataclasses.fields(extractor):
        assert f"{field.name}=" in repr(extractor)


def _copies(data):
    arrays = [getattr(data, f.name) for f in dataclasses.fields(data)]
    return [np.array(getattr(a, "values", a), copy=True) for a in arrays]
