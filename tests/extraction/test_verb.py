"""The verb over several models, lengths and roles: curves with a floor, clear errors, no text in the record."""

from __future__ import annotations

import math

import numpy as np
import pytest

from _tiny import neox
from conformance._marked import marked
from rasura._extract import extract
from rasura.core import records
from rasura.core.errors import BadInput, NeedsRole
from rasura.extraction._match import Curve, Extracted, Ranking
from rasura.extraction._measures import measure_rows, size_rows
from rasura.observations._engine import Engine


@pytest.fixture(scope="module")
def engine():
    return Engine()


def with_method(name, **settings):
    """By name, so that this file stands when a method's file is gone."""
    from rasura.core import registry

    if name not in registry.names("extraction"):
        pytest.skip(f"{name} is not there")
    return registry.get("extraction", name)(**settings)


def test_lengths_and_sizes_make_curves_with_a_floor(planted, engine):
    small = neox(3, hidden=32)
    method = with_method("discoverable", context_lengths=(8, 16), partial_credit=False)
    record = extract(
        [planted.models["target"], small],
        marked(planted.forget),
        nonmembers=marked(planted.nonmembers.take(range(8))),
        methods=[method],
        engine=engine,
    )
    rows = record.results[0].measures
    lengths = [r for r in rows if r.axis == "tokens of context" and r.name == "word for word"]
    sizes = [r for r in rows if r.axis == "parameters"]
    assert [r.x for r in lengths] == [8.0, 16.0] and all(r.floor.value <= r.estimate.value for r in lengths)
    assert [r.x for r in sizes] == sorted(float(m.parameters) for m in (small, planted.models["target"]))
    assert sizes[0].estimate.value == 0.0 < sizes[1].estimate.value == record.results[0].rate.value
    assert [m.role for m in record.models] == ["target", "target, smaller"]
    assert record.models[0].parameters > record.models[1].parameters  # the largest is the target, in any order
    text = records.to_json(record)
    assert records.to_json(records.from_json(text)) == text
    assert planted.forget[0].text[:20] not in text


def test_what_a_method_says_beyond_one_number_a_record_is_in_the_record(planted, engine):
    method = with_method("novelty", draws=32, new_tokens=20, temperature=0.6)
    record = extract(planted.models["target"], planted.forget, methods=[method], engine=engine)
    rows = {(r.name, r.axis, r.x): r.estimate for r in record.results[0].measures}
    assert rows["valid", "draws", 32.0].n == 32 and ("novel", "draws", 32.0) in rows
    assert {x for name, axis, x in rows if axis == "copies"} == {float(s.repeats) for s in planted.forget}


def test_a_model_of_another_role_comes_by_name(planted, engine):
    method = with_method("fine_tuning", draws=4)
    samples = marked(planted.forget)
    with pytest.raises(NeedsRole, match="base"):
        extract(planted.models["target"], samples, methods=[method], engine=engine)
    models = {"target": planted.models["target"], "base": planted.models["reference"]}
    record = extract(models, samples, methods=[method], engine=engine)
    names = [r.name for r in record.results[0].measures]
    assert "average precision, loss ratio" in names and "recall at 100 errors, fine-tuned loss alone" in names
    assert record.results[0].rate.value > 0.5 and [m.role for m in record.models] == ["target", "base"]


def test_what_cannot_run_is_skipped_and_says_what_it_needs(planted, engine):
    record = extract(planted.models["target"], marked(planted.forget.take(range(3))), engine=engine)
    why = {s.name: s.why for s in record.skipped}
    ran = {r.method.name for r in record.results}
    for name, needs in (("fine_tuning", "--base"), ("ethicist", "--known-members")):
        assert name in ran or needs in why.get(name, needs)
        assert name not in ran
    assert not ran & set(why)


def test_named_methods_without_their_known_records_are_an_error(planted, engine):
    with pytest.raises(BadInput, match="known-members"):
        extract(planted.models["target"], planted.forget, methods=[with_method("ethicist")], engine=engine)


@pytest.mark.parametrize("models", [{}, {"base": "b"}, []])
def test_models_that_say_nothing_about_a_target_are_refused(models, planted):
    with pytest.raises(BadInput, match="extract"):
        extract(models, planted.forget)


def found(values) -> Extracted:
    n = len(values)
    blank = np.zeros(n)
    success = np.array([v[-1] for v in values], dtype=np.float64)
    return Extracted(
        success,
        blank,
        blank.astype(np.int64),
        blank,
        np.array([""] * n, dtype=object),
        curves=(Curve("m", "k", (1.0, 2.0), np.array(values, dtype=np.float64)),),
        rankings=(Ranking("sure", success, np.arange(n, dtype=np.float64)),),
    )


def test_rows_are_means_of_columns_and_unknown_points_are_left_out():
    """Columns of means 1/2 and unknown; the one ranking puts the only right guess first."""
    rows = measure_rows(found([[0.0, math.nan], [1.0, math.nan]]))
    assert [(r.name, r.x, r.estimate.value) for r in rows] == [("m", 1.0, 0.5)]
    rows = measure_rows(found([[0.0, 0.0], [1.0, 1.0]]), found([[0.0, 0.0]]))
    by_name = {(r.name, r.x): r for r in rows}
    assert by_name["m", 2.0].floor.value == 0.0
    assert by_name["average precision, sure", 0.0].estimate.value == 1.0
    assert by_name["recall at 100 errors, sure", 0.0].estimate.value == 0.5
    assert not by_name["average precision, sure", 0.0].floor.known


def test_sizes_are_rates_at_each_number_of_parameters():
    rows = size_rows([(10, found([[0.0, 0.0]]), None), (20, found([[1.0, 1.0]]), found([[0.0, 0.0]]))])
    assert [(r.x, r.estimate.value, r.floor and r.floor.value) for r in rows] == [(10.0, 0.0, None), (20.0, 1.0, 0.0)]
