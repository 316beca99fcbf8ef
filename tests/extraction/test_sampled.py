"""(n, p)-extraction: exact where floating point would underflow, and true to real samples."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.core.errors import BadInput
from rasura.core.types import Ask, Samples
from rasura.extraction.sampled import QUERIES, Sampled, curve, extractable
from rasura.observations._engine import Engine
from rasura.observations._suffix import suffix, verbatim
from rasura.observations.generations import Generations
from rasura.observations.sampling_probability import SamplingProbability
from rasura.observations.token_statistics import TokenStatistics
from rasura.stats.attempts import chance, log_queries

LN10 = math.log(10)


def test_tiny_probabilities_do_not_underflow():
    """p_z = 1e-300: n for p = 1/2 is log 2 * 1e300, so log10 n = 300 + log10(.6931) = 299.8408; 1e-3000 likewise."""
    found = log_queries(np.array([-300.0, -3000.0]) * LN10, 0.5) / LN10
    assert found == pytest.approx([299.84083, 2999.84083], abs=1e-4)
    assert extractable(np.array([-300.0 * LN10]), 1e6, 0.5).tolist() == [0.0]
    assert extractable(np.array([-300.0 * LN10]), 1e300, 0.5).tolist() == [1.0]  # 1e300 > .69e300
    assert chance(np.array([-300 * LN10]), 100)[0] == pytest.approx(1e-298, rel=1e-9)


def test_a_removed_token_is_never_extracted_and_a_certain_one_always():
    assert extractable(np.array([-np.inf, 0.0, np.nan]), 1, 0.999).tolist()[:2] == [0.0, 1.0]
    assert np.isnan(extractable(np.array([np.nan]), 1, 0.5)[0])
    assert log_queries(np.array([-np.inf]), 0.5)[0] == np.inf
    assert chance(np.array([-np.inf, 0.0]), 5).tolist() == [0.0, 1.0]


@given(st.fractions(Fraction(1, 1000), Fraction(999, 1000)), st.integers(1, 60), st.fractions("0.01", "0.99"))
def test_agrees_with_exact_arithmetic(p_z, n, p):
    """1 - (1 - p_z)^n >= p in rational numbers, except within a rounding error of equality."""
    exact = 1 - (1 - p_z) ** n
    assert float(chance(np.log(float(p_z)), n)) == pytest.approx(float(exact), rel=1e-9)
    if abs(float(exact - p)) > 1e-9:
        assert float(extractable(np.log(float(p_z)), n, float(p))) == float(exact >= p)


def test_the_number_needed_is_the_number_that_is_enough():
    """p_z = 1/2: 1, 2 and 3 samples reach 1/2, 3/4 and 7/8 exactly, and one less does not."""
    for n, p in ((1, 0.5), (2, 0.75), (3, 0.875)):
        assert extractable(np.log([0.5]), n, p).tolist() == [1.0]
        if n > 1:
            assert extractable(np.log([0.5]), n - 1, p).tolist() == [0.0]


def test_curves_rise_with_n_and_leave_out_what_is_unknown():
    shares = [share.value for _, share in curve(np.array([-1.0, -5.0, -12.0, -300.0, np.nan]))]
    assert shares == sorted(shares) and shares[-1] == 0.75  # exp(-12) = 6e-6 needs 1.1e5
    assert len(shares) == len(QUERIES) and curve(np.array([-1.0]))[0][1].n == 1


def test_plain_sampling_shares_the_pass_of_every_other_method_and_truncation_does_not():
    assert Sampled().needs()["tokens"] == Ask(TokenStatistics())
    for settings in ({"temperature": 0.5}, {"top_k": 40}, {"top_p": 0.9}):
        assert Sampled(**settings).needs()["tokens"] == Ask(SamplingProbability(**settings))


def test_at_temperature_zero_it_is_verbatim_extraction(planted):
    samples = Samples([*planted.members.take(range(12)), *planted.nonmembers.take(range(4))])
    greedy = Sampled(temperature=0.0)
    asks = (greedy.needs()["tokens"], Ask(TokenStatistics()))
    data, plain = (Engine().observe(ask, planted.models, samples) for ask in asks)
    found = greedy.extract(data)
    assert np.array_equal(found.success, verbatim(suffix(plain, plain.rank)))
    assert set(np.exp(found.log_probability)) == {0.0, 1.0}


def test_both_observations_say_the_same_without_truncation(planted):
    samples = planted.members.take(range(10))
    plain, exact = (
        Engine().observe(Ask(w), planted.models, samples) for w in (TokenStatistics(), SamplingProbability())
    )
    found = [Sampled().extract(data).log_probability for data in (plain, exact)]
    assert found[0] == pytest.approx(found[1], abs=1e-4)


def test_real_samples_come_out_as_often_as_computed(planted):
    """200 samples of the last 3 tokens of 6 plants: each count lies within 4.5 standard deviations of 200 p_z."""
    samples = planted.members.take(range(2, 8))
    cut = 16
    extractor = Sampled(prefix_tokens=cut, suffix_tokens=3)
    p = np.exp(extractor.extract(Engine().observe(Ask(TokenStatistics()), planted.models, samples)).log_probability)
    drawn = Engine().observe(Ask(Generations(cut, 3, samples_each=200, temperature=1.0)), planted.models, samples)
    for i, chance_of_one in enumerate(p):
        hits = sum(np.array_equal(ids[:3], drawn.true_ids[i][:3]) for ids in drawn.draws(i))
        assert abs(hits - 200 * chance_of_one) <= 4.5 * math.sqrt(200 * chance_of_one * (1 - chance_of_one)) + 1
    assert (p > 0.05).any() and (p < 0.999).any()


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"temperature": 0.8, "top_k": 40}, {"top_p": 0.9}])
def test_real_samples_come_out_as_often_as_computed_in_the_large(planted, settings):
    """48 records, 1000 samples each, also under truncation: no count beyond 5 deviations, and the sum of all within 4."""
    samples = planted.members
    extractor = Sampled(prefix_tokens=16, suffix_tokens=3, **settings)
    observed = {key: Engine().observe(ask, planted.models, samples) for key, ask in extractor.needs().items()}
    p = np.exp(extractor.extract(**observed).log_probability)
    ask = Ask(Generations(16, 3, samples_each=1000, **{"temperature": 1.0, **settings}))
    drawn = Engine().observe(ask, planted.models, samples)
    hits = np.array([sum(np.array_equal(d[:3], drawn.true_ids[i][:3]) for d in drawn.draws(i)) for i in range(len(p))])
    deviation = np.sqrt(1000 * p * (1 - p))
    assert (np.abs(hits - 1000 * p) <= 5 * deviation + 1).all()
    assert abs((hits - 1000 * p).sum()) <= 4 * np.sqrt((deviation**2).sum()) + 1


def test_the_plain_formula_underflows_where_this_one_does_not():
    """1 - (1 - 1e-20)^1e6 is 0 in floating point; it is 1e-14."""
    assert 1 - (1 - 1e-20) ** 1e6 == 0.0
    assert chance(np.log(1e-20), 1e6) == pytest.approx(1e-14)


def test_curves_are_drawn_for_four_certainties_and_beside_truncation_without_it(planted):
    samples = planted.members.take(range(4))
    for settings, curves in (({}, 4), ({"top_k": 5}, 8)):
        extractor = Sampled(**settings)
        found = extractor.extract(
            **{key: Engine().observe(ask, planted.models, samples) for key, ask in extractor.needs().items()}
        )
        assert len(found.curves) == curves and {c.axis for c in found.curves} == {"samples drawn"}
        half = next(c for c in found.curves if "0.5" in c.name)
        assert half.x == tuple(map(float, QUERIES))
        assert half.values[:, 2] == pytest.approx(found.success)  # n = 100, p = 1/2
        for easier, harder in zip(found.curves[:3], found.curves[1:4], strict=True):
            assert (easier.values >= harder.values).all()  # being surer takes more samples
            assert (np.diff(easier.values, axis=1) >= 0).all()


@pytest.mark.parametrize("settings", [{"n": 0}, {"p": 0.0}, {"p": 1.0}])
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(BadInput, match="sampled"):
        Sampled(**settings)
