"""Sampling many times, computed and not done."""

from __future__ import annotations

import numpy as np
import pytest

from rasura.attacks.sampling import Sampling
from rasura.core.errors import BadInput
from rasura.core.types import Ask, Budget, Request, Samples
from rasura.observations._engine import Engine
from rasura.observations._suffix import suffix, verbatim
from rasura.observations.token_statistics import TokenStatistics


def test_more_samples_recover_more(planted):
    request = Request(planted.members.take(range(24)), Samples())
    means = [np.mean(Sampling(n=n).attack(planted.models["target"], request, Budget()).score) for n in (1, 10, 1000)]
    assert means[0] < means[1] < means[2]


def test_at_temperature_zero_it_is_greedy_decoding(planted):
    request = Request(planted.members.take(range(24)), Samples())
    found = Sampling(temperature=0.0).attack(planted.models["target"], request, Budget())
    data = Engine().observe(Ask(TokenStatistics()), planted.models, request.forget)
    assert np.array_equal(found.score, verbatim(suffix(data, data.rank)))


def test_a_budget_of_samples_is_shared_by_the_records(planted):
    """8 records and 30 samples: 3 each, 24 in all."""
    request = Request(planted.forget, Samples())
    found = Sampling().attack(planted.models["target"], request, Budget(samples=30))
    assert found.spent == Budget(queries=8, samples=24)
    exact = Sampling(n=3).attack(planted.models["target"], request, Budget())
    assert np.array_equal(found.score, exact.score)
    with pytest.raises(BadInput, match="7 samples"):
        Sampling().attack(planted.models["target"], request, Budget(samples=7))


def test_probabilities_too_small_for_floating_point_are_kept(neox, planted):
    """An untrained model gives each of some 10 tokens about 1/512: p_z near 1e-27, and 1 - (1 - p_z)^100 is not 0."""
    found = Sampling().attack(neox, Request(planted.forget, Samples()), Budget())
    assert (found.score > 0).all() and (found.score < 1e-20).all()


def test_no_sample_is_refused():
    with pytest.raises(BadInput, match="sampling"):
        Sampling(n=0)
