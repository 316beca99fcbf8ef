"""Novelty of what is generated unprompted."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction._observed import objects, told
from rasura.core.errors import BadInput
from rasura.core.types import Ragged, Sample, Samples
from rasura.extraction._power_law import decays
from rasura.extraction.novelty import (
    Novelty,
    generation_rates,
    novelty_curve,
    novelty_decay,
    novelty_difference,
)
from rasura.observations.free_generations import FreeData
from rasura.testbeds._molecules import molecules

POOL = list(islice(molecules(seed=2), 40))


def drawn(texts: list[str], ended: bool = True) -> FreeData:
    n = len(texts)
    return FreeData(Ragged.of([[1]] * n, np.int64), objects(texts), np.full(n, ended), objects([""] * n))


def extract(said: list[str], records: list[str], ended: bool = True, **settings):
    return Novelty(**settings).extract(drawn(said, ended), *told(records))


@given(st.lists(st.sampled_from(POOL[:12] + ["C(", ""]), min_size=1, max_size=60), st.integers(0, 8))
def test_the_curve_is_what_sets_say(said, known):
    """Against the obvious way: sets of strings, uniqueness before novelty."""
    records = POOL[:known] or ["unseen"]
    found = extract(said, records, valid="smiles")
    for point in novelty_curve(found, at=[1, len(said)]):
        first = said[: point.draws]
        valid = [s for s in first if s in POOL]
        assert point.valid.value == pytest.approx(len(valid) / len(first))
        if valid:
            assert point.unique.value == pytest.approx(len(set(valid)) / len(valid))
            assert point.novel.value == pytest.approx(len(set(valid) - set(records)) / len(set(valid)))
            assert point.memorised.value == pytest.approx(1 - point.novel.value)
        else:
            assert not point.unique.known and not point.novel.known
    assert found.times.tolist() == [float(said.count(r)) for r in records]


def test_common_strings_count_once():
    """Novelty of all draws, repeats included, would be 1/10."""
    found = extract([POOL[0]] * 9 + [POOL[1]], [POOL[0]])
    assert novelty_curve(found)[-1].novel.value == 0.5


def test_a_draw_that_ran_out_of_tokens_is_a_record_if_it_begins_with_one():
    found = extract([POOL[0] + "CC", "CC", POOL[1]], POOL[:2], ended=False, valid="smiles")
    assert found.success.tolist() == [1.0, 1.0]
    assert novelty_curve(found)[-1].valid.value == pytest.approx(2 / 3)
    assert extract([POOL[0] + "CC"], POOL[:1]).success.tolist() == [0.0]


def test_models_are_compared_at_equal_numbers_of_draws():
    few, many = extract(POOL[:10], POOL[:5]), extract(POOL[:4] + POOL[10:40], POOL[:5])
    difference = novelty_difference(many, few)
    assert difference.value == pytest.approx(6 / 10 - 5 / 10) and difference.n == 20


def test_records_of_more_copies_are_generated_more_often():
    found = extract([POOL[0]] * 6 + [POOL[1]] * 2, POOL[:4])
    rows = generation_rates(found, [16, 1, 1, None])
    assert [(r.repeats, r.estimate.value, r.estimate.n) for r in rows] == [(1, 0.125, 2), (16, 0.75, 1)]


def test_what_the_record_says_of_novelty_is_the_curve_and_the_doses():
    found = extract([POOL[0]] * 6 + [POOL[1]] * 2 + POOL[5:7], POOL[:4])
    samples = Samples(Sample(str(i), POOL[i], repeats=dose) for i, dose in enumerate((16, 1, 1, None)))
    rows = {(r.name, r.x): r.estimate.value for r in Novelty().measures(found, samples)}
    last = novelty_curve(found)[-1]
    assert rows["unique", 10.0] == last.unique.value == 0.4 and rows["novel", 10.0] == last.novel.value == 0.5
    assert rows["of draws, a record", 16.0] == 0.6 and rows["of draws, a record", 1.0] == pytest.approx(0.1)


def test_the_curve_over_draws_ends_at_what_was_found():
    found = extract([POOL[0]] * 10 + POOL[1:3] + ["C"] * 8, POOL[:4])
    curve = found.curves[0]
    assert curve.x == (10.0, 20.0)
    np.testing.assert_allclose(curve.values[:, -1], found.success)
    assert curve.values[1, 0] == pytest.approx(0.5)


@given(st.floats(0.1, 1.0), st.floats(0.01, 0.5))
def test_both_laws_are_recovered_from_their_own_points(a, b):
    n = np.array([10, 20, 50, 100, 200])
    power = decays(n, a * n**-b)
    assert power[0].form == "power" and power[0].b.value == pytest.approx(b, abs=1e-9)
    falling = decays(n / 50, a * np.exp(-b * n / 50))
    assert falling[0].form == "exponential" and falling[0].a == pytest.approx(a)


def test_too_few_points_are_not_fitted():
    fits = decays([10, 20], [0.5, 0.4])
    assert all(not f.b.known and "2 points" in f.b.note for f in fits)
    assert not novelty_decay(novelty_curve(extract([POOL[0]], POOL[:1])))[0].b.known


def test_the_same_record_twice_is_generated_twice():
    found = extract([POOL[0]], [POOL[0], POOL[0], POOL[1]])
    assert found.success.tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("bad", [{"draws": 0}, {"valid": "chemistry"}, {"temperature": 0.0}])
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(BadInput):
        Novelty(**bad)


def test_without_draws_nothing_is_known():
    said = FreeData(Ragged.of([[]], np.int64), objects([""]), np.zeros(1, dtype=bool), objects(["out of memory"]))
    found = Novelty(draws=1).extract(said, *told(POOL[:2]))
    assert np.isnan(found.success).all() and set(found.reason) == {"out of memory"} and not found.curves
