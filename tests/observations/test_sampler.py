"""The sampler's distribution against the warpers of transformers and against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from rasura.core.errors import BadInput
from rasura.observations._continue import _choose
from rasura.observations._sampler import Sampler


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    vocabulary=st.integers(2, 40),
    temperature=st.floats(0.3, 3),
    top_k=st.integers(0, 45),
    top_p=st.floats(0.05, 1),
)
def test_same_distribution_as_transformers(seed, vocabulary, temperature, top_k, top_p):
    logits = 3 * torch.randn(3, vocabulary, generator=torch.Generator().manual_seed(seed))
    expected = TemperatureLogitsWarper(temperature)(None, logits)
    if top_k:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    found = Sampler(temperature, top_k, top_p).log_probabilities(logits)
    torch.testing.assert_close(found, torch.log_softmax(expected, -1))
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(3))


def test_temperature_then_top_k_then_top_p():
    """p = (.5, .25, .15, .1) at temperature 1/2 is p^2 renormalised: (.25, .0625, .0225, .01)/.345. Top-k 3 leaves
    (.25, .0625, .0225)/.335. Ascending sums .067, .254, 1: top-p .8 drops what is at or below .2, the third token.
    Left: (.25, .0625)/.3125 = .8, .2."""
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.15, 0.1]]))
    found = Sampler(0.5, 3, 0.8).log_probabilities(logits).exp()
    torch.testing.assert_close(found, torch.tensor([[0.8, 0.2, 0.0, 0.0]]))


def test_greedy_takes_the_smallest_of_tied_ids():
    found = Sampler(0.0).log_probabilities(torch.tensor([[1.0, 3.0, 3.0]]))
    assert found.tolist() == [[-torch.inf, 0.0, -torch.inf]]


def test_top_p_always_leaves_one_token():
    found = Sampler(top_p=1e-9).log_probabilities(torch.tensor([[0.0, 1.0, 0.5]]))
    assert found.exp().tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    "bad", [{"temperature": -1.0}, {"temperature": float("nan")}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.5}]
)
def test_settings_that_make_no_sense(bad):
    with pytest.raises(BadInput, match=next(iter(bad))):
        Sampler(**bad)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), vocabulary=st.integers(1, 30))
def test_drawing_is_the_inverse_distribution_function(seed, vocabulary):
    """Against numpy's own: the share of u in [0, 1) that gives token v is p_v, and impossible tokens never come."""
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.ones(vocabulary)) * (random.random(vocabulary) > 0.3)
    p = p / p.sum() if p.sum() > 0 else np.full(vocabulary, 1 / vocabulary)
    uniforms = np.concatenate([random.random(20), [0.0, np.nextafter(1.0, 0.0)]])
    found = _choose(
        torch.from_numpy(np.tile(np.log(np.maximum(p, 1e-300)) + np.where(p > 0, 0, -np.inf), (22, 1))),
        torch.from_numpy(uniforms),
    )
    assert (p[found.numpy()] > 0).all()
    assert found[:20].tolist() == np.searchsorted(np.cumsum(p), uniforms[:20], side="right").tolist()
