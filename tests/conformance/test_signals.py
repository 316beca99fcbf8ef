"""Every signal: finds what was planted, finds nothing where nothing was, and breaks on nothing.

Thresholds, chosen once: on the 16 records trained on 40 times against 72 never seen, the 95 % interval of the AUC lies
above 1/2; on a model that saw none of them, the interval for all 48 records against the 72 contains 1/2. Scores move by
at most 1e-4 (relative where scores are large) with order, company and padding.

A signal that learns is told the truth about every second of these records and judged on the others, by the same
thresholds; one that learns from shadow models is judged on all.

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

import _tiny
import _tiny_masked
import _tiny_shadows
from rasura.core import registry
from rasura.core.protocols import Signal
from rasura.core.types import Known, Ragged, Sample, Samples, digest
from rasura.observations._engine import Engine
from rasura.stats.roc import auc_estimate

NAMES = registry.fitting("signals", "text")
SHAPES = ("neox", "llama")


@pytest.fixture(scope="module")
def engine():
    return Engine()


@pytest.fixture(params=NAMES)
def signal(request):
    cls = registry.get("signals", request.param)
    settings = getattr(cls, "testbed_settings", {})
    assert not settings or getattr(cls, "testbed_reason", ""), "an exception needs its reason"
    made = cls(**settings)
    return made.prefixed_by(Samples.of(_tiny.texts(12, 99))) if hasattr(made, "prefixed_by") else made


def roles(target, other):
    """Every role a signal may ask for: ``other`` saw none of the records."""
    return {"target": target, "reference": other, "base": other, "masked": _tiny_masked.masked()}


def shadowed(signal, models):
    """With the shadow models of the planted records, where the signal looks at any."""
    return models | _tiny_shadows.shadows()[0] if learns(signal) == "shadows" else models


def untrained(shape):
    model = getattr(_tiny, shape)
    return roles(model(), model(seed=1)) | {f"shadow_{k}": model(seed=1 + k) for k in range(1, 5)}


def learns(signal):
    return getattr(signal, "learns", "")


def halves(signal, *sides):
    """Records to judge on, and those a signal that learns is told about."""
    if learns(signal) in ("", "shadows"):
        return sides, (Samples(), Samples())
    odd, even = ([side.take(range(at, len(side), 2)) for side in sides] for at in (1, 0))
    return odd, even


def made_up(samples):
    """For untrained models: every text in two of four shadows."""
    return {f"shadow_{k}": np.array([(int(digest(s.text), 16) + k) % 2 == 0 for s in samples]) for k in range(1, 5)}


def observe(signal, engine, models, samples, told=None, trained=made_up):
    """What ``score`` is called with; a signal that learns also sees some texts a side, or the records it is told about."""
    if not learns(signal):
        return {name: engine.observe(ask, models, samples) for name, ask in signal.needs().items()}
    members, nonmembers = told or (Samples.of(_tiny.texts(n, seed)) for n, seed in ((9, 91), (18, 92)))
    everyone = Samples([*samples, *members, *nonmembers])
    rows = np.split(np.arange(len(samples), len(everyone)), [len(members)])
    observed = {name: engine.observe(ask, models, everyone) for name, ask in signal.needs().items()}
    return {"known": Known(*rows, trained(everyone)), **observed}


def scores(signal, engine, models, samples, told=None, trained=made_up):
    return signal.score(**observe(signal, engine, models, samples, told, trained))[: len(samples)]


def auc_of(signal, engine, models, members, nonmembers):
    (members, nonmembers), told = halves(signal, members, nonmembers)
    samples = Samples([*members, *nonmembers])
    found = scores(signal, engine, shadowed(signal, models), samples, told, _tiny_shadows.trained)
    return auc_estimate(found[: len(members)], found[len(members) :])


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_default_settings_make_a_signal(signal):
    cls = type(signal)
    assert isinstance(cls(), Signal) and cls() == cls() and hash(cls()) == hash(cls())
    for ask in cls().needs().values():
        assert ask.role in ("target", "reference", "base", "masked") or ask.role.startswith("shadow_")
        assert inspect.isclass(type(ask.what).Data) and isinstance(type(ask.what).version, int)
    assert getattr(cls(), "minimum_tokens", None) == 8


def test_needs_are_the_parameters_of_score(signal):
    """A signal whose number of asks depends on a setting may collect the rest in ``**``."""
    parameters = inspect.signature(signal.score).parameters.values()
    named = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    needed = ["known", *signal.needs()] if learns(signal) else list(signal.needs())
    assert learns(signal) in ("", "nonmembers", "both", "shadows")
    collects = any(p.kind is p.VAR_KEYWORD for p in parameters)
    assert needed[: len(named)] == named and (collects or needed == named)


def test_it_finds_the_planted_leak(signal, engine, planted):
    hot = planted.members.where(lambda s: s.repeats == 40)
    models = roles(planted.models["target"], planted.models["reference"])
    estimate = auc_of(signal, engine, models, hot, planted.nonmembers)
    assert estimate.low > 0.5, f"{signal.name}: AUC {estimate}"


def test_it_is_at_chance_on_a_model_that_never_saw_the_records(signal, engine, planted):
    models = roles(planted.models["reference"], _tiny.neox(seed=1))
    estimate = auc_of(signal, engine, models, planted.members, planted.nonmembers)
    assert estimate.low <= 0.5 <= estimate.high, f"{signal.name}: AUC {estimate}"


@pytest.mark.parametrize("shape", SHAPES)
def test_one_float64_a_sample(signal, engine, shape):
    models = untrained(shape)
    samples = Samples.of(_tiny.texts(5, 12))
    found = scores(signal, engine, models, samples)
    assert (
        isinstance(found, np.ndarray) and found.dtype == np.float64 and found.shape == (5,) and np.isfinite(found).all()
    )
    assert len(np.unique(found)) == 5 or getattr(type(signal), "few_values", "")  # five texts, five scores
    none = scores(signal, engine, models, Samples())
    assert none.dtype == np.float64 and none.shape == (0,)


@pytest.mark.parametrize("shape", SHAPES)
def test_order_company_and_padding_do_not_matter(signal, shape):
    models = untrained(shape)
    short, long = _tiny.texts(5, 12), [" ".join(_tiny.texts(3, seed)) for seed in (20, 21)]
    samples = Samples.of([*short, *long])
    together = scores(signal, Engine(), models, samples)
    close(scores(signal, Engine(), models, samples.take([5, 0, 6, 4, 2, 1, 3]))[[1, 5, 4, 6, 3, 0, 2]], together)
    if not getattr(type(signal), "depends_on_company", ""):
        close(scores(signal, Engine(), models, samples.take(range(5))), together[:5])  # less padding
    close(scores(signal, Engine(token_budget=1), models, samples), together)  # alone


@pytest.mark.parametrize("shape", SHAPES)
def test_what_cannot_be_scored_is_nan_and_the_rest_is_not(signal, shape):
    models = untrained(shape)
    good = Samples.of(_tiny.texts(3, 12))
    all_context = Sample("context", good[0].text, start=len(good[0].text))
    mixed = Samples([Sample("empty", ""), good[0], Sample("short", "Anna ran."), all_context, good[1], good[2]])
    found = scores(signal, Engine(), models, mixed)
    assert np.isnan(found[[0, 2, 3]]).all()
    close(found[[1, 4, 5]], scores(signal, Engine(), models, good))
    assert np.isnan(scores(signal, Engine(), models, mixed.take([0, 3]))).all()


def test_what_was_observed_is_left_as_it_was(signal, engine, planted):
    models = roles(planted.models["target"], planted.models["reference"])
    shadows = {f"shadow_{k}": models["reference"] for k in range(1, 5)}
    observed = observe(signal, engine, models | shadows, planted.heldout)
    before = copy.deepcopy(observed)
    first, second = signal.score(**observed), signal.score(**observed)
    np.testing.assert_array_equal(first, second)
    for name, data in observed.items():
        for f in dataclasses.fields(data):
            if isinstance(getattr(data, f.name), dict):
                continue
            now, then = getattr(data, f.name), getattr(before[name], f.name)
            pairs = (
                [(now.values, then.values), (now.offsets, then.offsets)] if isinstance(now, Ragged) else [(now, then)]
            )
            for a, b in pairs:
                np.testing.assert_array_equal(a, b)


def test_the_docstring_holds_formula_source_and_a_number_by_hand(signal):
    text = type(signal).__doc__ or ""
    module = registry.module_of("signals", signal.name)
    assert any(line.startswith("    ") and "s(x) = " in line for line in text.splitlines()), "a formula, set off"
    assert "Source: " in text or "Sources: " in text
    assert "eviation" in text, "where public code or the paper deviates"
    assert "By hand" in text
    examples = [test for test in doctest.DocTestFinder().find(module, module.__name__) if test.examples]
    assert examples, "a worked number"
    assert type(signal).paper.startswith("arXiv:")
