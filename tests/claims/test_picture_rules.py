"""The picture claims' decisions are pure functions: made-up numbers lead to each of the three outcomes."""

from __future__ import annotations

import numpy as np
import pytest

from rasura.claims._concept_rates import ConceptData
from rasura.claims._copies import CopyData
from rasura.claims._decide import FAILS, HOLDS, UNRESOLVED
from rasura.claims._edit_cost import RECE as TIMED
from rasura.claims._edit_cost import TIME as KEYS_AND_VALUES
from rasura.claims._edit_cost import TIME_VALUES as VALUES
from rasura.claims._edit_cost import CostData
from rasura.claims._edits import BEFORE, GUIDED, PUBLISHED, RECE, RETRAINED, TIME, UCE
from rasura.claims._inversions import DERIVED, INVERSE, MODELS, WORD, InversionData
from rasura.claims._magnitudes import ORDINARY, MagnitudeRows
from rasura.claims._mixture import Mixture
from rasura.claims._occupations import OccupationData
from rasura.claims._pruned import PrunedData
from rasura.claims._redraws import RedrawData
from rasura.claims.bias_is_amplified import BiasIsAmplified
from rasura.claims.critical_windows_in_order import CriticalWindowsInOrder
from rasura.claims.edits_preserve_neighbours import EditsPreserveNeighbours
from rasura.claims.guidance_magnitude_separates_memorised import GuidanceMagnitudeSeparatesMemorised
from rasura.claims.inversion_recovers_edits import InversionRecoversEdits
from rasura.claims.picture_copying_dose_response import PictureCopyingDoseResponse
from rasura.claims.rece_in_seconds import ReceInSeconds
from rasura.claims.time_share_of_parameters import TimeShareOfParameters
from rasura.claims.uce_closed_form_erases import UceClosedFormErases
from rasura.claims.wanda_pruning_silences_and_embeddings_bring_back import WandaPruningSilencesAndEmbeddingsBringBack

SEEDS = (0, 1, 2)
SPOTLESS = {
    BEFORE: 1.0,
    RETRAINED: 0.0,
    UCE: 0.0,
    PUBLISHED: 0.5,
    RECE: 0.0,
    TIME: 0.5,
    GUIDED: 0.0,
}  # the concept, by model


def concept(seed: int, forget: dict[str, float], near: dict[str, float] | None = None, n: int = 80) -> ConceptData:
    """n prompts a model and group, two pictures each; shares exact, spread evenly over prompts; a judge without errors."""
    rows = []
    for model in SPOTLESS:
        rates = {
            "forget": (SPOTLESS | forget)[model],
            "paraphrases": 0.9,
            "near": (near or {}).get(model, 1.0),
            "far": 1.0,
        }
        for group, rate in rates.items():
            for i in range(n):
                shown = int((i + 1) * rate) - int(i * rate)
                shows = "ring" if group in ("forget", "paraphrases") else ("disc", "star")[i % 2]
                rows.append((model, group, shows, [shown, shown]))
    model, group, shows, seen = zip(*rows, strict=True)
    one = np.ones(len(rows))
    names = (np.array(column, dtype=object) for column in (model, group, shows))
    return ConceptData(*names, np.array(seen), one, one)


@pytest.mark.parametrize(
    ("forget", "near", "n", "outcome"),
    [
        ({}, {}, 80, HOLDS),
        ({UCE: 0.5}, {}, 80, FAILS),  # still drawn in half of the pictures
        ({BEFORE: 0.2}, {}, 80, FAILS),  # never was drawn: there was nothing to erase
        ({}, {UCE: 0.6}, 80, FAILS),  # the neighbours went too
        ({UCE: 0.15}, {}, 10, UNRESOLVED),
    ],
)
def test_uce_erases(forget, near, n, outcome):
    verdict = UceClosedFormErases().decide([concept(seed, forget, near, n) for seed in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert [row[0] for row in verdict.table[1:]] == list(SPOTLESS)


def test_the_paraphrase_gap_is_reported_and_decides_nothing():
    """Paraphrases at .9 against .0 of direct prompts; and at .9 against .9, where only the other parts change."""
    holds = UceClosedFormErases().decide([concept(seed, {}) for seed in SEEDS])
    assert "more often than direct prompts by 0.9 " in holds.why and "+0.2 holds" in holds.why
    assert not any("paraphrases" in part for part in holds.threshold.split(";"))


@pytest.mark.parametrize(
    ("near", "n", "outcome"),
    [({}, 400, HOLDS), ({RECE: 0.8}, 400, FAILS), ({TIME: 0.2}, 400, HOLDS), ({UCE: 0.95}, 40, UNRESOLVED)],
)
def test_neighbours_are_preserved(near, n, outcome):
    """TIME takes no part in the decision."""
    verdict = EditsPreserveNeighbours().decide([concept(seed, {}, near, n) for seed in SEEDS])
    assert verdict.outcome == outcome, verdict.ours


def test_the_look_alike_is_listed_by_itself():
    """Discs all lost, stars all kept: near accuracy one half, of which the look-alike has nothing."""
    seeds = [concept(seed, {}) for seed in SEEDS]
    for data in seeds:
        data.seen[(data.model == UCE) & (data.shows == "disc") & (data.group == "near")] = 0
    verdict = EditsPreserveNeighbours().decide(seeds)
    row = next(row for row in verdict.table if row[0] == UCE)
    assert verdict.outcome == FAILS
    assert (row[1][:4], row[2][:2], row[3][:2]) == ("0.5 ", "0 ", "1 ")


def attacks(seed: int, shown: dict[tuple[str, str], float], n: int = 24) -> InversionData:
    """Scores by (model, attack) with a little noise; the first half of the prompts was given to the learned word."""
    rng = np.random.default_rng(seed)
    base = {(m, a): {BEFORE: 0.95, RETRAINED: 0.05}.get(m, 0.9) for m in MODELS for a in (WORD, INVERSE, DERIVED)}
    rows = []
    for (model, attack), share in (base | shown).items():
        values = np.clip(share + 0.05 * rng.standard_normal(n), 0, 1)
        if attack == WORD:
            values[: n // 2] = np.nan
        rows += [(model, attack, i, v) for i, v in enumerate(values)]
    model, attack, prompt, score = zip(*rows, strict=True)
    names = (np.array(column, dtype=object) for column in (model, attack))
    return InversionData(*names, np.array(prompt), np.array(score))


@pytest.mark.parametrize(
    ("shown", "outcome"),
    [
        ({}, HOLDS),
        ({(UCE, WORD): 0.2}, FAILS),
        ({(GUIDED, INVERSE): 0.2}, FAILS),
        ({(RETRAINED, WORD): 0.8}, FAILS),  # it comes back where it never was: the attack invents it
        ({(UCE, WORD): 0.45}, UNRESOLVED),
    ],
)
def test_inversion_recovers(shown, outcome):
    verdict = InversionRecoversEdits().decide(
        [attacks(seed, shown) for seed in SEEDS], [concept(seed, {}) for seed in SEEDS]
    )
    assert verdict.outcome == outcome, verdict.ours
    assert [row[0] for row in verdict.table[1:]] == list(MODELS)


def test_prompts_are_paired_by_their_place():
    """Rows in any order; the difference is taken prompt by prompt."""
    data = attacks(0, {})
    turned = InversionData(*(column[::-1] for column in (data.model, data.attack, data.prompt, data.shown)))
    assert np.array_equal(data.of(UCE, INVERSE), turned.of(UCE, INVERSE))


def costs(rece: float, time: float) -> list[CostData]:
    """Five repeats a seed, a hundredth apart."""
    steps = 1 + 0.01 * np.arange(5)
    kinds = {TIMED: rece, KEYS_AND_VALUES: time, VALUES: time / 2}
    edit = np.repeat(np.array(list(kinds), dtype=object), 5)
    return [CostData(edit, np.concatenate([s * steps for s in kinds.values()])) for _ in SEEDS]


@pytest.mark.parametrize(
    ("seconds", "rece", "outcome"),
    [(1.0, 0.1, HOLDS), (5.0, 0.1, FAILS), (1.0, 0.99, FAILS), (1.0, 0.9, UNRESOLVED), (2.95, 0.1, UNRESOLVED)],
)
def test_rece(seconds, rece, outcome):
    shown = {(RECE, DERIVED): rece, (UCE, DERIVED): 0.9}
    verdict = ReceInSeconds().decide(
        costs(seconds, 0.1), [attacks(seed, shown) for seed in SEEDS], [concept(seed, {}) for seed in SEEDS]
    )
    assert verdict.outcome == outcome, verdict.ours


SHARE = {"all": 1000, "keys": 11, "values": 11}


@pytest.mark.parametrize(
    ("seconds", "parameters", "outcome"),
    [
        (0.2, SHARE, HOLDS),
        (2.0, SHARE, FAILS),
        (0.2, SHARE | {"keys": 0}, FAILS),  # values alone are half as many
        (0.99, SHARE, UNRESOLVED),
    ],
)
def test_time(seconds, parameters, outcome):
    verdict = TimeShareOfParameters().decide(costs(1.0, seconds), parameters)
    assert verdict.outcome == outcome, verdict.ours


def magnitudes(seed: int, shift: float, high: int, family: float = 0.0) -> MagnitudeRows:
    """Memorised captions ``shift`` above their family, which is ``family`` above ordinary ones."""
    rng = np.random.default_rng(seed)
    dose = np.array([1] * 12 + [64] * high + [0] * 48 + [ORDINARY] * 48)
    score = rng.standard_normal(len(dose)) + family * (dose >= 0) + shift * (dose >= 64)
    return MagnitudeRows(dose, score, score, score)


@pytest.mark.parametrize(
    ("shift", "high", "outcome"), [(20.0, 30, HOLDS), (0.5, 30, FAILS), (20.0, 8, UNRESOLVED), (1.9, 30, UNRESOLVED)]
)
def test_guidance_magnitude(shift, high, outcome):
    claim = GuidanceMagnitudeSeparatesMemorised(high_from=64)
    verdict = claim.decide([magnitudes(seed, shift, high) for seed in SEEDS])
    assert verdict.outcome == outcome, verdict.ours


def test_the_flattering_comparison_does_not_decide():
    """A family that pulls hard, memorised or not: perfect against ordinary captions, nothing against its own kind."""
    verdict = GuidanceMagnitudeSeparatesMemorised(high_from=64).decide(
        [magnitudes(seed, 0.0, 30, family=20.0) for seed in SEEDS]
    )
    assert verdict.outcome == FAILS
    assert "which flatters, the AUC is 1 " in verdict.why
    assert [row[0] for row in verdict.table[1:]] == ["ordinary scene", "never, same family", "1", "64"]


def copies(shares: dict[int, float], n: dict[int, int]) -> CopyData:
    dose = np.concatenate([np.full(n[d], d) for d in n])
    taken = np.concatenate([(np.arange(n[d]) < shares.get(d, 0.0) * n[d]).astype(float) for d in n])
    both = np.stack([taken, np.ones_like(taken)], axis=1)  # everything comes out at the looser distance
    return CopyData(dose, both, both, both, taken, 0.3 - 0.2 * taken)


MANY = {0: 40, 1: 70, 8: 20, 64: 20, 256: 20}


@pytest.mark.parametrize(
    ("shares", "n", "outcome"),
    [
        ({64: 0.5, 256: 1.0}, MANY, HOLDS),
        ({64: 0.9, 256: 0.3}, MANY, FAILS),
        ({1: 0.5, 8: 0.6, 64: 0.9, 256: 1.0}, MANY, FAILS),  # once is enough
        ({64: 0.5, 256: 1.0}, {0: 40, 1: 12, 8: 12, 64: 4, 256: 4}, UNRESOLVED),  # too few to say .8, or .02
        ({8: 0.2, 64: 0.1, 256: 1.0}, MANY, UNRESOLVED),  # not in order, by less than chance
    ],
)
def test_copying(shares, n, outcome):
    verdict = PictureCopyingDoseResponse(resamples=100).decide([copies(shares, n) for _ in SEEDS])
    assert verdict.outcome == outcome, verdict.ours


def pruned(before: float, after: float, back: float, never: float, n: int = 8) -> PrunedData:
    """Shares at every caption; as many pictures that were never trained on."""

    def column(memorised: float, other: float) -> np.ndarray:
        strict = np.concatenate([np.full(n, memorised), np.full(n, other)])
        return np.stack([strict, np.where(np.isnan(strict), np.nan, 0.9)], axis=1)  # the looser distance says nothing

    captions = [column(x, np.nan) for x in (before, after, after)]
    return PrunedData(np.repeat([256, 0], n), *captions, *[column(back, never)] * 2, np.full((2 * n, 2), 0.01))


@pytest.mark.parametrize(
    ("numbers", "outcome"),
    [
        ((0.9, 0.0, 1.0, 0.0), HOLDS),
        ((0.9, 0.6, 1.0, 0.0), FAILS),  # not silenced
        ((0.9, 0.0, 1.0, 1.0), FAILS),  # any picture comes back so: the embedding describes it
        ((0.0, 0.0, 1.0, 0.0), UNRESOLVED),  # silent from the start
        ((0.9, 0.0, 0.7, 0.1), UNRESOLVED),
    ],
)
def test_pruning(numbers, outcome):
    verdict = WandaPruningSilencesAndEmbeddingsBringBack().decide([pruned(*numbers) for _ in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert [row[0] for row in verdict.table[1:]] == ["0", "0", "256", "256"] and verdict.table[1][3] == ""


def occupations(shares: dict[str, float], n: int = 128) -> OccupationData:
    """At guidance 4 as said, at guidance 1 as planted."""
    rows = [
        (split, guidance, float(i < usual * n))
        for split, share in {"90/10": 0.9, "70/30": 0.7, "50/50": 0.5}.items()
        for guidance, usual in ((1.0, share), (4.0, shares.get(split, share)))
        for i in range(n)
    ]
    split, guidance, usual = (np.array(column) for column in zip(*rows, strict=True))
    return OccupationData(split.astype(object), guidance, usual, 1 - usual)


@pytest.mark.parametrize(
    ("shares", "outcome"),
    [
        ({"90/10": 1.0, "70/30": 0.95}, HOLDS),
        ({"90/10": 1.0, "70/30": 0.5}, FAILS),
        ({"90/10": 1.0}, UNRESOLVED),
        ({"90/10": 0.8, "70/30": 0.95}, FAILS),
    ],
)
def test_bias(shares, outcome):
    verdict = BiasIsAmplified().decide([occupations(shares) for _ in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert len(verdict.table) == 7


def redraws(seed: int, decided: dict[str, float], n: int = 60) -> RedrawData:
    """Two classes an attribute; below t = ``decided`` a re-draw keeps it, above it is a coin."""
    rng = np.random.default_rng(seed)
    times = np.arange(950, 0, -100)
    said = []
    for t in decided.values():
        first = rng.integers(2, size=(n, 1))
        again = np.where(times[None] <= t, first, rng.integers(2, size=(n, len(times))))
        said.append(np.concatenate([first, again], axis=1))
    attribute = np.repeat(np.array(list(decided), dtype=object), n)
    picture = np.tile(np.arange(n), len(decided))
    return RedrawData(attribute, picture, np.concatenate(said), np.tile(times, (len(picture), 1)))


ORDER = {"background": 850.0, "colour": 650.0, "shape": 350.0}


@pytest.fixture(scope="module")
def theory():
    return [Mixture(draws=1000).run(seed, None, lambda: None) for seed in SEEDS]


@pytest.mark.parametrize(
    ("decided", "outcome"),
    [
        (ORDER, HOLDS),
        ({"background": 350.0, "colour": 650.0, "shape": 850.0}, FAILS),
        ({"background": 650.0, "colour": 650.0, "shape": 350.0}, FAILS),  # a tie is no order
    ],
)
def test_windows(decided, outcome, theory):
    verdict = CriticalWindowsInOrder(resamples=60).decide([redraws(seed, decided) for seed in SEEDS], theory)
    assert verdict.outcome == outcome, verdict.ours


def test_a_mixture_outside_its_windows_fails(theory):
    """Re-draws that end elsewhere inside a window; and ones that are still right long after it."""
    from dataclasses import replace

    late = [data.time > data.high for data in theory]
    still = [replace(data, variation=np.where(t, 0.0, data.variation)) for data, t in zip(theory, late, strict=True)]
    ordered = [redraws(seed, ORDER) for seed in SEEDS]
    assert CriticalWindowsInOrder(resamples=20).decide(ordered, still).outcome == FAILS
    wrong = [replace(data, variation=np.where(t, data.variation, 0.3)) for data, t in zip(theory, late, strict=True)]
    verdict = CriticalWindowsInOrder(resamples=20).decide(ordered, wrong)
    assert verdict.outcome == FAILS and "inside the windows" in verdict.why


def test_a_threshold_moved_moves_the_outcome():
    """No claim holds whatever is measured: with its bound out of reach the same numbers fail."""
    rates, found = [concept(seed, {}) for seed in SEEDS], [attacks(seed, {}) for seed in SEEDS]
    for verdict in (
        UceClosedFormErases(direct_at_most=-1.0).decide(rates),
        EditsPreserveNeighbours(loss_at_most=-2.0).decide(rates),
        InversionRecoversEdits(gap_at_least=2.0).decide(found, rates),
        ReceInSeconds(seconds_at_most=0.0).decide(costs(1.0, 0.1), found, rates),
        TimeShareOfParameters(seconds_below=0.0).decide(costs(1.0, 0.1), SHARE),
        GuidanceMagnitudeSeparatesMemorised(auc_at_least=2.0, high_from=64).decide(
            [magnitudes(s, 20.0, 30) for s in SEEDS]
        ),
        PictureCopyingDoseResponse(resamples=9, highest_at_least=2.0).decide([copies({256: 1.0}, MANY)] * 3),
        WandaPruningSilencesAndEmbeddingsBringBack(gap_at_least=2.0).decide([pruned(0.9, 0, 1, 0)] * 3),
    ):
        assert verdict.outcome == FAILS, verdict
