"""Mistakes that published code of learning signals has made, each shown not to be made here; and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Known, Ragged, Samples
from rasura.observations._engine import Engine
from rasura.observations.gradient_norms import GradientData
from rasura.observations.token_statistics import TokenData
from rasura.signals import _supervised as supervised
from rasura.stats.roc import auc
from signals._named import module, signal

NONE = np.zeros(0, dtype=np.int64)


def token_data(rows, zlib_bytes=None) -> TokenData:
    n = len(rows)
    fill = Ragged.of([np.zeros(len(row)) for row in rows], np.float32)
    size = np.full(n, 100, dtype=np.int64)
    packed = size if zlib_bytes is None else np.asarray(zlib_bytes, dtype=np.int64)
    reason = np.array([""] * n, dtype=object)
    return TokenData(Ragged.of(rows, np.float32), fill, fill, fill, fill.lengths, size, packed, reason)


def constant(*means, tokens=10) -> TokenData:
    return token_data([[m] * tokens for m in means])


def gradient_data(norms) -> GradientData:
    rows, flat = Ragged.of(norms, np.float32), np.ones(len(norms), dtype=np.float32)
    groups = np.array(["\n".join(f"h.{i}.w" for i in range(len(norms[0])))] * len(norms), dtype=object)
    return GradientData(rows, rows, rows, flat, flat, flat, np.full(len(norms), 20), groups, np.full(len(norms), ""))


# quantile regression


def test_the_wrong_tail_of_the_quantile():
    """Slip: the .9-quantile of the *loss*, so the score of a non-member is compared with the worst texts. Right: the upper
    quantile of the score: 9 in 10 unseen texts lie below 0, and a text above all of them lies above 0."""
    rng = np.random.default_rng(0)
    scores = np.append(rng.normal(-3, 1, 300), 1.0)
    known = Known(NONE, np.arange(200))
    found = signal("quantile_regression", alpha=0.1).score(known, constant(*scores))
    assert np.mean(found[200:300] > 0) == pytest.approx(0.1, abs=0.07)
    assert found[300] > 0
    wrong = scores[200:300] - np.quantile(scores[:200], 0.1)
    assert np.mean(wrong > 0) > 0.8


def test_the_threshold_follows_what_the_text_is_like():
    """Texts that compress well score 2 higher by nature: raw scores rank them all first, calibrated ones do not."""
    rng = np.random.default_rng(1)
    easy = rng.random(400) < 0.5
    member = np.arange(400) >= 300
    raw = rng.normal(0, 0.3, 400) - 3 + 2 * easy + 0.8 * member
    data = token_data([[v] * 10 for v in raw], zlib_bytes=np.where(easy, 40, 90))
    found = signal("quantile_regression", alpha=0.1).score(Known(NONE, np.arange(200)), data)
    judged = np.arange(200, 400)
    plain, calibrated = (auc(v[judged][member[judged]], v[judged][~member[judged]]) for v in (raw, found))
    assert plain < 0.8 < 0.9 < calibrated


def test_quantile_regression_never_looks_at_what_it_judges():
    """Slip: fitted on the non-members that are reported. Right: another value of a judged record moves no other score."""
    rng = np.random.default_rng(2)
    values, known = rng.normal(-3, 1, 60), Known(NONE, np.arange(40))
    method = signal("quantile_regression")
    before = method.score(known, constant(*values))
    values[50] = 5.0
    after = method.score(known, constant(*values))
    assert before[np.arange(60) != 50].tolist() == after[np.arange(60) != 50].tolist() and after[50] > before[50]


# RMIA


def test_rmia_reads_the_next_tokens_probability(planted):
    """Slip: the probability a token has at its own position, where a memorised text is not certain at all. Right: at the
    position before: p of a text trained on 40 times is close to 1 and beats nearly everything."""
    method, hot = signal("rmia"), planted.members.take(range(6))
    samples = Samples([*hot, *planted.nonmembers])
    observed = {n: Engine().observe(ask, planted.models, samples) for n, ask in method.needs().items()}
    assert np.exp(-observed["target"].loss[:6]).min() > 0.5
    assert method.score(Known(NONE, np.arange(6, len(samples))), **observed)[:6].min() > 0.9


def test_rmia_by_hand():
    """p = .5 and .4 against references .25: r = .5/.25 at a = 1. Of Z with ratios 1..8 (p = .125 r) how many lie below?"""
    p = np.array([0.5, 0.3, *(0.1 * np.arange(1, 9))])
    reference = np.full(10, 0.1)
    method = signal("rmia", a=1.0)
    found = method.score(Known(NONE, np.arange(2, 10)), constant(*np.log(p)), reference=constant(*np.log(reference)))
    assert found[0] == pytest.approx(0.5, abs=0.126) and found[1] == pytest.approx(0.25, abs=0.126)
    assert found[0] > found[1] and (found * 8 == np.round(found * 8)).all()
    assert module("rmia").log_ratio(np.log([0.4]), np.log([[0.1]]), 0.0)[0] == pytest.approx(np.log(0.4 / 0.55))


def test_rmia_in_plain_floats():
    """Slip: exp of a very small log-probability underflows and 0/0 is nowhere. Right: in log space."""
    low = np.array([-900.0, -800.0, *np.full(8, -850.0)])
    found = signal("rmia", a=1.0).score(
        Known(NONE, np.arange(2, 10)), constant(*low), reference=constant(*[-850.0] * 10)
    )
    assert found[:2].tolist() == [0.0, 1.0]


def test_rmia_refuses_other_tokens_and_names_the_role():
    known = Known(NONE, np.arange(8))
    with pytest.raises(BadInput, match="reference model cuts"):
        signal("rmia").score(known, constant(*[-1.0] * 8), reference=constant(*[-1.0] * 8, tokens=9))
    assert list(signal("rmia", references=3).needs()) == ["target", "reference", "reference_2", "reference_3"]


# LiRA


def test_lira_by_hand():
    """Out: 0 and 2, so mu 1; in: 4 and 6, mu 5; pooled variance 2 on both sides. phi = 5 lies at mu_in:
    -(0)/4 + (5 - 1)^2/4 = 4; offline (5 - 1)/sqrt 2."""
    odds = np.array([[0.0], [2.0], [4.0], [6.0], [5.0]])
    p = -np.log1p(np.exp(-odds))  # log-probability of these log-odds
    names = [f"shadow_{k}" for k in range(1, 5)]
    trained = {name: np.array([k > 1]) for k, name in enumerate(names)}
    data = {name: constant(p[k, 0]) for k, name in enumerate(names)}
    known = Known(NONE, NONE, trained)
    assert signal("lira", shadows=4).score(known, constant(p[4, 0]), **data)[0] == pytest.approx(4.0, rel=1e-5)
    offline = signal("lira", shadows=4, form="offline").score(known, constant(p[4, 0]), **data)[0]
    assert offline == pytest.approx(4 / np.sqrt(2), rel=1e-5)


def test_a_variance_from_few_shadows():
    """Slip: each text's own variance from two models, so that a chance agreement of the two decides. Right: pooled."""
    rng = np.random.default_rng(3)
    n, names = 200, [f"shadow_{k}" for k in range(1, 5)]
    member = np.arange(n) < 100
    draws = rng.normal(-2, 0.3, (4, n))
    chosen = np.array([rng.permutation(4) < 2 for _ in range(n)]).T
    draws += 0.6 * chosen
    target = rng.normal(-2, 0.3, n) + 0.6 * member
    data = {name: constant(*draws[k]) for k, name in enumerate(names)}
    known = Known(NONE, NONE, dict(zip(names, chosen, strict=True)))
    pooled, own = (
        signal("lira", shadows=4, statistic="log_probability", pooled_below=k).score(known, constant(*target), **data)
        for k in (64, 2)
    )
    assert auc(pooled[member], pooled[~member]) > auc(own[member], own[~member]) + 0.05


def test_lira_says_what_is_missing():
    data = {f"shadow_{k}": constant(-1.0, -2.0) for k in (1, 2)}
    with pytest.raises(BadInput, match="which records shadow_1 was trained on"):
        signal("lira", shadows=2).score(Known(NONE, NONE), constant(-1.0, -2.0), **data)
    everywhere = Known(NONE, NONE, {role: np.ones(2, dtype=bool) for role in data})
    with pytest.raises(BadInput, match="at least 4 shadows"):
        signal("lira", shadows=2).score(everywhere, constant(-1.0, -2.0), **data)


def test_a_text_of_probability_one_has_finite_odds():
    data = {f"shadow_{k}": constant(-1.0 - 0.1 * k, -2.0 - 0.1 * k) for k in range(1, 5)}
    trained = {role: np.array([k % 2 == 0, k % 2 == 1]) for k, role in enumerate(data)}
    found = signal("lira", shadows=4).score(Known(NONE, NONE, trained), constant(0.0, -2.0), **data)
    assert np.isfinite(found).all()


# white box


def test_white_box_features_take_the_norm_of_the_concatenation():
    """Slip: the mean norm of the tensors, 2.33 for 3, 4, 0. Right: 7, 5, 4, and every tensor beside it."""
    features = pytest.importorskip("rasura.signals._white_box").features(
        gradient_data([[3.0, 4.0, 0.0]]), None, "tensor", 8
    )
    assert features.shape == (1, 3 * 5) and features[0, 9:12].tolist() == [7.0, 5.0, 4.0]


def two_classes(n, d, gap, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2 * n, d))
    x[:n, 0] += gap
    return x + 9, Known(np.arange(0, n, 2), np.arange(n, 2 * n, 2))


@pytest.mark.parametrize("name", ["white_box_logistic", "white_box_network"])
def test_what_it_learns_and_that_it_learns_nothing_from_noise(name):
    judged = np.arange(1, 200, 2)
    for gap, low, high in ((2.5, 0.8, 1.0), (0.0, 0.3, 0.7)):
        norms, known = two_classes(100, 12, gap, 5)
        found = signal(name).score(known, gradient_data(norms))[judged]
        assert low < auc(found[:50], found[50:]) <= high
        again = signal(name).score(known, gradient_data(norms))[judged]
        assert found.tolist() == again.tolist()


@pytest.mark.parametrize("name", ["white_box_logistic", "white_box_network"])
def test_judged_records_take_no_part_in_fitting_or_scaling(name):
    """Slip: standardised with everybody's statistics, or the set that stopped the training is reported. Right: another
    judged record, however large, moves no other score."""
    norms, known = two_classes(30, 5, 1.0, 6)
    before = signal(name).score(known, gradient_data(norms))
    norms[1] *= 1e3
    after = signal(name).score(known, gradient_data(norms))
    assert np.delete(before, 1).tolist() == np.delete(after, 1).tolist() and before[1] != after[1]


def test_the_networks_known_records_are_cut_in_two():
    """Three parts: some train, others stop the training, and neither is judged (the verb judges the rest)."""
    labels = np.repeat([1, 0], [20, 12])
    how = supervised.Network((4,), 1e-3, 5, 2, 0.25, 0)
    held = supervised._validation(labels, how)
    assert labels[held].tolist().count(1) == 5 and labels[held].tolist().count(0) == 3
    assert len(set(held.tolist())) == 8


def test_a_feature_that_is_not_finite_is_not_zero():
    """Slip: NaN counts as 0, which is a small gradient: a member. Right: the record is not scored."""
    norms, known = two_classes(30, 4, 1.0, 7)
    norms[[1, 2], 0] = [np.nan, np.inf]
    found = signal("white_box_logistic").score(known, gradient_data(norms))
    assert np.isnan(found[[1, 2]]).all() and np.isfinite(np.delete(found, [1, 2])).all()


@pytest.mark.parametrize("name", ["white_box_logistic", "white_box_network"])
def test_too_few_known_records_are_named(name):
    norms, _ = two_classes(10, 4, 1.0, 8)
    with pytest.raises(BadInput, match="at least 8 scorable ones of each; got 3 and 10"):
        signal(name).score(Known(np.arange(3), np.arange(10, 20)), gradient_data(norms))


def test_projections_and_activations_join_the_features(planted):
    method = signal("white_box_logistic", by="layer", projections=4, activations=True)
    samples = Samples([*planted.members.take(range(16)), *planted.nonmembers.take(range(24))])
    observed = {n: Engine().observe(ask, planted.models, samples) for n, ask in method.needs().items()}
    features = pytest.importorskip("rasura.signals._white_box").features(
        observed["gradients"], observed["hidden"], "layer", 8
    )
    assert features.shape == (40, 3 * (5 + 2) + 4 * 5 + 64)  # 5 layers, the embedding and the output counted
    found = method.score(Known(np.arange(0, 16, 2), np.arange(16, 40, 2)), **observed)
    assert auc(found[1:16:2], found[17::2]) > 0.9


def test_more_features_than_records_are_fitted_exactly():
    """Rotating onto the span of the rows changes nothing a ridge penalty sees."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(9)
    x, labels = rng.normal(size=(20, 50)), np.repeat([1, 0], 10)
    basis = np.linalg.svd(x, full_matrices=False)[2].T
    plain, turned = (LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000).fit(m, labels) for m in (x, x @ basis))
    fresh = rng.normal(size=(5, 50))
    np.testing.assert_allclose(plain.decision_function(fresh), turned.decision_function(fresh @ basis), atol=1e-5)


def test_tiny_models_stay_untouched():
    """A classifier on observations never needs the model itself."""
    model = _tiny.neox()
    before = model.fingerprint
    method = signal("white_box_logistic")
    samples = Samples.of(_tiny.texts(20, 3))
    observed = {n: Engine().observe(ask, {"target": model}, samples) for n, ask in method.needs().items()}
    method.score(Known(np.arange(8), np.arange(8, 16)), **observed)
    model.weights_changed()
    assert model.fingerprint == before
