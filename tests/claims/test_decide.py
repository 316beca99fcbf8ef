"""One rule for outcomes, and pooled numbers that cover items and seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.claims._decide import FAILS, HOLDS, UNRESOLVED, Inequality, together, verdict
from rasura.claims._pool import average, contrast, median, pooled_auc, share, wider
from rasura.claims._seeds import revived
from rasura.core.types import Estimate, plain
from rasura.stats.roc import auc, auc_estimate


def estimate(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 10, "x")


@pytest.mark.parametrize(
    ("relation", "low", "high", "outcome"),
    [
        (">=", 1.0, 2.0, HOLDS),
        (">", 1.0, 2.0, UNRESOLVED),
        (">=", 0.0, 1.0, UNRESOLVED),
        (">", 0.0, 1.0, FAILS),
        (">=", 0.0, 0.9, FAILS),
        ("<=", 0.0, 1.0, HOLDS),
        ("<", 0.0, 1.0, UNRESOLVED),
        ("<=", 1.0, 2.0, UNRESOLVED),
        ("<", 1.0, 2.0, FAILS),
        ("<=", 1.1, 2.0, FAILS),
    ],
)
def test_the_whole_interval_decides(relation, low, high, outcome):
    assert Inequality("x", estimate(low, high), relation, 1.0).outcome == outcome


def test_no_number_decides_nothing():
    absent = Estimate(math.nan, math.nan, math.nan, 0, "x", note="never measured")
    part = Inequality("x", absent, ">=", 1.0)
    assert part.outcome == UNRESOLVED and str(part) == "x: never measured"


def test_one_failure_fails_a_claim():
    good, bad, wide = (
        Inequality(n, e, ">=", 1.0)
        for n, e in (("good", estimate(1, 2)), ("bad", estimate(0, 0.5)), ("wide", estimate(0, 2)))
    )
    assert (together([good]), together([good, wide]), together([good, wide, bad])) == (HOLDS, UNRESOLVED, FAILS)
    record = verdict("some_claim", [good, bad], "theirs", "More.", [("a",), ("b",)])
    assert record.threshold == "good >= 1; bad >= 1" and "wrong side of the threshold for: bad" in record.why
    assert record.why.endswith("More.") and record.table == (("a",), ("b",))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 3)), min_size=1, max_size=4))
def test_average_is_never_surer_than_its_parts_taken_together(parts):
    """Its half width is at least sqrt(sum of squared half widths)/S, and its ends include the mean."""
    seeds = [Estimate(v, v - h, v + h, 5, "x") for v, h in parts]
    got = average(seeds)
    least = math.sqrt(sum(h * h for _, h in parts)) / len(parts)
    assert got.value == pytest.approx(np.mean([v for v, _ in parts]))
    assert got.low <= got.value - least + 1e-9 and got.high >= got.value + least - 1e-9


def test_disagreeing_seeds_widen_an_interval():
    """Seeds .1 and .9 with tiny item intervals: t with one degree of freedom reaches far beyond both."""
    sure = [Estimate(v, v - 0.001, v + 0.001, 1000, "x") for v in (0.1, 0.9)]
    got = average(sure)
    assert got.low < 0.0 and got.high > 1.0


def test_a_seed_without_a_number_leaves_none():
    assert not average([estimate(0, 1), Estimate(math.nan, math.nan, math.nan, 0, "x", note="why")]).known


def test_one_seed_has_its_own_interval():
    assert wider(0.5, (0.4, 0.6), [0.5], 9, "x") == Estimate(0.5, 0.4, 0.6, 9, "x")


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_pooled_auc_of_one_stratum_is_delongs(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 6, 12).astype(float), rng.integers(0, 6, 9).astype(float)
    ours, plain_one = pooled_auc([[(x, y)]]), auc_estimate(x, y)
    assert (ours.value, ours.low, ours.high, ours.n) == pytest.approx(
        (plain_one.value, plain_one.low, plain_one.high, plain_one.n)
    )


def test_strata_are_never_mixed():
    """Each family is perfectly ordered, although one lies wholly above the other: pooled 1, mixed less."""
    low, high = (np.array([1.0, 2.0]), np.array([0.0])), (np.array([11.0, 12.0]), np.array([10.0]))
    assert pooled_auc([[low, high]]).value == 1.0
    assert auc(np.concatenate([low[0], high[0]]), np.concatenate([low[1], high[1]])) < 1.0


def test_perfect_order_is_as_sure_as_its_pairs():
    """72 pairs in three seeds, all in order: the lower end is .025^(1/72), and seeds that agree do not shorten it."""
    seeds = [[(np.arange(24) + 100.0, np.arange(30.0))] for _ in range(3)]
    assert pooled_auc(seeds).low == pytest.approx(0.025 ** (1 / 72))


def test_share_is_clipped_and_counts_items():
    got = share([np.ones(5), np.zeros(5), np.array([np.nan])])
    assert (got.value, got.low, got.high, got.n) == (0.5, 0.0, 1.0, 10)
    assert not share([np.array([np.nan])]).known


def test_a_study_survives_its_way_to_another_process():
    import json

    from rasura.claims._finetuning import Finetuning

    study = Finetuning(epochs=2, sampled=(1, 2))
    assert revived(json.loads(json.dumps(plain(study)))) == study


@given(st.lists(st.floats(-10, 10), min_size=6, max_size=40), st.integers(0, 5))
def test_the_median_lies_between_its_ends_and_they_are_measured_values(values, cut):
    """One seed alone: the ends are order statistics, and shifting all values shifts the interval."""
    e, moved = (median([np.array(values) + by], "s") for by in (0.0, cut))
    assert e.low <= e.value <= e.high and {e.low, e.high} <= set(values)
    assert moved.low == pytest.approx(e.low + cut) and moved.high == pytest.approx(e.high + cut)


def test_seeds_that_differ_widen_the_median():
    together = median([np.linspace(1, 2, 15)], "s")
    apart = median([np.full(5, 1.0), np.full(5, 1.5), np.full(5, 2.0)], "s")
    assert apart.low < 1.0 <= together.low and apart.high > 2.0 >= together.high
    assert not median([np.array([np.nan])], "s").known


def test_a_contrast_of_two_seeds_covers_what_it_should():
    """Coverage by simulation: two shares of 40 draws each, .8 and .5; at least 93 of 100 intervals hold the truth."""
    from rasura.stats.intervals import proportion

    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        a, b = (proportion(int(rng.binomial(40, p)), 40) for p in (0.8, 0.5))
        e = contrast(a, b, 0.9)
        held += e.low <= 0.8 - 0.9 * 0.5 <= e.high
    assert held / 400 >= 0.93


def test_a_contrast_without_a_side_says_why():
    absent = Estimate(math.nan, math.nan, math.nan, 0, "share", note="nothing to count")
    assert contrast(absent, estimate(0, 1)).note == "nothing to count" and not contrast(estimate(0, 1), absent).known
