"""Rules of the claims about extraction: made-up numbers lead to each of the three outcomes."""

from __future__ import annotations

import numpy as np
import pytest

from rasura.claims._adapter_leaks import AdapterLeakData
from rasura.claims._code_leaks import CodeData
from rasura.claims._decide import FAILS, HOLDS, UNRESOLVED
from rasura.claims._soft_prompts import SoftPromptData
from rasura.claims._three_laws import LawsData
from rasura.claims.adapter_gradients_give_tokens_away import AdapterGradientsGiveTokensAway
from rasura.claims.data_carriers_leak_more_than_code import KINDS, DataCarriersLeakMoreThanCode
from rasura.claims.ethicist_beats_plain_sampling import EthicistBeatsPlainSampling
from rasura.claims.extraction_follows_three_laws import ExtractionFollowsThreeLaws

SEEDS = (0, 1, 2)
DOSES = (1, 2, 4, 8, 16, 32, 64)


def first(n: int, share: float) -> np.ndarray:
    """n zeros and ones, the ones in front."""
    return (np.arange(n) < round(share * n)).astype(float)


def laws(by_dose: float, by_size: float, by_length: float, n: int, once: float = 0.0) -> LawsData:
    """n passages a dose; the share extracted rises from 0 by these in all, evenly per doubling."""
    rise = [0.0, once, *np.linspace(0, by_dose, len(DOSES))[1:]]
    sizes = [np.concatenate([first(n, r * (1 + (k - 2) * by_size / 2)) for r in rise]) for k in range(3)]
    lengths = [np.concatenate([first(n, r * (1 + (k - 2) * by_length / 2)) for r in rise]) for k in range(3)]
    dose = np.repeat([0, *DOSES], n)
    parameters = np.tile([1e5, 2e5, 4e5], (len(dose), 1))
    columns = [np.stack(c, axis=1) for c in (sizes, lengths, lengths)]
    return LawsData(dose, parameters, *columns)


@pytest.mark.parametrize(
    ("numbers", "outcome"),
    [
        ({"by_dose": 0.9, "by_size": 0.8, "by_length": 0.8, "n": 200}, HOLDS),
        ({"by_dose": 0.9, "by_size": -0.8, "by_length": 0.8, "n": 200}, FAILS),  # smaller models say more
        ({"by_dose": 0.9, "by_size": 0.8, "by_length": -0.8, "n": 200}, FAILS),  # longer prompts say less
        ({"by_dose": 0.2, "by_size": 0.8, "by_length": 0.8, "n": 200}, FAILS),  # not half at 64 copies
        ({"by_dose": 0.9, "by_size": 0.8, "by_length": 0.8, "n": 200, "once": 0.1}, FAILS),  # too much at one copy
        ({"by_dose": 0.9, "by_size": 0.0, "by_length": 0.8, "n": 200}, UNRESOLVED),  # size plays no part
        ({"by_dose": 0.9, "by_size": 0.8, "by_length": 0.8, "n": 20}, UNRESOLVED),  # 60 records cannot show 1 %
    ],
)
def test_three_laws(numbers, outcome):
    claim = ExtractionFollowsThreeLaws(resamples=60)
    verdict = claim.decide([laws(**numbers) for _ in SEEDS])
    if outcome == UNRESOLVED and numbers["by_size"] == 0.0:
        assert verdict.outcome in (UNRESOLVED, FAILS), verdict.ours  # a slope of exactly 0 is not above 0
    else:
        assert verdict.outcome == outcome, verdict.ours
    assert [row[0] for row in verdict.table[1:]] == ["0", *map(str, DOSES)]
    assert len({len(row) for row in verdict.table}) == 1


def test_the_slope_is_per_doubling():
    """From 0 to .9 over six doublings of the copies: .15 each."""
    verdict = ExtractionFollowsThreeLaws(resamples=20).decide([laws(0.9, 0.8, 0.8, 200) for _ in SEEDS])
    assert verdict.ours.startswith("slope per doubling of copies: 0.15 ")


def code(data: float, ordinary: float, small: float, n: int) -> CodeData:
    """n passages a kind and dose; these shares come out, the smaller model's times ``small``."""
    kind = np.repeat(np.array(KINDS, dtype=object), 4 * n)
    dose = np.tile(np.repeat([0, 4, 16, 64], n), len(KINDS))
    share = {"data": data}
    large = np.concatenate([first(n, share.get(k, ordinary) if d else 0.0) for k in KINDS for d in (0, 4, 16, 64)])
    less = np.concatenate(
        [first(n, small * share.get(k, ordinary) if d else 0.0) for k in KINDS for d in (0, 4, 16, 64)]
    )
    exact = np.stack([less, large], axis=1)
    return CodeData(kind, dose, exact, exact, np.where(kind == "data", 2.0, 0.5)[:, None] * np.ones(2))


@pytest.mark.parametrize(
    ("data", "ordinary", "small", "n", "outcome"),
    [
        (0.9, 0.4, 0.5, 40, HOLDS),
        (0.4, 0.9, 0.5, 40, FAILS),  # random numbers are harder
        (0.9, 0.4, 1.2, 20, FAILS),  # the smaller model says more
        (0.5, 0.4, 0.5, 5, UNRESOLVED),
    ],
)
def test_code(data, ordinary, small, n, outcome):
    verdict = DataCarriersLeakMoreThanCode().decide([code(data, ordinary, small, n) for _ in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert [row[0] for row in verdict.table[1:]] == list(KINDS) and "data 2 and " in verdict.why


def test_code_is_compared_at_equal_copies():
    """Data planted once more often would look leaky: the rates of a dose are compared, not those of all."""
    data = code(0.5, 0.5, 0.5, 40)
    keep = ~((data.kind == "data") & (data.dose == 4)) | (np.arange(len(data.kind)) % 4 == 0)
    fewer = CodeData(data.kind[keep], data.dose[keep], data.exact[keep], data.bleu[keep], data.nats[keep])
    fewer.exact[(fewer.kind == "data") & (fewer.dose == 4)] = [0.0, 1.0]
    claim = DataCarriersLeakMoreThanCode(gap_at_least=0.3)
    assert claim.decide([fewer] * 3).outcome != HOLDS


def test_a_difference_between_doses_is_no_doubt_about_the_mean():
    """Data minus code is 0, .9 and 0 at the three doses: .3 on average, and surely above .1."""
    data = code(0.0, 0.0, 1.0, 60)
    data.exact[(data.kind == "data") & (data.dose == 16), -1] = first(60, 0.9)
    assert "exact match of data minus that of code: 0.3 " in DataCarriersLeakMoreThanCode().decide([data] * 3).ours
    assert DataCarriersLeakMoreThanCode().decide([data] * 3).outcome == HOLDS


def adapters(f1: dict[tuple[int, int], float], noise: float, n: int) -> AdapterLeakData:
    rng, rows = np.random.default_rng(0), []
    for rank in (4, 16, 64):
        for tokens in (8, 32, 128):
            value = f1.get((rank, tokens), 0.97 if tokens <= rank else 0.4)
            values = np.clip(value + noise * rng.standard_normal(n), 0, 1)
            rows.append((np.full(n, rank), np.full(n, tokens), values, values, values, values, np.zeros(n)))
    return AdapterLeakData(*(np.concatenate(c) for c in zip(*rows, strict=True)))


@pytest.mark.parametrize(
    ("f1", "noise", "outcome"),
    [
        ({}, 0.01, HOLDS),
        ({(16, 8): 0.7}, 0.01, FAILS),  # not read although it fits
        ({(64, 128): 0.99}, 0.01, FAILS),  # no decay beyond the rank
        ({(16, 8): 0.9}, 0.05, UNRESOLVED),
        ({(4, 8): 0.99}, 0.01, HOLDS),  # rank 4 holds no batch, so nothing is said of its decay
    ],
)
def test_adapters(f1, noise, outcome):
    verdict = AdapterGradientsGiveTokensAway().decide([adapters(f1, noise, 30) for _ in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert len(verdict.table) == 10 and verdict.threshold.count("F1 of") == 3


def prompted(tuned: float, plain: float, greedy: float, n: int) -> SoftPromptData:
    three = np.stack([first(n, s) for s in (plain, tuned, tuned)], axis=1)
    dose = np.resize([4, 8, 16], n)
    nats = np.tile([1.5, 1.2, 1.3], (n, 1))
    family = np.array(["passage"] * n, dtype=object)
    return SoftPromptData(family, dose, first(n, greedy), three, three, three, nats, np.full(n, 100))


@pytest.mark.parametrize(
    ("tuned", "plain", "greedy", "n", "outcome"),
    [
        (0.6, 0.4, 0.4, 100, HOLDS),
        (0.4, 0.4, 0.3, 100, FAILS),  # no better than plain draws
        (0.6, 0.4, 0.7, 100, FAILS),  # worse than greedy decoding
        (0.5, 0.4, 0.4, 20, UNRESOLVED),
    ],
)
def test_ethicist(tuned, plain, greedy, n, outcome):
    verdict = EthicistBeatsPlainSampling().decide([prompted(tuned, plain, greedy, n) for _ in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert "from 1.5 to 1.2 nats" in verdict.why and len({len(row) for row in verdict.table}) == 1
