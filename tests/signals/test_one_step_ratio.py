"""One training step on a text: against the obvious loop, without drift, and what it is to first order."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

import _tiny
from rasura.core.errors import BadInput, NotYetSupported
from rasura.core.types import Sample, Samples
from rasura.models.noise import WeightNoise
from rasura.observations._engine import Engine
from rasura.observations.one_step_loss import OneStepData, OneStepLoss
from signals._named import signal


def obvious(model, text, step):
    """A copy of the model, an optimiser, one step."""
    module = copy.deepcopy(model.module).double()
    ids = torch.tensor([model.tokenizer(text)["input_ids"]])
    optimiser = torch.optim.SGD(module.parameters(), lr=step)
    before = module(input_ids=ids, labels=ids).loss
    before.backward()
    optimiser.step()
    with torch.no_grad():
        return float(before), float(module(input_ids=ids, labels=ids).loss)


@settings(max_examples=6)
@given(st.integers(0, 10_000), st.sampled_from([5e-5, 1e-2, 0.3]), st.sampled_from(["neox", "llama"]))
def test_it_is_what_an_optimiser_does(seed, step, name):
    """Good to 1e-6 only: the library's own loss runs in single precision."""
    model, texts = getattr(_tiny, name)(), _tiny.texts(2, seed)
    data = OneStepLoss(step).measure(model, Samples.of(texts))
    for i, text in enumerate(texts):
        before, after = obvious(model, text, step)
        assert data.before[i] == pytest.approx(before, abs=2e-6)
        assert data.after[i] == pytest.approx(after, abs=2e-6)


def test_to_first_order_the_loss_falls_by_step_times_squared_norm():
    """Halving a small step halves what the first order misses; at the authors' step it is 1 % of the fall and less."""
    model, samples = _tiny.neox(), Samples.of(_tiny.texts(4, 3))
    missed = []
    for step in (5e-5, 2.5e-5):
        data = OneStepLoss(step).measure(model, samples)
        missed.append((data.before - data.after) / (step * data.squared_norm) - 1)
    assert np.abs(missed[0]).max() < 0.02
    assert np.median(missed[0] / missed[1]) == pytest.approx(2, rel=0.02)


def test_it_says_what_the_squared_norm_over_the_loss_says(planted):
    data = OneStepLoss().measure(planted.models["target"], planted.nonmembers)
    scores = signal("one_step_ratio").score(data)
    assert spearmanr(scores, -data.squared_norm / data.before).statistic > 0.99
    assert ((scores > 0) & (scores < 1)).all()


def test_weights_that_drift():
    """Slip: the step is undone by adding it back, so that every text leaves its rounding behind. Right: the caller's
    weights are never touched, and the hundredth text starts from the same ones as the first."""
    model, sample = _tiny.neox(), _tiny.texts(1, 3)[0]
    before = {n: p.clone() for n, p in model.module.named_parameters()}
    flags = {n: p.requires_grad for n, p in model.module.named_parameters()}
    data = OneStepLoss(1.0).measure(model, Samples([Sample(str(i), sample) for i in range(20)]))
    assert len(set(data.after.tolist())) == len(set(data.before.tolist())) == 1
    for n, p in model.module.named_parameters():
        assert torch.equal(p, before[n]) and p.grad is None and p.requires_grad == flags[n]


def test_single_precision_would_lose_the_step():
    """Slip: l1 - l0 in single precision, where values near 6 are 5e-7 apart. Right: two steps that differ by a
    millionth give falls that differ by a millionth."""
    model, samples = _tiny.neox(), Samples.of(_tiny.texts(3, 3))
    one, two = (OneStepLoss(step).measure(model, samples) for step in (5e-5, 5e-5 * (1 + 1e-6)))
    growth = (two.before - two.after) / (one.before - one.after) - 1
    np.testing.assert_allclose(growth, 1e-6, rtol=0.05)


def test_pads_in_the_loss():
    """Slip: the loss runs over padding up to the full context. Right: a text's score is the same in any company."""
    model, texts = _tiny.neox(), [_tiny.texts(1, 3)[0], " ".join(_tiny.texts(3, 4))]
    together = Engine().observe(signal("one_step_ratio").needs()["losses"], {"target": model}, Samples.of(texts))
    alone = OneStepLoss().measure(model, Samples.of(texts[:1]))
    assert together.before[0] == alone.before[0] and together.after[0] == alone.after[0]


def test_the_sign_on_planted_records(planted):
    """Memorised texts have less to gain: their ratio is nearer to 1. The other sign is there by name."""
    hot, unseen = planted.members.take(range(16)), planted.nonmembers.take(range(16))
    data = OneStepLoss().measure(planted.models["target"], Samples([*hot, *unseen]))
    scores = signal("one_step_ratio").score(data)
    assert np.median(scores[:16]) > np.median(scores[16:])
    np.testing.assert_array_equal(signal("one_step_ratio", members="lower").score(data), -scores)


def test_what_cannot_be_scored_and_what_is_refused():
    model = _tiny.neox()
    data = OneStepLoss().measure(model, Samples.of(["", _tiny.texts(1, 3)[0]]))
    assert np.isnan(data.before).tolist() == [True, False] and data.reason.tolist() == ["no token to score", ""]
    one, tokens = np.ones(1), np.array([9])
    nothing = OneStepData(0 * one, 0 * one, one, tokens, np.array([""], dtype=object))
    assert signal("one_step_ratio").score(nothing).tolist() == [1.0]  # 0/0: nothing left to gain
    for make in (lambda: signal("one_step_ratio", step=0.0), lambda: signal("one_step_ratio", members="both")):
        with pytest.raises(BadInput):
            make()
    with model.perturbed(WeightNoise()), pytest.raises(NotYetSupported):
        OneStepLoss().measure(model, Samples.of(_tiny.texts(1, 3)))
    assert OneStepLoss().passes == (2, 1)
