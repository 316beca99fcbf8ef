"""Token probabilities under a sampler."""

from __future__ import annotations

import numpy as np
import pytest

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Ask, Sample, Samples
from rasura.observations._engine import Engine
from rasura.observations.sampling_probability import SamplingProbability
from rasura.observations.token_statistics import TokenStatistics


@pytest.fixture(params=["neox", "llama"])
def model(request):
    return getattr(_tiny, request.param)()


BATCH = Samples([*(Sample(str(i), t, start=7 * (i % 2)) for i, t in enumerate(_tiny.texts(7, 3))), Sample("empty", "")])


def test_without_truncation_it_is_the_plain_log_probability(model):
    sampled, plain = SamplingProbability().measure(model, BATCH), TokenStatistics().measure(model, BATCH)
    np.testing.assert_allclose(sampled.log_probability.values, plain.log_probability.values, atol=1e-6)
    assert sampled.tokens.tolist() == plain.tokens.tolist() and sampled.cut.tolist() == plain.cut.tolist()
    assert sampled.reason.tolist() == plain.reason.tolist() == [""] * 7 + ["no token to score"]


def test_greedy_gives_hits_probability_1_and_all_else_0(model):
    sampled, plain = SamplingProbability(temperature=0).measure(model, BATCH), TokenStatistics().measure(model, BATCH)
    expected = np.where(plain.rank.values == 0, 0.0, -np.inf)
    assert sampled.log_probability.values.tolist() == expected.tolist()


def test_top_k_drops_exactly_the_ranks_from_k_on(model):
    sampled, plain = SamplingProbability(top_k=40).measure(model, BATCH), TokenStatistics().measure(model, BATCH)
    dropped = plain.rank.values >= 40
    assert 0 < dropped.sum() < len(dropped)
    assert (np.isneginf(sampled.log_probability.values) == dropped).all()
    assert (sampled.log_probability.values[~dropped] > plain.log_probability.values[~dropped]).all()


def test_survives_the_store_and_batching(model, tmp_path):
    ask = Ask(SamplingProbability(temperature=0.7, top_k=100, top_p=0.9))
    whole = Engine().observe(ask, {"target": model}, BATCH)
    small = Engine(token_budget=50, shard=3).observe(ask, {"target": model}, BATCH)
    np.testing.assert_allclose(whole.log_probability.values, small.log_probability.values, atol=1e-5)
    assert np.isneginf(whole.log_probability.values).any()


def test_an_answer_that_is_no_number_is_blank_with_its_reason(model):
    with _broken(model):
        data = SamplingProbability().measure(model, BATCH)
    assert not data.tokens.any() and not data.cut.any()
    assert set(data.reason) == {"the model's answer is not a number", "no token to score"}


def _broken(model):
    from contextlib import contextmanager

    @contextmanager
    def nan():
        hook = model.base.get_output_embeddings().register_forward_hook(lambda _m, _i, out: out * float("nan"))
        try:
            yield
        finally:
            hook.remove()

    model.score(BATCH.take([0]))  # the check of the output matrix comes first
    return nan()


def test_settings_that_make_no_sense_are_refused_at_once():
    with pytest.raises(BadInput, match="top_p"):
        SamplingProbability(top_p=0)
