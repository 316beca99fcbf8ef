"""The blind baseline: silent on a random split, loud on a shifted one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rasura.stats import _text_kernels, blind

WORDS = [first + last for first in ("ba", "ke", "mo", "tu", "li", "so") for last in ("ra", "nim", "pos", "det", "gu")]


def texts(count, seed, words=tuple(WORDS), years=(1950, 2020), length=12):
    rng = np.random.default_rng(seed)
    return [f"In {rng.integers(*years)} " + " ".join(rng.choice(words, length)) + "." for _ in range(count)]


def test_a_random_split_stays_silent():
    result = blind.blind_baseline(texts(60, 1), texts(60, 2))
    assert not result.separates and result.p_value > 0.05
    assert result.auc.low < 0.5 < result.auc.high and result.auc.n == 120
    assert set(result.per_feature_set) == {"words", "character 3-grams", "metadata"}
    assert all(e.low < 0.5 for e in result.per_feature_set.values()) and result.note == ""


@pytest.mark.parametrize(
    ("shift", "set_that_sees_it"),
    [
        ({"words": tuple(WORDS[8:])}, "words"),
        ({"words": tuple(w.replace("m", "z") for w in WORDS)}, "character 3-grams"),
        ({"years": (2019, 2030)}, "metadata"),
        ({"length": 20}, "metadata"),
    ],
)
def test_a_shifted_split_is_caught(shift, set_that_sees_it):
    result = blind.blind_baseline(texts(60, 1), texts(60, 2, **shift))
    assert result.separates and result.auc.value > 0.9 and result.auc.low > 0.5
    assert result.per_feature_set[set_that_sees_it].value > 0.9
    assert result.p_value == pytest.approx(3 / 500, abs=0.005)


def test_the_level_holds_and_the_doubled_variance_is_right():
    rng = np.random.default_rng(0)
    values, variances, p_values = [], [], []
    labels = np.arange(60) < 30
    for _ in range(120):
        kernel = _text_kernels.metadata_kernel(rng.normal(size=(60, 5)))
        fold = blind._folds(labels, 5, rng)
        smoother = blind._smoother(kernel, fold)
        scores, p_value = blind._score_and_test(smoother, labels, blind._shuffle_within(labels, fold, rng)[:, :99])
        values.append(blind.auc(scores[labels], scores[~labels]))
        variances.append(blind.delong_variance(scores[labels], scores[~labels]))
        p_values.append(p_value)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.11
    assert np.mean(np.array(p_values) <= 0.5) == pytest.approx(0.5, abs=0.13)
    assert 1.4 <= np.var(values) / np.mean(variances) <= 2.6


def test_the_smoother_is_ridge_refitted_in_each_fold():
    rng = np.random.default_rng(1)
    table, labels = rng.normal(size=(24, 3)), np.arange(24) < 12
    kernel = _text_kernels.metadata_kernel(table)
    fold = blind._folds(labels, 4, rng)
    fast = blind._smoother(kernel, fold) @ labels.astype(np.float32)
    for k in range(4):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        similar, y = kernel(train).astype(np.float64), labels[train].astype(np.float64)
        weights = np.linalg.solve(similar[train] + np.eye(len(train)), y - y.mean())
        assert fast[test] == pytest.approx(similar[test] @ weights, abs=1e-5)


def test_a_held_out_text_never_shapes_the_features_it_is_scored_with():
    from scipy.sparse import csr_array

    counts = np.random.default_rng(2).integers(0, 3, (12, 8)).astype(np.float32)
    train = np.arange(8)
    before = _text_kernels.count_kernel(csr_array(counts))(train)
    counts[10:] = 5.0
    after = _text_kernels.count_kernel(csr_array(counts))(train)
    assert np.array_equal(before[:10], after[:10])
    assert np.allclose(np.diag(before[train]), 1.0)


def test_the_same_seed_gives_the_same_answer():
    a, b = texts(30, 1), texts(30, 2)
    assert blind.blind_baseline(a, b, seed=3) == blind.blind_baseline(a, b, seed=3)


def test_few_texts_get_fewer_folds_or_no_answer():
    few = blind.blind_baseline(texts(10, 1), texts(12, 2), folds=10)
    assert few.auc.known and few.auc.n == 22
    none = blind.blind_baseline(texts(9, 1), texts(50, 2))
    assert not none.auc.known and not none.separates and math.isnan(none.p_value)
    assert str(none.auc) == none.note == "not resolvable with 9 members and 50 non-members"
    with pytest.raises(ValueError, match="folds"):
        blind.blind_baseline(texts(10, 1), texts(10, 2), folds=1)


def test_blank_and_identical_texts_do_no_harm():
    for one in ("", "?", "same words here"):
        result = blind.blind_baseline([one] * 12, [one] * 12)
        assert not result.separates and result.p_value == 1.0


def test_many_texts_are_sampled(monkeypatch):
    monkeypatch.setattr(blind, "LIMIT", 20)
    result = blind.blind_baseline(texts(25, 1), texts(15, 2))
    assert result.auc.n == 35 and result.note == "on 20 of 25 members and 15 of 15 non-members"


def test_folds_are_even_on_both_sides():
    labels = np.arange(53) < 20
    fold = blind._folds(labels, 5, np.random.default_rng(0))
    assert np.ptp(np.bincount(fold[labels])) <= 1 and np.ptp(np.bincount(fold[~labels])) <= 1
    shuffled = blind._shuffle_within(labels, fold, np.random.default_rng(0))
    for k in range(5):
        assert np.all(shuffled[fold == k].sum(axis=0) == labels[fold == k].sum())


def test_metadata_names_match_its_numbers():
    assert len(_text_kernels.metadata("")) == len(_text_kernels.METADATA)
    assert _text_kernels.metadata("12345 and 1987, 2031")[-1] == 2031.0


def test_overlap_counts_shared_runs_of_words():
    member = "the quick brown fox jumps over the lazy dog"
    assert blind.overlap([member], [member, member.upper(), "nothing shared at all"], n=3).tolist() == [1.0, 1.0, 0.0]
    half = blind.overlap([member], ["the quick brown cat"], n=2)
    assert half == pytest.approx([2 / 3])
    assert np.isnan(blind.overlap([member], ["too short"])).all() and len(blind.overlap([], [])) == 0
    with pytest.raises(ValueError, match="n must"):
        blind.overlap([], [], n=0)
