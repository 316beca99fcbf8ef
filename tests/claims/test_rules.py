"""Every claim's decision rule is a pure function: made-up numbers lead to each of the three outcomes."""

from __future__ import annotations

import numpy as np
import pytest

from rasura.claims._decide import FAILS, HOLDS, UNRESOLVED
from rasura.claims._doses import DoseData
from rasura.claims._erasing import ErasingData
from rasura.claims._finetuning import FinetuningData
from rasura.claims.flora_near_perfect import FloraNearPerfect
from rasura.claims.ga_collapses_npo_does_not import GaCollapsesNpoDoesNot
from rasura.claims.hubble_dose_response import HubbleDoseResponse
from rasura.claims.mope_beats_loss import MopeBeatsLoss
from rasura.claims.mope_is_hessian_trace import CurvatureData, MopeIsHessianTrace
from rasura.claims.pandora_extraction_half import PandoraExtractionHalf
from rasura.claims.zero_extraction_is_not_unlearning import ZeroExtractionIsNotUnlearning

DOSES = (1, 2, 4, 8, 16, 32, 64)


def doses(seed: int, shifts: dict[int, float], extracted: dict[int, float], n: int) -> DoseData:
    """n records a dose, their scores shifted by dose; a share of each dose extracted."""
    rng = np.random.default_rng(seed)
    dose = np.repeat([0, *DOSES], n)
    score = rng.standard_normal(len(dose)) + np.array([shifts.get(int(d), 0.0) for d in dose])
    taken = np.concatenate([np.arange(n) < extracted.get(d, 0.0) * n for d in (0, *DOSES)]).astype(float)
    return DoseData(np.array(["passage"] * len(dose), dtype=object), dose.astype(np.int64), score, taken)


RISING = {1: 0.3, 2: 0.8, 4: 1.5, 8: 2.5, 16: 9.0, 32: 9.0, 64: 9.0}
AT_64 = {32: 0.5, 64: 1.0}


@pytest.mark.parametrize(
    ("shifts", "extracted", "n", "outcome"),
    [
        (RISING, AT_64, 150, HOLDS),
        ({}, AT_64, 150, FAILS),  # the loss says nothing: the AUC at 64 copies stays at one half
        (RISING | {1: 4.0}, AT_64, 150, FAILS),  # once is enough to be found
        (RISING, {}, 150, FAILS),  # nothing comes out at 64 copies
        (RISING, AT_64, 6, UNRESOLVED),  # six records cannot show an AUC of .95
    ],
)
def test_hubble(shifts, extracted, n, outcome):
    claim = HubbleDoseResponse(resamples=40)
    verdict = claim.decide([doses(seed, shifts, extracted, n) for seed in claim.seeds])
    assert verdict.outcome == outcome, verdict.why
    assert [row[0] for row in verdict.table[1:]] == ["0", *map(str, DOSES)]


def finetuned(seed: int, shift: float, n: int, drawn: float = 0.0, epochs: int = 4) -> FinetuningData:
    """n members whose scores are shifted from epoch 1 on, n others; a share extracted from epoch 3 on."""
    rng = np.random.default_rng(seed)
    member = np.repeat([1, 0], n)
    score = rng.standard_normal((2 * n, epochs)) + shift * member[:, None]
    found = np.full((2 * n, epochs), np.nan)
    found[member == 1, 2:] = (np.arange(n) < drawn * n)[:, None]
    return FinetuningData(member, rng.random(2 * n), score, score, score, found, found, found, found, found)


@pytest.mark.parametrize(("shift", "n", "outcome"), [(12.0, 200, HOLDS), (1.0, 200, FAILS), (12.0, 20, UNRESOLVED)])
def test_flora(shift, n, outcome):
    claim = FloraNearPerfect()
    verdict = claim.decide([finetuned(seed, shift, n) for seed in claim.seeds])
    assert verdict.outcome == outcome, verdict.ours
    assert [row[0] for row in verdict.table] == ["epoch", "1", "2", "3", "4"]


def test_flora_reads_the_epoch_that_was_fixed():
    """Perfect at every epoch but the third: the claim is about the third."""
    seeds = [finetuned(seed, 12.0, 200) for seed in (0, 1, 2)]
    for data in seeds:
        data.ratio[:, 2] = 0.0
    assert FloraNearPerfect().decide(seeds).outcome == FAILS


@pytest.mark.parametrize(("drawn", "outcome"), [(0.9, HOLDS), (0.0, FAILS), (0.5, UNRESOLVED)])
def test_pandora(drawn, outcome):
    claim = PandoraExtractionHalf()
    verdict = claim.decide([finetuned(seed, 1.0, 100, drawn) for seed in claim.seeds])
    assert verdict.outcome == outcome, verdict.ours
    assert ("any draw at epoch 3" in verdict.why) == (drawn >= 0.5)


def curvature(off: float, noise: float, n: int) -> CurvatureData:
    """Differences off by a factor; MoPe the trace plus noise."""
    rng = np.random.default_rng(0)
    trace = rng.uniform(100, 300, n)
    differences = np.stack([trace * (1 + off)] * 4, axis=1)
    traces = np.stack([trace, trace], axis=1)
    return CurvatureData(np.ones(n, dtype=np.int64), trace, differences, trace + noise * rng.standard_normal(n), traces)


@pytest.mark.parametrize(
    ("off", "noise", "n", "outcome"),
    [
        (1e-7, 5.0, 200, HOLDS),
        (-1e-3, 5.0, 200, FAILS),  # not the Hessian
        (1e-7, 1e4, 200, FAILS),  # the Hessian, but not in rank
        (1e-7, 35.0, 20, UNRESOLVED),
    ],
)
def test_hessian_trace(off, noise, n, outcome):
    claim = MopeIsHessianTrace()
    assert claim.decide([curvature(off, noise, n)]).outcome == outcome


def noisy(seed: int, plain: float, mope: float, n: int, rise: float = 0.03) -> object:
    """Members (dose 1) whose two scores are shifted by this much; held-out texts of loss 3 that rise by a share."""
    from rasura.claims._noise import NoiseData

    rng = np.random.default_rng(seed)
    dose = np.repeat([1, 0, -1], n)
    base, member = rng.standard_normal(3 * n), (dose == 1)
    loss = np.where(dose == -1, -3.0, base + plain * member)
    columns = np.stack([base + mope * member] * 3, axis=1)
    columns[dose == -1] = 3 * np.array([rise / 10, rise, 10 * rise])
    return NoiseData(dose, loss, columns)


@pytest.mark.parametrize(
    ("plain", "mope", "n", "outcome"), [(0.2, 3.0, 150, HOLDS), (3.0, 0.2, 150, FAILS), (1.0, 1.4, 12, UNRESOLVED)]
)
def test_mope_beats_loss(plain, mope, n, outcome):
    claim = MopeBeatsLoss()
    verdict = claim.decide([noisy(seed, plain, mope, n) for seed in claim.seeds])
    assert verdict.outcome == outcome, verdict.ours


def test_the_noise_is_chosen_on_heldout_text():
    """Rises of .3, 3 and 30 % for sigmas .005, .02 and .05: the strongest allowed is .02."""
    verdict = MopeBeatsLoss().decide([noisy(seed, 1.0, 1.0, 20) for seed in (0, 1, 2)])
    assert "Sigma 0.02 was chosen" in verdict.why


def erasing(seed: int, late_rise: float, forget: float = 1.5, n: int = 40, reaches: bool = True) -> ErasingData:
    """Extraction ends at column 2; held-out loss has risen by .1 there and by ``late_rise`` at column 6.

    Forget records' loss goes to ``forget``; twins and the retrained model's forget records have loss 2.5.
    """
    rng = np.random.default_rng(seed)
    population = np.repeat(np.array(["forget", "twin", "heldout"], dtype=object), n)
    steps = np.arange(7)
    loss = 2.5 + 0.1 * rng.standard_normal((3 * n, 1)) + np.zeros(7)
    loss[:n] += (forget - 2.5) + 0.05 * rng.standard_normal((n, 7))
    loss[2 * n :] += np.interp(steps, [0, 2, 6], [0.0, 0.1, late_rise])
    extracted = np.zeros((3 * n, 7))
    extracted[:n] = (steps < 2) if reaches else 1.0
    back = np.full(3 * n, np.nan)
    back[: n // 2] = 0.0
    return ErasingData(population, loss, extracted, 2.5 + 0.1 * rng.standard_normal(3 * n), np.zeros(3 * n), back, back)


@pytest.mark.parametrize(
    ("ascent", "preference", "reaches", "outcome"),
    [
        (10.0, 0.3, True, HOLDS),
        (0.2, 0.05, True, FAILS),  # ascent does not collapse
        (10.0, 9.0, True, FAILS),  # NPO collapses as well
        (10.0, 0.3, False, UNRESOLVED),  # one of them never forgets as much
    ],
)
def test_collapse(ascent, preference, reaches, outcome):
    claim = GaCollapsesNpoDoesNot()
    runs = (
        [erasing(seed, ascent) for seed in claim.seeds],
        [erasing(seed, preference, reaches=reaches) for seed in claim.seeds],
    )
    verdict = claim.decide(*runs)
    assert verdict.outcome == outcome, verdict.ours
    assert len(verdict.table) == 1 + 2 * len(claim.seeds)


def test_matched_forgetting_and_three_times_its_steps():
    """Matched at column 2, looked at column 6, which has the late rise: 10 nats."""
    data = erasing(0, 10.0)
    assert data.matched() == data.clean() == 2
    verdict = GaCollapsesNpoDoesNot(seeds=(0,)).decide([data], [erasing(0, 0.3)])
    assert verdict.table[1][2:7] == ("10", "1.00", "0.10", "30", "10.00")


def test_a_floor_above_zero_counts_as_forgotten():
    """The retrained model says half of them too: nothing has to be forgotten, so column 0 already matches."""
    data = erasing(0, 1.0)
    data.retrained_extracted[data.of("forget")] = 1.0
    assert data.matched() == 0 and data.clean() == 2


@pytest.mark.parametrize(
    ("forget", "reaches", "outcome"),
    [(1.5, True, HOLDS), (4.0, True, FAILS), (2.5, True, UNRESOLVED), (1.5, False, UNRESOLVED)],
)
def test_zero_extraction(forget, reaches, outcome):
    claim = ZeroExtractionIsNotUnlearning()
    verdict = claim.decide([erasing(seed, 0.3, forget, reaches=reaches) for seed in claim.seeds])
    assert verdict.outcome == outcome, verdict.ours
    assert verdict.table[1][1] == ("10" if reaches else "never")
