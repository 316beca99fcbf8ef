"""Distances of distributions, rates by a judge and copies, against brute force, scipy and numbers by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from rasura.core.errors import BadInput
from rasura.core.types import Ragged
from rasura.metrics._distributions import frechet, jackknife_error, left_out
from rasura.metrics._judged import BLIND, UNCORRECTED, corrected_shares, judged_rate, true_rate
from rasura.metrics._shares import effective_size, share_of
from rasura.metrics.clip_score import ClipScore
from rasura.metrics.copy_rate import CopyRate
from rasura.metrics.coverage import Coverage
from rasura.metrics.density import Density
from rasura.metrics.erasure_gap import ErasureGap
from rasura.metrics.erasure_rate import ErasureRate
from rasura.metrics.frechet_distance import FrechetDistance
from rasura.metrics.kernel_distance import KernelDistance, unbiased_mmd
from rasura.metrics.precision import Precision
from rasura.metrics.recall import Recall
from rasura.observations.caption_agreement import AgreementData
from rasura.observations.generated_images import ImageData
from rasura.observations.image_features import FeatureData
from rasura.observations.judgements import JudgementData
from rasura.stats.intervals import wilson

SEEDS = st.integers(0, 2**16)


def clouds(seed, n=12, width=3, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1, (n, width)), rng.normal(0, 1, (n, width))


def features(cloud, reason=""):
    n, width = cloud.shape
    return FeatureData(Ragged.of(list(cloud), np.float64), np.full(n, width), np.array([reason] * n, dtype=object))


def judged(rows, sensitivity=1.0, specificity=1.0):
    n = len(rows)
    rates = (np.full(n, r) if np.isscalar(r) else np.array(r) for r in (sensitivity, specificity))
    return JudgementData(Ragged.of(rows, np.int8), *rates, np.array([""] * n, dtype=object))


# distributions


@given(SEEDS, st.sampled_from([(6, 9), (12, 3), (40, 5), (5, 1)]))
def test_frechet_against_the_matrix_square_root(seed, size):
    g, x = clouds(seed, *size, shift=0.5)
    c, d = (np.atleast_2d(np.cov(cloud, rowvar=False)) for cloud in (g, x))
    jitter = 1e-10 * np.eye(size[1])  # sqrtm needs full rank, the fast path does not
    expected = np.sum((g.mean(0) - x.mean(0)) ** 2) + np.trace(c + d - 2 * np.real(sqrtm((c + jitter) @ (d + jitter))))
    assert frechet(g, x) == pytest.approx(expected, abs=2e-4)


@given(SEEDS)
def test_frechet_is_symmetric_zero_on_itself_and_blind_to_turning(seed):
    g, x = clouds(seed, 30, 4)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 4)))[0]
    assert frechet(g, x) == pytest.approx(frechet(x, g), abs=1e-9) and frechet(g, g) == pytest.approx(0, abs=1e-9)
    assert frechet(g @ turn, x @ turn) == pytest.approx(frechet(g, x), abs=1e-9)


def test_frechet_survives_a_direction_without_spread():
    g, x = (np.concatenate([c, np.ones((len(c), 1))], axis=1) for c in clouds(1, 20, 2))
    assert frechet(g, x) == pytest.approx(frechet(g[:, :2], x[:, :2]), abs=1e-9)


def kernel(a, b):
    return (a @ b / len(a) + 1) ** 3


@given(SEEDS, st.integers(1, 7))
def test_kernel_distance_against_a_double_loop(seed, groups):
    g, x = clouds(seed, 7)
    within_g, within_x = (np.mean([kernel(c[i], c[j]) for i in range(7) for j in range(7) if i != j]) for c in (g, x))
    expected = within_g + within_x - 2 * np.mean([kernel(a, b) for a in g for b in x])
    value, without = unbiased_mmd(g, x, groups)
    assert value == pytest.approx(expected)
    if groups == 7:
        assert without[2] == pytest.approx(unbiased_mmd(np.delete(g, 2, 0), np.delete(x, 2, 0), 1)[0])


def test_kernel_distance_is_unbiased():
    """Two samples of 6 from one distribution, 400 times: the mean is 0 within 4 standard errors, with both signs."""
    found = np.array([unbiased_mmd(*clouds(seed, 6, 2), 1)[0] for seed in range(400)])
    assert abs(found.mean()) < 4 * found.std() / 20 and (found < 0).any() and (found > 0).any()


def brute(g, x, k):
    """Kynkaanniemi's and Naeem's four numbers, one point at a time."""
    distance = lambda a, b: math.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)))  # noqa: E731
    radius = lambda i, cloud: sorted(distance(cloud[i], y) for j, y in enumerate(cloud) if j != i)[k - 1]  # noqa: E731
    radii_x, radii_g = ([radius(i, c) for i in range(len(c))] for c in (x, g))
    inside = [[distance(a, b) < r for b, r in zip(x, radii_x, strict=True)] for a in g]
    return {
        Precision: np.mean([any(row) for row in inside]),
        Recall: np.mean([any(distance(a, b) < r for a, r in zip(g, radii_g, strict=True)) for b in x]),
        Density: sum(map(sum, inside)) / (k * len(g)),
        Coverage: np.mean([min(distance(a, b) for a in g) < r for b, r in zip(x, radii_x, strict=True)]),
    }


@given(SEEDS, st.integers(1, 5), st.floats(0, 3))
def test_neighbour_metrics_against_brute_force(seed, k, shift):
    g, x = clouds(seed, 10, 2, shift)
    for metric, expected in brute(g, x, k).items():
        found = metric(k=k).estimate(features(g), features(x))
        assert found.value == pytest.approx(expected) and found.n == 10
        assert found.low <= found.value <= found.high and found.low >= 0


def test_points_on_top_of_each_other_do_not_hide_the_point_itself():
    """With duplicates the k-th other point may lie at 0; the point itself is still not counted as its neighbour."""
    cloud = np.array([[0.0], [0.0], [3.0], [7.0], [8.0]])
    expected = brute(cloud + 0.5, cloud, 1)
    assert Coverage(k=1).estimate(features(cloud + 0.5), features(cloud)).value == expected[Coverage]


def test_dropped_modes_lower_recall_and_coverage_and_ruin_lowers_precision():
    rng = np.random.default_rng(0)
    real = np.concatenate([rng.normal(m, 0.3, (30, 2)) for m in (0, 10)])
    good = np.concatenate([rng.normal(m, 0.3, (30, 2)) for m in (0, 10)])
    dropped, ruined = rng.normal(0, 0.3, (60, 2)), rng.normal(30, 5, (60, 2))
    value = lambda metric, g: metric().estimate(features(g), features(real)).value  # noqa: E731
    for metric in (Recall, Coverage):
        assert value(metric, good) > 0.85 > 0.6 > value(metric, dropped)
    for metric in (Precision, Density):
        assert value(metric, good) > 0.85 and value(metric, dropped) > 0.85 and value(metric, ruined) < 0.1
    for metric in (FrechetDistance, KernelDistance):
        assert value(metric, good) < value(metric, dropped) < value(metric, ruined)


@pytest.mark.parametrize("metric", [FrechetDistance, KernelDistance, Precision, Recall, Density, Coverage])
def test_records_without_both_pictures_take_no_part(metric):
    g, x = clouds(3, 12)
    holes = FeatureData(
        Ragged.of([row if i != 4 else [] for i, row in enumerate(x)], np.float64),
        np.full(12, 3),
        np.array(["no picture" if i == 4 else "" for i in range(12)], dtype=object),
    )
    kept = [i for i in range(12) if i != 4]
    found, expected = metric().estimate(features(g), holes), metric().estimate(features(g[kept]), features(x[kept]))
    assert found == expected and found.n == 11
    nothing = metric().estimate(features(g[:2]), features(x[:2]))
    assert not nothing.known and "2 pictures" in nothing.note
    empty = features(np.zeros((3, 0)), "no picture")
    assert "no picture" in metric().estimate(empty, empty).note


def test_intervals_of_the_frechet_distance_cover_the_spread_over_samples():
    """The half width is of the size of two standard deviations over fresh samples: neither empty nor absurd."""
    truth = np.std([frechet(*clouds(seed, 60, 2, 1.0)) for seed in range(60)])
    widths = [
        (e.high - e.low) / 4
        for e in (FrechetDistance().estimate(*map(features, clouds(seed, 60, 2, 1.0))) for seed in range(100, 110))
    ]
    assert 0.6 * truth < np.mean(widths) < 1.7 * truth


def test_intervals_of_neighbour_metrics_know_that_one_outlier_moves_many():
    """Over fresh samples precision spreads three times as widely as that many independent pictures would."""
    samples = [tuple(map(features, clouds(seed, 60, 3, 1.5))) for seed in range(40)]
    spread = np.std([Precision().estimate(*pair).value for pair in samples])
    found = [Precision().estimate(*pair) for pair in samples[:10]]
    independent = np.mean([math.sqrt(e.value * (1 - e.value) / e.n) for e in found])
    assert spread > 2 * independent
    assert 0.7 * spread < np.mean([(e.high - e.low) / 3.92 for e in found]) < 1.6 * spread


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=30))
def test_the_jackknife_of_a_mean_is_its_standard_error(values):
    array = np.array(values)
    without = np.array([array[kept].mean() for kept in left_out(len(array))])
    assert jackknife_error(without) == pytest.approx(array.std(ddof=1) / math.sqrt(len(array)), abs=1e-9)


# judges


def test_a_judges_errors_are_taken_out():
    """3 of 8 seen; by .9 and .8: (.375 - .2)/.7 = .25."""
    data = judged([[1, 1, 0, 0], [1, 0, 0, 0]], 0.9, 0.8)
    assert judged_rate(data).value == pytest.approx(0.25) == pytest.approx(ErasureRate().estimate(data).value)


@given(st.floats(0, 1), st.floats(0.6, 1), st.floats(0.6, 1))
def test_the_correction_undoes_what_the_judge_does(rate, sensitivity, specificity):
    said = rate * sensitivity + (1 - rate) * (1 - specificity)
    assert true_rate(said, sensitivity, specificity) == pytest.approx(rate, abs=1e-9)


def test_prompts_are_the_sample_not_pictures():
    """40 pictures of 4 prompts that agree within prompts say as much as 4; ones that differ within prompts say more."""
    agree = judged_rate(judged([[1] * 10, [0] * 10, [1] * 10, [0] * 10]))
    differ = judged_rate(judged([[1] * 5 + [0] * 5] * 4))
    assert agree.value == differ.value == 0.5 and agree.n == differ.n == 4
    assert (agree.low, agree.high) == pytest.approx(wilson(2, 4)) and (differ.low, differ.high) == pytest.approx(
        wilson(20, 40)
    )
    none = judged_rate(judged([[0] * 10] * 4))
    assert none.value == 0 and none.high == pytest.approx(wilson(0, 4)[1])  # not 0 of 40


@given(st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=4), min_size=1, max_size=12))
def test_an_interval_holds_its_value_and_lies_within_0_and_1(rows):
    for rates in ((1.0, 1.0), (0.9, 0.7)):
        found = judged_rate(judged(rows, *rates))
        assert 0 <= found.low <= found.value <= found.high <= 1 and found.n == len(rows)


def test_intervals_over_prompts_cover():
    """Prompts differ (each has its own rate, uniform), 20 prompts of 4 pictures: the interval holds 1/2 in about 95 %."""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        rates = rng.random(20)
        found = judged_rate(judged((rng.random((20, 4)) < rates[:, None]).astype(int)))
        held.append(found.low <= 0.5 <= found.high)
    assert 0.92 <= np.mean(held) <= 0.99


def test_an_unknown_or_blind_judge_is_said_to_be_one():
    unknown = judged_rate(judged([[1, 0]] * 4, math.nan, math.nan))
    assert unknown.value == 0.5 and unknown.note == UNCORRECTED
    blind = judged_rate(judged([[1, 0]] * 4, 0.5, 0.55))
    assert not blind.known and blind.note == BLIND
    absent = judged_rate(
        JudgementData(Ragged.of([[]], np.int8), np.array([np.nan]), np.array([np.nan]), np.array(["why"], dtype=object))
    )
    assert not absent.known and absent.note == "why" and absent.n == 0


def test_prompts_that_were_not_judged_are_left_out():
    data = judged([[1, 1], [], [0, 0]], [0.9, np.nan, 0.9], [0.9, np.nan, 0.9])
    assert judged_rate(data).value == pytest.approx(0.5) and judged_rate(data).n == 2
    assert np.isnan(corrected_shares(data)).tolist() == [False, True, False]


def test_the_gap_is_paired_and_not_cut():
    """A judge that imagines 1 of 10: 0 seen in both is -.125 in both, and their difference 0."""
    zeros, ones = judged([[0, 0]] * 6, 0.9, 0.9), judged([[1, 1]] * 6, 0.9, 0.9)
    assert ErasureGap().estimate(zeros, zeros).value == 0 and ErasureGap().estimate(zeros, zeros).high > 0.2
    assert ErasureGap().estimate(ones, zeros).value == pytest.approx(1 / 0.8)
    assert ErasureGap().estimate(zeros, ones).value == pytest.approx(-1 / 0.8)


def test_effective_sizes():
    assert effective_size(0.0, 0.0, 4, 40) == 4 and effective_size(0.5, 0.0, 4, 40) == 40
    assert effective_size(0.5, 1.0, 4, 40) == 4 and effective_size(0.5, 0.0, 1, 40) == 1
    assert share_of(np.array([np.nan]), 0, why="no picture").note == "no picture"


# copies


def images(*rows):
    reasons = np.array(["" if len(row) else "no picture" for row in rows], dtype=object)
    flat = [np.concatenate([np.full(48, v) for v in row]) if row else [] for row in rows]
    return ImageData(Ragged.of(flat, np.uint8), np.full(len(rows), 4), reasons)


def test_a_copy_of_another_records_picture_is_none_of_ones_own():
    """Drawn 95 lies 5 from the retained 100: nearer than to the own 90 + 10 = 80."""
    drawn, real = images([95, 82], [0, 0]), images([80], [250])
    with_others = CopyRate(n=2, threshold=0.1).estimate(drawn, real, images([100]))
    alone = CopyRate(n=2, threshold=0.1).estimate(drawn, real, images([]))
    assert with_others.value == 0.25 and alone.value == 0.5 and with_others.n == 2


def test_copies_need_a_picture_and_a_known_measure():
    drawn = images([95], [80])
    found = CopyRate(n=1).estimate(drawn, images([], [80]), images())
    assert found.value == 1.0 and found.n == 1
    assert CopyRate(n=1).estimate(drawn, images([], []), images()).note == "no picture"
    for measure in ("l2", "ssim"):
        assert CopyRate(n=1, measure=measure).estimate(images([80]), images([80]), images([9])).value == 1.0
    with pytest.raises(BadInput):
        CopyRate(measure="colour")


def test_a_caption_without_pictures_has_no_clip_score():
    data = AgreementData(Ragged.of([[0.3], []], np.float32), np.array(["", "out of memory"], dtype=object))
    assert ClipScore().estimate(data).n == 1
    nothing = AgreementData(Ragged.of([[]], np.float32), np.array(["out of memory"], dtype=object))
    assert ClipScore().estimate(nothing).note == "out of memory"
