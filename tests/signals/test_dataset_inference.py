"""Dataset inference: one p value for a collection, and no false ones."""

from __future__ import annotations

import numpy as np
import pytest

from rasura.core.errors import BadInput
from rasura.core.types import Known, Ragged
from rasura.observations.token_statistics import TokenData
from signals._named import module, signal


def token_data(rows) -> TokenData:
    rows = Ragged.of(rows, np.float32)
    n, size = len(rows), np.full(len(rows), 100, dtype=np.int64)
    return TokenData(rows, rows, rows, rows, rows.lengths, size, size, np.full(n, "", dtype=object))


def collection(n, gap, seed):
    """2 n texts of 20 tokens; those of the first n are likelier by ``gap`` nats a token."""
    rng = np.random.default_rng(seed)
    return token_data(
        rng.normal(-3, 0.5, (2 * n, 1)) + rng.normal(0, 1, (2 * n, 20)) + gap * (np.arange(2 * n) < n)[:, None]
    )


def p_value(method, n, gap, seed):
    suspect, validation = np.arange(n), np.arange(n, 2 * n)
    found = method.score(Known(suspect[::2], validation[::2]), collection(n, gap, seed))
    return method.collection_p_value(found[suspect[1::2]], found[validation[1::2]])


@pytest.mark.parametrize("test", ["welch", "permutation"])
def test_it_finds_a_collection(test):
    assert p_value(signal("dataset_inference", perturbations=False, test=test), 120, 0.7, 0) < 0.01


def test_collections_that_differ_in_nothing_are_found_at_the_promised_rate():
    """120 pairs drawn alike: about 10 in 100 p values lie below .1 (99 % range of the count: 4 to 21), half below .5."""
    method = signal("dataset_inference", perturbations=False, steps=150)
    found = np.array([p_value(method, 40, 0.0, seed) for seed in range(120)])
    assert 4 <= np.sum(found < 0.1) <= 21 and 0.35 < np.mean(found < 0.5) < 0.65


def test_each_class_clipped_by_its_own_quantiles():
    """Slip: clipping the suspect set by its own quantiles tells the two apart by the cut alone. Right: a rule of both
    halves A together, the same for every text: equal texts get equal scores, whichever side they are on."""
    data = collection(40, 0.5, 3)
    rows = [*data.log_probability]
    rows[41] = rows[1] = np.full(20, 4.0)  # beyond every quantile, once a side
    found = signal("dataset_inference", perturbations=False).score(
        Known(np.arange(0, 40, 2), np.arange(40, 80, 2)), token_data(rows)
    )
    assert found[1] == found[41]


def test_half_b_takes_no_part_in_the_fit():
    """Slip: standardised by the whole suspect set. Right: another text in B moves no other score."""
    method, known = signal("dataset_inference", perturbations=False), Known(np.arange(0, 40, 2), np.arange(40, 80, 2))
    data = collection(40, 0.5, 4)
    rows = [*data.log_probability]
    before = method.score(known, token_data(rows))
    rows[1] = rows[1] - 30
    after = method.score(known, token_data(rows))
    assert np.delete(before, 1).tolist() == np.delete(after, 1).tolist() and before[1] != after[1]


def test_the_smallest_of_several_p_values():
    """Slip: the best of many random halves. Right: twice the median."""
    assert module("dataset_inference").twice_median([0.001, 0.3, 0.4]) == 0.6


def test_the_wrong_tail_of_the_token_losses():
    """Slip: "k_min" as the smallest losses only. Right: both tails: of -4..-1 the 5 % least likely is -4, the likeliest -1."""
    means = module("dataset_inference").tail_means(np.array([-2.0, -4.0, -1.0, -3.0]))
    assert means[0] == -4.0 and means[7] == -1.0 and len(means) == 14


def test_direction_and_degenerate_scores():
    method = signal("dataset_inference")
    rng = np.random.default_rng(0)
    low, high = rng.normal(0, 1, 50), rng.normal(2, 1, 50)
    assert method.collection_p_value(high, low) < 1e-6 < 0.99 < method.collection_p_value(low, high)
    assert method.collection_p_value(np.ones(3), np.ones(3)) == 0.5
    assert method.collection_p_value(np.full(3, 2.0), np.ones(3)) == 0.0
    assert np.isnan(method.collection_p_value(np.array([1.0, np.nan]), low))


def test_what_it_asks_and_refuses():
    full = signal("dataset_inference", references=2).needs()
    assert list(full) == [
        "statistics",
        "typos",
        "deletion",
        "case",
        "whitespace",
        "underscores",
        "reference",
        "reference_2",
    ]
    assert [ask.role for ask in full.values()][-2:] == ["reference", "reference_2"]
    with pytest.raises(BadInput, match="at least 8 scorable"):
        signal("dataset_inference", perturbations=False).score(
            Known(np.arange(2), np.arange(40, 60)), collection(40, 0, 0)
        )
    with pytest.raises(BadInput, match="clip"):
        signal("dataset_inference", clip=0.5)
