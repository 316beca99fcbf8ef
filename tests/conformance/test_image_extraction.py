"""Every extractor of pictures: finds what was planted, finds nothing where nothing was learned, keeps the family's promises."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest

from conformance._picture_planted import memory, scrambled
from rasura.core import registry, store
from rasura.core.protocols import Extractor
from rasura.core.types import Sample, Samples
from rasura.extraction._dose import rate
from rasura.observations._engine import Engine

NAMES = registry.fitting("extraction", "images")
FEW = 12  # records never trained on


@pytest.fixture(scope="module")
def engine():
    return Engine()


@pytest.fixture(params=NAMES)
def extractor(request):
    cls = registry.get("extraction", request.param)
    settings = getattr(cls, "testbed_settings", {})
    assert not settings or getattr(cls, "testbed_reason", ""), "an exception needs its reason"
    return cls(**settings)


def extract(extractor, engine, model, samples):
    asks = extractor.needs()
    return extractor.extract(**{key: engine.observe(ask, {"target": model}, samples) for key, ask in asks.items()})


def test_an_extractor_is_constructible_and_asks_for_what_it_takes(extractor):
    assert isinstance(extractor, Extractor) and isinstance(type(extractor)(), Extractor)
    assert list(extractor.needs()) == list(inspect.signature(extractor.extract).parameters)
    assert {ask.role for ask in extractor.needs().values()} == {"target"}


def test_it_finds_the_plants_and_little_in_records_never_seen(extractor, engine):
    """Portraits seen most often at least .5, records of the same kind never trained on at most .15.

    ``draws_alike`` (reason, bound): why a method finds more of the latter on a testbed.
    """
    model, never = memory().model, memory().never.take(range(FEW))
    seen, unseen = extract(extractor, engine, model, memory().many), extract(extractor, engine, model, never)
    assert np.mean(seen.success) >= 0.5 * seen.bounds[1], (seen.success, seen.distance)
    most = getattr(extractor, "draws_alike", ("", 0.15))[1]
    assert np.mean(unseen.success) <= most * unseen.bounds[1], (unseen.success, unseen.distance)
    assert np.mean(seen.success) > np.mean(unseen.success)


def test_a_model_that_learned_nothing_gives_nothing_away(extractor, engine):
    seen = extract(extractor, engine, scrambled(), memory().many)
    assert np.mean(seen.success) <= 0.1 * seen.bounds[1]


def test_one_row_a_record_of_the_right_kind(extractor, engine):
    found = extract(extractor, engine, memory().model, memory().many)
    n = len(memory().many)
    for name in ("success", "log_probability", "hits", "distance"):
        assert getattr(found, name).shape == (n,) and getattr(found, name).dtype == np.float64, name
    assert found.tokens.shape == (n,) and found.tokens.dtype == np.int64 and not found.tokens.any()
    assert found.drawn.shape == (n,) and found.drawn.dtype == np.int64 and (found.drawn >= 0).all()
    assert found.reason.shape == (n,) and not any(found.reason)
    assert np.isin(found.success, (0, 1)).all() and ((found.hits >= 0) & (found.hits <= 1)).all()
    assert np.isnan(found.log_probability).all() and (found.distance >= 0).all()
    assert rate(found.success, found.unit, found.bounds).n == n


def test_order_does_not_matter(extractor, engine):
    """Company does where the nearest of all candidates is asked for, so it stays the same here."""
    model = memory().model
    samples = Samples([*memory().many.take(range(2)), *memory().never.take(range(2))])
    together = extract(extractor, engine, model, samples)
    backwards = extract(extractor, engine, model, Samples(samples[::-1]))
    assert np.array_equal(together.success, backwards.success[::-1])
    assert np.allclose(together.distance, backwards.distance[::-1], atol=2 / 255)  # a byte may round the other way


def test_a_record_that_cannot_be_judged_is_nan_with_a_reason_and_harms_no_other(extractor):
    """Rows that could not be drawn, as running out of memory leaves them."""
    model, samples = memory().model, memory().many.take(range(2))
    observed = {key: Engine().observe(ask, {"target": model}, samples) for key, ask in extractor.needs().items()}
    alone = extractor.extract(**observed)
    widened = {
        key: store.concatenate([data, ask.what.blank("out of memory", 1)])
        for (key, data), ask in zip(observed.items(), extractor.needs().values(), strict=True)
    }
    mixed = extractor.extract(**widened)
    assert np.isnan(mixed.success).tolist() == [False, False, True]
    assert mixed.reason.tolist() == ["", "", "out of memory"] and mixed.drawn[2] == -1
    assert np.array_equal(mixed.success[:2], alone.success)


def test_no_record_and_no_picture_are_no_crash(extractor):
    model = memory().model
    assert extract(extractor, Engine(), model, Samples()).success.shape == (0,)
    bare = extract(extractor, Engine(), model, Samples([Sample("bare", memory().many[0].text)]))
    assert bare.success.shape == (1,) and (not np.isnan(bare.success[0]) or bare.reason[0])


def test_what_was_observed_is_left_as_it_was(extractor, engine):
    asks, models = extractor.needs(), {"target": memory().model}
    observed = {key: engine.observe(ask, models, memory().many) for key, ask in asks.items()}
    before = {key: _copies(data) for key, data in observed.items()}
    extractor.extract(**observed)
    for key, data in observed.items():
        for old, new in zip(before[key], _copies(data), strict=True):
            assert np.array_equal(old, new)


def test_settings_are_the_identity(extractor):
    plain = type(extractor)()
    assert plain == type(extractor)() and hash(plain) == hash(type(extractor)())
    for field in dataclasses.fields(extractor):
        assert f"{field.name}=" in repr(extractor)


def _copies(data):
    arrays = [getattr(data, f.name) for f in dataclasses.fields(data)]
    return [np.array(getattr(a, "values", a), copy=True) for a in arrays]
