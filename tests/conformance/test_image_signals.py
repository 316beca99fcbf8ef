"""Every signal on pictures: finds what was planted, finds nothing where nothing was, and breaks on nothing.

Thresholds, chosen once: of two groups of four memorised portraits, one seen four times as often, at least one scores above
the portraits of the same kind that were never trained on with an AUC of .8 and a p value (exact, halved for two groups)
below .05: signals peak at different doses. On a model that learned nothing the 95 % interval of the AUC for all planted pictures of
the testbed contains 1/2. Scores move by at most .2 % with order and company.

A signal whose default settings cannot work on models this small says so itself, by ``testbed_settings`` and
``testbed_reason``.
"""

from __future__ import annotations

import copy
import dataclasses
import doctest
import inspect

import numpy as np
import pytest

import _tiny_pipelines
from conformance._picture_planted import memory, planted, scrambled
from rasura.core import registry
from rasura.core.protocols import Signal
from rasura.core.types import Ragged, Sample, Samples
from rasura.data.pictures import write_picture
from rasura.models.text_to_image import TextToImage
from rasura.observations._engine import Engine
from rasura.stats.roc import auc, auc_estimate, auc_p_value

NAMES = registry.fitting("signals", "images")
SHAPES = ("sd1", "sdxl")


@pytest.fixture(scope="module")
def engine():
    return Engine()


@pytest.fixture(params=NAMES)
def signal(request):
    cls = registry.get("signals", request.param)
    settings = getattr(cls, "testbed_settings", {})
    assert not settings or getattr(cls, "testbed_reason", ""), "an exception needs its reason"
    return cls(**settings)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Five records with pictures nobody was trained on."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    texts = ["a red ring", "the blue cross", "photo of a cat", "a green star on red", "the dog"]
    return Samples(
        Sample(str(i), text, picture=write_picture(rng.integers(0, 256, (16, 16, 3)), folder / f"{i}.png"))
        for i, text in enumerate(texts)
    )


def tiny(shape):
    return {"target": TextToImage(getattr(_tiny_pipelines, shape)(prediction="v_prediction"))}


def observe(signal, engine, models, samples):
    return {name: engine.observe(ask, models, samples) for name, ask in signal.needs().items()}


def scores(signal, engine, models, samples):
    return signal.score(**observe(signal, engine, models, samples))


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-7)


def test_default_settings_make_a_signal(signal):
    cls = type(signal)
    assert isinstance(cls(), Signal) and cls() == cls() and hash(cls()) == hash(cls())
    for ask in cls().needs().values():
        assert ask.role == "target"
        assert inspect.isclass(type(ask.what).Data) and isinstance(type(ask.what).version, int)


def test_needs_are_the_parameters_of_score(signal):
    assert list(signal.needs()) == list(inspect.signature(signal.score).parameters)


def test_it_finds_the_planted_leak(signal, engine):
    held = memory()
    models, sides = {"target": held.model}, (held.some, held.many, held.never)
    some, many, never = (scores(signal, engine, models, side) for side in sides)
    found = [(auc(group, never), auc_p_value(group, never)) for group in (some, many)]
    assert any(area >= 0.8 and p < 0.05 / 2 for area, p in found), f"{signal.name}: {found}"


def test_it_is_at_chance_on_a_model_that_learned_nothing(signal, engine):
    side = planted()
    found = scores(signal, engine, {"target": scrambled()}, Samples([*side.members, *side.nonmembers]))
    estimate = auc_estimate(found[: len(side.members)], found[len(side.members) :])
    assert estimate.low <= 0.5 <= estimate.high, f"{signal.name}: AUC {estimate}"


@pytest.mark.parametrize("shape", SHAPES)
def test_one_float64_a_sample(signal, engine, shape, drawn):
    found = scores(signal, engine, tiny(shape), drawn)
    assert found.dtype == np.float64 and found.shape == (5,) and np.isfinite(found).all()
    assert len(np.unique(found)) == 5  # five records, five scores
    none = scores(signal, engine, tiny(shape), Samples())
    assert none.dtype == np.float64 and none.shape == (0,)


@pytest.mark.parametrize("shape", SHAPES)
def test_order_and_company_do_not_matter(signal, shape, drawn):
    models = tiny(shape)
    together = scores(signal, Engine(), models, drawn)
    close(scores(signal, Engine(), models, drawn.take([3, 0, 4, 2, 1]))[[1, 4, 3, 0, 2]], together)
    close(scores(signal, Engine(), models, drawn.take([2, 4])), together[[2, 4]])
    close(scores(signal, Engine(token_budget=1), models, drawn), together)  # alone


@pytest.mark.parametrize("shape", SHAPES)
def test_what_cannot_be_scored_is_nan_with_a_reason_and_the_rest_is_not(signal, shape, drawn):
    """Neither a caption nor a picture."""
    models, empty = tiny(shape), Sample("empty", "")
    mixed = Samples([empty, drawn[0], dataclasses.replace(empty, id="too"), drawn[1]])
    observed = observe(signal, Engine(), models, mixed)
    found = signal.score(**observed)
    assert np.isnan(found).tolist() == [True, False, True, False]
    assert all([bool(r) for r in data.reason] == [True, False, True, False] for data in observed.values())
    close(found[[1, 3]], scores(signal, Engine(), models, drawn.take([0, 1])))
    assert np.isnan(scores(signal, Engine(), models, mixed.take([0, 2]))).all()


def test_what_was_observed_is_left_as_it_was(signal, engine, drawn):
    observed = observe(signal, engine, tiny("sd1"), drawn)
    before = copy.deepcopy(observed)
    np.testing.assert_array_equal(signal.score(**observed), signal.score(**observed))
    for name, data in observed.items():
        for f in dataclasses.fields(data):
            now, then = (
                v.values if isinstance(v, Ragged) else v for v in (getattr(data, f.name), getattr(before[name], f.name))
            )
            np.testing.assert_array_equal(now, then)


def test_the_docstring_holds_formula_source_and_a_number_by_hand(signal):
    text = type(signal).__doc__ or ""
    module = registry.module_of("signals", signal.name)
    assert any(line.startswith("    ") and "s(x) = " in line for line in text.splitlines()), "a formula, set off"
    assert "Source: " in text and "eviation" in text and "By hand" in text
    examples = [test for test in doctest.DocTestFinder().find(module, module.__name__) if test.examples]
    assert examples and type(signal).paper.startswith("arXiv:")
