"""Claims about unsupervised signals: their studies on tiny models, their rules on made-up scores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rasura.claims._decide import FAILS, HOLDS, UNRESOLVED
from rasura.claims._gains import LOW, aucs, by_dose, gain, paired_gain
from rasura.claims._gradient_scores import WHOLE, GradientScores, GradientScoresData
from rasura.claims._neighbour_scores import NeighbourScores, NeighbourScoresData
from rasura.claims._signal_scores import (
    REPEATED_DIGITS,
    REPEATED_WORDS,
    SECRETS,
    SHIFTED,
    SignalData,
    SignalScores,
    _secrets,
)
from rasura.claims.gradient_norm_beats_loss import GradientNormBeatsLoss
from rasura.claims.loss_needs_repetition import LossNeedsRepetition
from rasura.claims.lowercase_below_reference import LowercaseBelowReference
from rasura.claims.min_k_gains_on_natural_text import MinKGainsOnNaturalText
from rasura.claims.min_k_plus_plus_beats_min_k import MinKPlusPlusBeatsMinK
from rasura.claims.neighbourhood_beats_loss import NeighbourhoodBeatsLoss
from rasura.claims.one_step_ratio_adds_nothing import OneStepRatioAddsNothing
from rasura.claims.recall_needs_a_shift import RecallNeedsAShift
from rasura.claims.reference_beats_loss import ReferenceBeatsLoss
from rasura.claims.zlib_clears_repetitive_texts import ZlibClearsRepetitiveTexts
from rasura.core.store import Store
from rasura.core.types import Sample, Samples
from rasura.stats.roc import auc_difference

DOSES = (1, 2, 4, 8, 16, 32, 64)
SEEDS = (0, 1, 2)


def kept(study, data):
    """Written and read back: what another process would hand over."""
    store = Store()
    store.write("k", data)
    back = store.read("k", study.Data)
    for f in dataclasses.fields(data):
        a, b = getattr(data, f.name), getattr(back, f.name)
        assert a.shape == b.shape and (a.tolist() == b.tolist() or np.array_equal(a, b, equal_nan=True))
    return back


def test_signal_scores(planted):
    ticks, study = [], SignalScores("tiny", shifted=6, unrelated_steps=2)
    data = kept(study, study.run(0, planted, lambda: ticks.append(1)))
    assert len(ticks) == study.ticks
    passages, shifted = data.only("passage"), data.only(SHIFTED)
    assert len(passages.dose) == len(planted.members) + len(planted.nonmembers) and len(shifted.dose) == 6
    assert len(data.only(REPEATED_WORDS).dose) == len(data.only(REPEATED_DIGITS).dose) == 32
    assert np.isfinite(passages.lowercase).all() and np.isnan(passages.lowered).all()
    assert np.isnan(shifted.reference).all() and np.isfinite(passages.reference).all()
    assert np.isfinite(passages.recall).any() and not np.allclose(passages.recall, passages.recall_shifted)
    assert aucs([[passages]], "reference", (40,)).value > 0.9
    assert passages.loss[passages.dose == 40].mean() > passages.loss[passages.dose == 0].mean() + 0.5
    assert not np.allclose(passages.reference, passages.unrelated)


def test_a_secret_is_scored_behind_its_record():
    records = Samples(
        [
            Sample("a", "code 123", secret=5, family="canary"),
            Sample("b", "x", secret=None, family="canary"),
            Sample("c", "key 9", secret=4, family="code"),
        ]
    )
    assert [(s.id, s.start) for s in _secrets(records, "canary")] == [("a", 5)]


def test_gradient_scores(planted):
    ticks, study = [], GradientScores("tiny")
    part = dataclasses.replace(
        planted, members=planted.members.take(range(20)), nonmembers=planted.nonmembers.take(range(6))
    )
    data = kept(study, study.run(0, part, lambda: ticks.append(1)))
    assert len(ticks) == study.ticks and data.norms.shape == (26, len(study.choices))
    norm = {order: -data.norms[:, study.choices.index((WHOLE, order))] for order in ("1", "2", "inf")}
    assert (norm["1"] > norm["2"]).all() and (norm["2"] > norm["inf"]).all()
    first_order = 5e-5 * norm["2"] ** 2 / -data.loss
    assert np.allclose(1 - data.one_step, first_order, rtol=0.05)


def test_neighbour_scores(planted):
    ticks, study = [], NeighbourScores("tiny", doses=(40,), neighbours=3, candidates=3)
    part = dataclasses.replace(planted, nonmembers=planted.nonmembers.take(range(6)))
    data = kept(study, study.run(0, part, lambda: ticks.append(1)))
    assert len(ticks) == study.ticks and sorted(set(data.dose)) == [0, 40]
    assert np.isfinite(data.neighbourhood).all() and data.random.mean() > data.neighbourhood.mean()


# the comparison they all stand on


def scores(rng, dose, shifts):
    """Normal scores, members shifted by dose (or all of them by one number)."""
    shift = (lambda d: shifts.get(int(d), 0.0)) if isinstance(shifts, dict) else (lambda d: shifts * (d > 0))
    return rng.standard_normal(len(dose)) + np.array([shift(d) for d in dose])


def test_a_gain_of_one_stratum_is_delongs():
    rng = np.random.default_rng(0)
    new, old = [(rng.standard_normal(30) + s, rng.standard_normal(40)) for s in (1.5, 0.5)]
    one, alone = paired_gain([[(new, old)]]), auc_difference(*new, *old).estimate
    assert (one.value, one.low, one.high, one.n) == pytest.approx((alone.value, alone.low, alone.high, alone.n))


def test_strata_weigh_by_their_members():
    """Gains of 1/2 with 3 members and of 0 with 1: 3/8."""
    new, old = (np.full(3, 3.0), np.array([0.0, 2.0])), (np.full(3, 1.0), np.array([0.0, 2.0]))
    same = (np.array([1.0, np.nan]), np.array([0.0, 2.0]))
    assert paired_gain([[(new, old), ((np.array([1.0]), same[1]), (np.array([1.0]), same[1]))]]).known is False
    two = (np.array([1.0, 1.0]), np.array([0.0, 2.0]))
    assert paired_gain([[(new, old), (two, two)]]).value == pytest.approx(0.5 * 3 / 5)


# rules on made-up scores


def made(seed: int, n: int = 150, **shifts) -> SignalData:
    """n texts a group and dose; every column the same noise, its members shifted as said; shifted rows like unseen."""
    rng = np.random.default_rng(seed)
    groups = ["passage", *SECRETS.values()]
    group = np.repeat(np.array([*groups, REPEATED_WORDS, REPEATED_DIGITS, SHIFTED], dtype=object), n)
    group = np.concatenate([np.repeat(np.array(groups, dtype=object), n * len(DOSES)), group])
    dose = np.concatenate([np.tile(np.repeat(DOSES, n), len(groups)), np.zeros(n * (len(groups) + 3))]).astype(np.int64)
    names = [f.name for f in dataclasses.fields(SignalData)][2:]
    base = rng.standard_normal(len(dose))
    columns = {}
    for name in names:
        noise = 0.3 * rng.standard_normal(len(dose)) if name in shifts else 0.0
        columns[name] = base + noise + scores_shift(dose, shifts.get(name, shifts.get("every", 1.0)))
    columns["lowered"] = np.full(len(dose), np.nan)
    return SignalData(group, dose, **columns)


def scores_shift(dose, shift):
    by = shift if isinstance(shift, dict) else dict.fromkeys(DOSES, shift)
    return np.array([by.get(int(d), 0.0) for d in dose])


RISING = {1: 0.3, 2: 0.8, 4: 1.5, 8: 2.5, 16: 9.0, 32: 9.5, 64: 10.0}


@pytest.mark.parametrize(
    ("shifts", "n", "outcome"),
    [(RISING, 150, HOLDS), (3.0, 150, FAILS), (RISING | {1: 4.0}, 150, FAILS), (RISING, 6, UNRESOLVED)],
)
def test_loss_needs_repetition(shifts, n, outcome):
    claim = LossNeedsRepetition(resamples=40)
    verdict = claim.decide([made(s, n, loss=shifts) for s in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert len(verdict.table) == 1 + len(DOSES) and float(verdict.table[-1][2]) > float(verdict.table[1][2]) - 0.5


@pytest.mark.parametrize(
    ("ours", "unrelated", "n", "outcome"),
    [(3.0, 0.3, 150, HOLDS), (0.3, 0.3, 150, FAILS), (3.0, 4.5, 150, FAILS), (3.0, 2.9, 5, UNRESOLVED)],
)
def test_reference_beats_loss(ours, unrelated, n, outcome):
    data = [made(s, n, loss=0.6, reference=ours, unrelated=unrelated) for s in SEEDS]
    verdict = ReferenceBeatsLoss().decide(data)
    assert verdict.outcome == outcome, verdict.ours


@pytest.mark.parametrize(
    ("plain", "zlib", "n", "outcome"),
    [(5.0, -5.0, 60, HOLDS), (5.0, 5.0, 60, FAILS), (-5.0, -5.0, 60, FAILS), (1.7, 1.0, 5, UNRESOLVED)],
)
def test_zlib_clears_repetitive_texts(plain, zlib, n, outcome):
    """How far above other unseen texts either signal puts the repetitive ones."""
    seeds = [made(s, n) for s in SEEDS]
    for data in seeds:
        repeated = np.isin(data.group.astype(str), [REPEATED_WORDS, REPEATED_DIGITS])
        data.loss[repeated] += plain
        data.zlib[repeated] += zlib
    verdict = ZlibClearsRepetitiveTexts().decide(seeds)
    assert verdict.outcome == outcome, verdict.ours


def test_the_threshold_lets_one_in_twenty_pass():
    data = made(0, 200)
    claim = ZlibClearsRepetitiveTexts()
    passages = data.only("passage")
    assert (passages.loss[passages.dose == 0] > claim._threshold(data, "loss")).sum() <= 10


@pytest.mark.parametrize(
    ("lower", "reference", "n", "outcome"),
    [(0.7, 2.0, 100, HOLDS), (-0.7, 2.0, 100, FAILS), (2.0, 0.7, 100, FAILS), (0.7, 0.7, 15, UNRESOLVED)],
)
def test_lowercase_below_reference(lower, reference, n, outcome):
    verdict = LowercaseBelowReference().decide([made(s, n, lowercase=lower, reference=reference) for s in SEEDS])
    assert verdict.outcome == outcome, verdict.ours


def test_a_score_of_lower_case_text_is_a_failure():
    seeds = [made(s, 100, lowercase=0.7, reference=2.0) for s in SEEDS]
    for data in seeds:
        data.lowered[:] = 1.0
    assert LowercaseBelowReference().decide(seeds).outcome == FAILS


@pytest.mark.parametrize(
    ("passage", "random", "n", "outcome"),
    [
        (0.5, 0.0, 150, HOLDS),
        (-0.5, 0.0, 150, FAILS),
        (0.5, 0.5, 150, FAILS),
        (0.5, -0.5, 150, FAILS),
        (0.01, 0.0, 8, UNRESOLVED),
    ],
)
def test_min_k_gains_on_natural_text(passage, random, n, outcome):
    """Shifts of Min-K% beyond the loss, on passages and on random digits."""
    rng, seeds = np.random.default_rng(1), [made(s, n, every=0.8) for s in SEEDS]
    for data in seeds:
        natural = data.group == "passage"
        data.min_k[:] = data.loss + 0.05 * rng.standard_normal(len(data.dose))
        data.min_k[:] += (data.dose > 0) * np.where(natural, passage, random)
    verdict = MinKGainsOnNaturalText().decide(seeds)
    assert verdict.outcome == outcome, verdict.ours
    assert {row[0] for row in verdict.table[1:]} == {"passages", "random digits"}


@pytest.mark.parametrize(
    ("better", "n", "outcome"),
    [(0.5, 150, HOLDS), (0.0, 150, FAILS), ({1: -0.5, 2: 0.5, 4: 0.5}, 150, FAILS), (0.15, 10, UNRESOLVED)],
)
def test_min_k_plus_plus_beats_min_k(better, n, outcome):
    rng, seeds = np.random.default_rng(1), [made(s, n, every=0.8) for s in SEEDS]
    for data in seeds:
        noise = (0.02 if n > 10 else 0.5) * rng.standard_normal(len(data.dose))
        data.min_k_plus_plus[:] = data.min_k + noise + scores_shift(data.dose, better)
    verdict = MinKPlusPlusBeatsMinK().decide(seeds)
    assert verdict.outcome == outcome, verdict.ours


@pytest.mark.parametrize(
    ("alike", "shifted", "n", "outcome"),
    [(0.5, 2.0, 150, HOLDS), (2.0, 2.0, 150, FAILS), (0.5, 0.5, 150, FAILS), (0.5, 1.0, 8, UNRESOLVED)],
)
def test_recall_needs_a_shift(alike, shifted, n, outcome):
    data = [made(s, n, loss=0.5, recall=alike, recall_shifted=shifted) for s in SEEDS]
    verdict = RecallNeedsAShift().decide(data)
    assert verdict.outcome == outcome, verdict.ours
    assert len(verdict.table) == 5


def test_shifted_texts_take_the_place_of_the_twins():
    """The shifted texts alone look different: only the second inequality sees it."""
    seeds = [made(s, 100, loss=0.5, recall=0.5, recall_shifted=0.5) for s in SEEDS]
    for data in seeds:
        data.recall_shifted[data.group == SHIFTED] -= 3.0
    verdict = RecallNeedsAShift().decide(seeds)
    assert verdict.outcome == HOLDS, verdict.ours


def gradients(seed: int, n: int, plain: float, norm: float, ratio: float | None = None) -> GradientScoresData:
    """n passages a dose; one norm of all parameters tells them by this much, the others by nothing."""
    rng = np.random.default_rng(seed)
    dose = np.repeat([0, *DOSES], n).astype(np.int64)
    member, choices = dose > 0, GradientScores().choices
    norms = -np.exp(0.2 * rng.standard_normal((len(dose), len(choices))))
    column = choices.index((WHOLE, "2"))
    norms[:, column] = -np.exp(0.2 * rng.standard_normal(len(dose)) - 0.2 * norm * member)
    loss = -np.exp(0.02 * rng.standard_normal(len(dose)) - 0.02 * plain * member)
    first_order = 1 - 1e-3 * norms[:, column] ** 2 / -loss
    one_step = first_order if ratio is None else rng.standard_normal(len(dose)) + ratio * member
    return GradientScoresData(dose, loss, norms, one_step)


@pytest.mark.parametrize(
    ("plain", "norm", "n", "outcome"), [(0.3, 2.5, 100, HOLDS), (2.5, 0.3, 100, FAILS), (0.8, 1.2, 6, UNRESOLVED)]
)
def test_gradient_norm_beats_loss(plain, norm, n, outcome):
    verdict = GradientNormBeatsLoss().decide([gradients(s, n, plain, norm) for s in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert outcome != HOLDS or "L2 of all (3 of 3)" in verdict.why


def test_the_choice_is_not_tested_on_what_it_was_made_on():
    """36 norms that say nothing: the best of them on one half has no gain on the other, whatever it had there."""
    verdict = GradientNormBeatsLoss().decide([gradients(s, 60, 0.0, 0.0) for s in SEEDS])
    assert verdict.outcome != HOLDS


@pytest.mark.parametrize(("ratio", "n", "outcome"), [(None, 100, HOLDS), (3.0, 100, FAILS), (1.0, 100, FAILS)])
def test_one_step_ratio_adds_nothing(ratio, n, outcome):
    """None: what follows from the norm and the loss; else noise of its own, which is something else."""
    verdict = OneStepRatioAddsNothing().decide([gradients(s, n, 0.5, 1.0, ratio) for s in SEEDS])
    assert verdict.outcome == outcome, verdict.ours


def test_a_ratio_almost_as_the_norm_is_open_with_few_texts():
    seeds = [gradients(s, 4, 0.5, 1.0) for s in SEEDS]
    for data in seeds:
        data.one_step[:] += 0.25 * data.one_step.std() * np.random.default_rng(0).standard_normal(len(data.dose))
    assert OneStepRatioAddsNothing().decide(seeds).outcome == UNRESOLVED


def neighbours(seed: int, n: int, plain: float, ours: float) -> NeighbourScoresData:
    rng = np.random.default_rng(seed)
    dose = np.repeat([0, 4, 8], n).astype(np.int64)
    return NeighbourScoresData(dose, *(scores(rng, dose, shift) for shift in (plain, ours, 0.0)))


@pytest.mark.parametrize(
    ("plain", "ours", "n", "outcome"), [(0.5, 2.5, 100, HOLDS), (2.5, 0.5, 100, FAILS), (0.8, 1.2, 8, UNRESOLVED)]
)
def test_neighbourhood_beats_loss(plain, ours, n, outcome):
    verdict = NeighbourhoodBeatsLoss().decide([neighbours(s, n, plain, ours) for s in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert [row[0] for row in verdict.table[1:]] == ["4", "8"]


def test_a_table_has_a_row_a_dose():
    seeds = [[made(s, 20).only("passage")] for s in SEEDS]
    rows = by_dose(seeds, {"loss": "loss"})
    assert [row[:2] for row in rows[1:]] == [(str(d), "60") for d in DOSES]
    assert gain(seeds, "loss", "loss", LOW).value == 0.0
