"""Exposure of canaries: ranks, ties, chance level, and what is not a canary."""

from __future__ import annotations

import math

import numpy as np
import pytest

from conformance._marked import marked
from rasura.core.types import Ask, Ragged, Sample, Samples
from rasura.extraction.exposure import Exposure
from rasura.observations._engine import Engine
from rasura.observations.alternatives import AlternativeData, Alternatives


def data(candidates: list[float], references: list[list[float]]) -> AlternativeData:
    n = len(candidates)
    rows = Ragged.of(references, np.float32)
    return AlternativeData(
        np.array(candidates), rows, np.full(n, 10.0), np.full(n, 3), np.array([""] * n, dtype=object)
    )


def test_ties_count_against_the_secret():
    """Level with all of 3 references: rank 4 of 4, 0 bits. Above them: rank 1, 2 bits."""
    found = Exposure(extrapolate=False).extract(data([-5.0, -4.0], [[-5.0] * 3] * 2))
    assert found.success.tolist() == [0.0, 2.0]


def test_a_secret_that_was_never_inserted_has_1_44_bits_in_expectation():
    """A random rank among N = 201 has mean log2 N - log2(N!)/N = 1.417 bits; for N without end, log2 e = 1.4427.

    1200 secrets and references from one distribution: the mean lies within 4 standard errors (1.44/sqrt(1200) each).
    """
    rng = np.random.default_rng(0)
    found = Exposure(extrapolate=False).extract(
        data(list(rng.normal(size=1200)), rng.normal(size=(1200, 200)).tolist())
    )
    expected = math.log2(201) - math.lgamma(202) / math.log(2) / 201
    assert expected == pytest.approx(1.417, abs=1e-3)
    assert np.mean(found.success) == pytest.approx(expected, abs=4 * 1.44 / math.sqrt(1200))


def test_twins_of_canaries_are_at_chance_on_a_real_model(planted):
    """24 secrets of 3 random digits that the model never saw: mean within 4 standard errors of 1.417 bits."""
    ask = Exposure(extrapolate=False).needs()["alternatives"]
    seen = Engine().observe(ask, {"target": planted.models["reference"]}, marked(planted.nonmembers.take(range(24))))
    bits = Exposure(extrapolate=False).extract(seen).success
    assert np.mean(bits) == pytest.approx(1.417, abs=4 * 1.44 / math.sqrt(24))


def test_extrapolation_goes_beyond_what_ranks_can_show():
    """A normal with mean 40 bits and deviation 3 (shape 0): a secret at 10 bits lies 10 deviations below.

    P(Z <= -10) = 7.6e-24 is 76.8 bits; ranks end at log2(1001) = 9.97. The fit is a fit, so 25 % are allowed for.
    """
    rng = np.random.default_rng(1)
    references = -math.log(2) * rng.normal(40, 3, size=1000)
    found = Exposure().extract(data([-10 * math.log(2)], [references.tolist()]))
    assert found.success[0] == pytest.approx(math.log2(1001))
    assert found.extrapolated[0] == pytest.approx(76.8, rel=0.25)
    assert found.fit_p_value[0] > 0.1
    assert "1 of 1" in found.note and found.unit == "bits" and found.bounds == (0.0, pytest.approx(math.log2(1001)))


def test_few_references_are_not_fitted():
    found = Exposure().extract(data([-1.0], [[-2.0, -3.0, -4.0]]))
    assert found.success.tolist() == [2.0] and np.isnan(found.extrapolated[0])


@pytest.mark.parametrize(
    "sample",
    [
        Sample("unmarked", "Anna counted 42 bottles."),
        Sample("letters", "Anna counted 42 bottles.", secret=13),
        Sample("no digit", "Anna counted: ...", secret=14),
        Sample("nothing", "Anna counted 42.", secret=16),
    ],
)
def test_what_is_not_a_redrawable_secret_is_nan_with_a_reason(neox, sample):
    found = Exposure().extract(
        Engine().observe(Exposure().needs()["alternatives"], {"target": neox}, Samples([sample]))
    )
    assert np.isnan(found.success[0]) and "secret" in found.reason[0]


def test_alternatives_are_distinct_of_the_same_form_and_never_the_secret():
    sample = Sample("a", "Code: 04-29.", secret=6)
    texts = list(Alternatives(references=50)._texts(sample, 4))
    assert texts[0] == sample.text and len(set(texts)) == 51
    for text in texts[1:]:
        assert text[:6] == "Code: " and text[8] == "-" and text[11] == "."
        assert (text[6:8] + text[9:11]).isdigit()


def test_where_few_secrets_exist_all_of_them_are_scored():
    """Two digits: 99 others, whatever ``references`` says, and the rank among them is exact."""
    drawn = Alternatives(references=200).draws(Sample("a", "Code: 04", secret=6), 2)
    assert sorted(drawn) == [k for k in range(100) if k != 4]


def test_draws_depend_on_seed_and_content_alone():
    samples = [Sample(str(i), f"Code: {i:06}", secret=6) for i in (1, 2)]
    first = Alternatives().draws(samples[0], 6)
    assert Alternatives().draws(Sample("other id", samples[0].text, secret=6), 6) == first
    assert Alternatives().draws(samples[1], 6) != first
    assert Alternatives(seed=1).draws(samples[0], 6) != first
    assert len(set(first)) == 200 and 1 not in first


def test_alternatives_are_scored_like_the_secret_itself(neox):
    """The log-probability of an alternative is that of its own text from the cut on."""
    sample = Sample("a", "The code of Anna is 4071.", secret=20)
    what = Alternatives(references=20)
    row = Engine().observe(Ask(what), {"target": neox}, Samples([sample]))
    texts = list(what._texts(sample, 4))
    scores = [float(neox.score(Samples([Sample("b", t, start=20)])).sums()[0].detach()) for t in texts]
    assert row.candidate[0] == pytest.approx(scores[0], abs=1e-4)
    assert row.references[0] == pytest.approx(np.array(scores[1:]), abs=1e-4)
    assert row.space[0] == pytest.approx(4 * math.log2(10)) and row.tokens[0] == 5


def test_other_alphabets():
    sample = Sample("key", "sk = 0af3", secret=5)
    texts = list(Alternatives(references=5, alphabet="0123456789abcdef")._texts(sample, 4))
    assert all(int(t[5:], 16) >= 0 for t in texts) and len(set(texts)) == 6
