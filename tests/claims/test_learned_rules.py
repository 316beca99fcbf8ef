"""Decisions of the claims about learned and calibrated signals: made-up numbers lead to each of the three outcomes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from rasura.claims._attempts import AttemptData
from rasura.claims._collections import BLIND, CONTROL, SUSPECT, TEST, VALIDATION, CollectionData
from rasura.claims._decide import FAILS, HOLDS, UNRESOLVED
from rasura.claims._exposures import SPACE_BITS, ExposureData
from rasura.claims._quantiles import KNOWN, MEMBER, UNSEEN, QuantileData
from rasura.claims._shadowed import COLUMNS, ShadowedData
from rasura.claims._shifts import DESIGN, SHIFTED, TEXT, ShiftData
from rasura.claims._supervision import SupervisionData
from rasura.claims.blind_baselines_beat_shifted_benchmarks import BlindBaselinesBeatShiftedBenchmarks
from rasura.claims.dataset_inference_has_no_false_positives import DatasetInferenceHasNoFalsePositives
from rasura.claims.exposure_rises_with_copies import ExposureRisesWithCopies
from rasura.claims.greedy_extraction_undercounts import GreedyExtractionUndercounts
from rasura.claims.lira_is_the_upper_bound import LiraIsTheUpperBound
from rasura.claims.quantile_regression_calibrates import QuantileRegressionCalibrates, found, threshold
from rasura.claims.rmia_with_two_matches_lira import RmiaWithTwoMatchesLira
from rasura.claims.supervised_white_box_beats_single_features import SupervisedWhiteBoxBeatsSingleFeatures
from rasura.stats.roc import tpr_at_fpr

SEEDS = (0, 1, 2)


def collection(p_value: float, rejected: float, n: int = 500) -> CollectionData:
    """One p value, and controls of which exactly this share lies below .1."""
    control = np.where(np.arange(n) < rejected * n, 0.05, 0.5)
    parts = {TEST: [p_value], BLIND: [0.6], SUSPECT: [1.0, 2.0], VALIDATION: [0.0, 1.5], CONTROL: control}
    what = np.concatenate([[name] * len(values) for name, values in parts.items()]).astype(object)
    return CollectionData(what, np.concatenate([np.asarray(v, dtype=float) for v in parts.values()]))


@pytest.mark.parametrize(
    ("p_value", "rejected", "n", "outcome"),
    [
        (1e-6, 0.1, 500, HOLDS),
        (0.0, 0.1, 500, HOLDS),  # a p value that underflowed is not infinite evidence
        (0.3, 0.1, 500, FAILS),  # the collection is not found out
        (1e-6, 0.3, 500, FAILS),  # unseen collections are accused
        (1e-6, 0.0, 500, FAILS),  # a test that never rejects is no test at its level
        (0.005, 0.1, 500, UNRESOLVED),
        (1e-6, 0.1, 20, UNRESOLVED),
    ],
)
def test_dataset_inference(p_value, rejected, n, outcome):
    verdict = DatasetInferenceHasNoFalsePositives().decide([collection(p_value, rejected, n) for _ in SEEDS])
    assert verdict.outcome == outcome, verdict.ours


def test_the_p_value_is_bounded_where_it_says():
    """p < .01 is z > 2.326, and three seeds of p = 1e-6 have mean z 4.753 with half width 1.96/sqrt(3)."""
    verdict = DatasetInferenceHasNoFalsePositives().decide([collection(1e-6, 0.1) for _ in SEEDS])
    assert verdict.threshold.startswith("normal quantile of the p value > 2.33")
    assert verdict.ours.startswith("normal quantile of the p value: 4.75 [3.62, 5.89]")
    assert norm.isf(1e-6) == pytest.approx(4.753, abs=1e-3)
    assert [row[0] for row in verdict.table[1:]] == ["0", "1", "2"] and verdict.table[1][-1] == "0.000, 0.000, 0.100"


def shift(seed: int, shifted: float, designed: float, model: float, n: int = 100, half: float = 0.02) -> ShiftData:
    """Blind AUCs given with their intervals; texts whose scores are shifted by this much."""
    rng = np.random.default_rng(seed)
    runs = [(DESIGN, designed)] * 10 + [(SHIFTED, shifted)]
    blind = np.array([[v, v - half, min(1.0, v + half), 0.5] for _, v in runs] + [[np.nan] * 4] * (2 * n))
    member = np.repeat([1, 0], n)
    scores = rng.standard_normal((2 * n, 5)) + model * member[:, None]
    what = np.array([name for name, _ in runs] + [TEXT] * (2 * n), dtype=object)
    dose = np.concatenate([np.full(len(runs), 2 * n), member])
    return ShiftData(what, blind, dose, np.concatenate([np.full((len(runs), 5), np.nan), scores]))


@pytest.mark.parametrize(
    ("shifted", "designed", "model", "half", "outcome"),
    [
        (0.98, 0.51, 0.5, 0.01, HOLDS),
        (0.6, 0.51, 0.0, 0.01, FAILS),  # nobody needs to look at topics
        (0.98, 0.51, 6.0, 0.01, FAILS),  # a signal beats the classifier
        (0.98, 0.7, 0.5, 0.01, FAILS),  # the testbed itself is shifted
        (0.92, 0.51, 0.5, 0.2, UNRESOLVED),
    ],
)
def test_blind_baselines(shifted, designed, model, half, outcome):
    claim = BlindBaselinesBeatShiftedBenchmarks()
    verdict = claim.decide([shift(seed, shifted, designed, model, half=half) for seed in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert len(verdict.table) == 7


EXPOSED = {0: 1.44, 1: 2.0, 4: 4.0, 16: 7.0, 64: 7.65}
SAID = {16: 0.0, 64: 1.0}


def exposures(seed: int, means: dict[int, float], highest: float, said: dict[int, float], n: int = 32) -> ExposureData:
    """n codes a dose about these means by rank; extrapolated the same, but ``highest`` at 64x."""
    rng = np.random.default_rng(seed)
    dose = np.repeat(list(means), n)
    ranked = np.repeat(list(means.values()), n) + 0.5 * rng.standard_normal(len(dose))
    extrapolated = np.where(dose == 64, highest, ranked)
    extracted = np.concatenate([np.arange(n) < said.get(d, 0.0) * n for d in means]).astype(float)
    searched = np.where(dose == 64, SPACE_BITS, np.nan)
    return ExposureData(dose, ranked, extrapolated, np.full(len(dose), 0.5), searched, extracted)


@pytest.mark.parametrize(
    ("means", "highest", "said", "n", "outcome"),
    [
        (EXPOSED, 19.0, SAID, 32, HOLDS),
        (EXPOSED | {0: 4.5}, 19.0, SAID, 32, FAILS),  # unseen codes look memorised
        (dict(zip(EXPOSED, (1.44, 7.0, 6.0, 3.0, 2.0), strict=True)), 19.0, SAID, 32, FAILS),  # it does not rise
        (EXPOSED, 9.0, SAID, 32, FAILS),  # what is read out of the curve is far too low
        (EXPOSED, 19.0, {16: 1.0, 64: 0.0}, 32, FAILS),  # high exposure and extraction do not go together
        (EXPOSED, 19.0, SAID, 4, UNRESOLVED),
    ],
)
def test_exposure(means, highest, said, n, outcome):
    claim = ExposureRisesWithCopies(resamples=40)
    verdict = claim.decide([exposures(seed, means, highest, said, n) for seed in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert [row[0] for row in verdict.table[1:]] == ["0", "1", "4", "16", "64"]


def test_no_code_of_a_million_has_more_than_their_logarithm():
    """Extrapolated to 120 bits in one seed and 10 in the others: (19.9 + 10 + 10)/3 = 13.3."""
    seeds = [exposures(seed, EXPOSED, bits, SAID) for seed, bits in zip(SEEDS, (120.0, 10.0, 10.0), strict=True)]
    verdict = ExposureRisesWithCopies(resamples=10).decide(seeds)
    assert "extrapolated exposure at 64x, bits: 13.3 [" in verdict.ours
    assert verdict.table[-1][4] == "19.9 (96)" and "Of 96 codes" in verdict.why


def attempts(within: float, greedy: float, unseen: float, ratio: float, n: int = 60) -> AttemptData:
    """n records of 16 copies and n * 10 of none; shares that come out; draws against their promise."""
    dose = np.repeat([16, 0], [n, 10 * n])
    likely = np.concatenate([np.arange(n) < within * n, np.arange(10 * n) < unseen * 10 * n])
    log_p = np.where(likely, math.log(0.1), -50.0)
    taken = np.concatenate([np.arange(n) < greedy * n, np.zeros(10 * n, dtype=bool)]).astype(float)
    drawn = np.where(likely & (dose == 16), 200 * 0.1 * ratio, np.nan)
    draws = np.where(np.isnan(drawn), 0, 200)
    return AttemptData(np.array(["canary"] * 11 * n, dtype=object), dose, taken, log_p, drawn, draws)


@pytest.mark.parametrize(
    ("within", "greedy", "unseen", "ratio", "n", "outcome"),
    [
        (0.9, 0.3, 0.0, 1.0, 60, HOLDS),
        (0.4, 0.4, 0.0, 1.0, 60, FAILS),  # greedy decoding says all of them too
        (0.9, 0.3, 0.1, 1.0, 60, FAILS),  # what nobody trained on comes out
        (0.9, 0.3, 0.0, 0.5, 60, FAILS),  # the probabilities promise too much
        (0.0, 0.0, 0.0, 1.0, 60, FAILS),  # nothing comes out either way
        (0.9, 0.3, 0.0, 1.0, 2, UNRESOLVED),
    ],
)
def test_greedy_undercounts(within, greedy, unseen, ratio, n, outcome):
    verdict = GreedyExtractionUndercounts().decide([attempts(within, greedy, unseen, ratio, n) for _ in SEEDS])
    assert verdict.outcome == outcome, verdict.ours


def test_who_is_missed_and_who_is_lost():
    """Half of 60 come out greedily, and all of them within 100 samples: half are missed, none lost."""
    verdict = GreedyExtractionUndercounts().decide([attempts(1.0, 0.5, 0.0, 1.0) for _ in SEEDS])
    assert "0.5 [0.425, 0.575] of the records come out within 100 samples" in verdict.why
    assert verdict.table[2][:2] == ("16", "180") and verdict.table[2][-1] == "10^-1.0"


def quantiles(seed: int, above: float, plain: float, rate: float, members: int = 400, n: int = 2000) -> QuantileData:
    """Members' scores shifted by this much; a share ``rate`` of the unseen records above the quantile."""
    rng = np.random.default_rng(seed)
    population = np.repeat(np.array([MEMBER, UNSEEN, KNOWN], dtype=object), [members, n, 50])
    noise, member = rng.standard_normal(len(population)), population == MEMBER
    family = np.array(["fact", "code"], dtype=object)[np.arange(len(population)) % 2]
    cut = np.quantile(noise[population == UNSEEN], 1 - rate) if rate else noise.max() + 1
    scores = noise + above * member - cut
    return QuantileData(population, family, member.astype(np.int64), noise + plain * member, scores)


@pytest.mark.parametrize(
    ("above", "plain", "rate", "n", "outcome"),
    [
        (3.0, 1.0, 0.01, 2000, HOLDS),
        (1.0, 3.0, 0.01, 2000, FAILS),  # worse than the loss
        (3.0, 1.0, 0.05, 2000, FAILS),  # five times as many false alarms as promised
        (3.0, 1.0, 0.0, 2000, FAILS),  # none at all
        (3.0, 1.0, 0.01, 200, UNRESOLVED),
    ],
)
def test_quantile_regression(above, plain, rate, n, outcome):
    claim = QuantileRegressionCalibrates(resamples=100)
    verdict = claim.decide([quantiles(seed, above, plain, rate, n=n) for seed in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert [row[0] for row in verdict.table[1:]] == ["code", "fact"]


def test_the_quick_rate_is_the_librarys():
    rng = np.random.default_rng(0)
    for _ in range(50):
        members, others = rng.integers(0, 9, 30).astype(float), rng.integers(0, 9, 150).astype(float)
        assert found(members, others, 0.01) == tpr_at_fpr(members, others, 0.01).value
        assert np.mean(others > threshold(others, 0.05)) <= 0.05


def supervision(seed: int, supervised: float, single: float, n: int = 300) -> SupervisionData:
    rng = np.random.default_rng(seed)
    dose = np.repeat([1, 0], n)
    member, noise = dose > 0, rng.standard_normal(2 * n)
    best, fold = noise + single * member, np.arange(2 * n) % 5
    taught = noise + supervised * member + 100.0 * fold  # each classifier has a scale of its own
    return SupervisionData(dose, fold, taught, best, best, best, np.zeros(2 * n, dtype=np.int64))


@pytest.mark.parametrize(
    ("supervised", "single", "n", "outcome"),
    [(2.0, 0.5, 300, HOLDS), (0.5, 1.0, 300, FAILS), (1.1, 0.8, 25, UNRESOLVED)],
)
def test_supervised_white_box(supervised, single, n, outcome):
    verdict = SupervisedWhiteBoxBeatsSingleFeatures().decide([supervision(s, supervised, single, n) for s in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert [row[0] for row in verdict.table[1:]][0].startswith("logistic") and len(verdict.table) == 5


def shadowed(seed: int, shifts: dict[str, float], n: int = 200, targets: int = 16) -> ShadowedData:
    """Every signal shifted for members, one noise for all of them."""
    rng = np.random.default_rng(seed)
    member = np.tile(np.arange(n) % 2, targets)
    noise = rng.standard_normal(n * targets)
    scores = np.stack([noise + shifts.get(name, 0.5) * member for name in COLUMNS], axis=1)
    dose = np.tile(np.array([1, 8])[(np.arange(n) // 2) % 2], targets)
    return ShadowedData(np.repeat(np.arange(targets), n), member, dose, scores, np.full(n * targets, 0.7))


@pytest.mark.parametrize(
    ("lira", "rmia", "n", "outcome"),
    [(2.0, 2.0, 200, HOLDS), (4.0, 1.0, 200, FAILS), (1.0, 4.0, 200, HOLDS), (4.0, 3.0, 50, UNRESOLVED)],
)
def test_rmia(lira, rmia, n, outcome):
    verdict = RmiaWithTwoMatchesLira().decide([shadowed(s, {"LiRA": lira, "RMIA": rmia}, n) for s in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert "The a that was chosen is 0.7, 0.7, 0.7" in verdict.why and len(verdict.table) == 1 + len(COLUMNS)


def test_a_full_scale_finds_nobody_and_says_so():
    """Two of a hundred unseen texts beat the whole population in one of 16 targets of every seed."""
    seeds = [shadowed(s, {"LiRA": 4.0, "RMIA": 4.0}) for s in SEEDS]
    for data in seeds:
        data.scores[:, 1] = 0.5 * (data.scores[:, 1] > 0)
        data.scores[np.flatnonzero((data.target == 3) & (data.member == 0))[:2], 1] = 1.0
    verdict = RmiaWithTwoMatchesLira().decide(seeds)
    assert verdict.outcome == FAILS and "In 3 of 48 targets" in verdict.why


@pytest.mark.parametrize(
    ("lira", "zlib", "outcome"),
    [
        (3.0, 1.0, HOLDS),
        (1.0, 3.0, FAILS),
        (2.0, 2.0, HOLDS),  # equal everywhere: "at least" is met exactly
    ],
)
def test_lira(lira, zlib, outcome):
    verdict = LiraIsTheUpperBound().decide([shadowed(s, {"LiRA": lira, "zlib": zlib}) for s in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert "The best other signal is zlib" in verdict.why


def test_lira_is_open_where_it_is_ahead_in_some_targets_and_behind_in_others():
    """The same mean shift, other noise: neither is reliably ahead."""
    seeds = [shadowed(s, {"LiRA": 1.5, "zlib": 1.5}) for s in SEEDS]
    for seed, data in enumerate(seeds):
        data.scores[:, 0] = 1.5 * data.member + np.random.default_rng(50 + seed).standard_normal(len(data.member))
    assert LiraIsTheUpperBound().decide(seeds).outcome == UNRESOLVED
