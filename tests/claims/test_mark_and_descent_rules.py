"""Decision rules of the claims about contamination, marks and descent, on made-up numbers."""

from __future__ import annotations

import numpy as np
import pytest

from rasura.claims._decide import FAILS, HOLDS, UNRESOLVED
from rasura.claims._descendants import CHILD as CHILD_MODEL
from rasura.claims._descendants import OTHER, SELF, DescentData
from rasura.claims._leaked_answers import LeakedData
from rasura.claims._marked_texts import ARMS, FRESH, GHOST, RANDOM, RARE, MarkedData
from rasura.claims.cdd_beats_loss_on_contamination import CddBeatsLossOnContamination
from rasura.claims.descendants_are_detected_by_training_order import DescendantsAreDetectedByTrainingOrder
from rasura.claims.ghost_sentences_need_ten_repetitions import GhostSentencesNeedTenRepetitions
from rasura.claims.lexical_marks_are_detected_better import LexicalMarksAreDetectedBetter
from rasura.claims.ted_takes_back_the_inflated_score import TedTakesBackTheInflatedScore

SEEDS = (0, 1, 2)


def leaked(
    seed: int,
    peak: float = 5.0,
    plain: float = 5.0,
    n: int = 40,
    clean: float = 0.4,
    raw: float = 0.9,
    ted: float = 0.3,
) -> LeakedData:
    """n questions a dose, four times as many that did not leak; scores shifted, accuracies of what leaked 8 times or more."""
    rng = np.random.default_rng(seed)
    dose = np.repeat([0, 1, 2, 4, 8, 20], [4 * n, n, n, n, n, n])
    often, noise = dose >= 8, 0.05 * rng.standard_normal((4, len(dose)))
    score = rng.standard_normal((2, len(dose))) + np.outer([peak, plain], often)
    accuracy = [
        np.where(often, x, y) + e for (x, y), e in zip(((raw, 0.4), (ted, 0.4), (clean, 0.4)), noise, strict=False)
    ]
    same = often.astype(float)
    return LeakedData(dose, score[0], score[1], same, same, accuracy[0], accuracy[1], 1 - same, accuracy[2])


@pytest.mark.parametrize(
    ("peak", "plain", "n", "outcome"),
    [
        (5.0, 5.0, 40, HOLDS),
        (0.5, 0.5, 40, FAILS),  # CDD finds nothing
        (2.5, 9.0, 60, FAILS),  # CDD finds them, the loss finds them better
        (2.2, 2.2, 5, UNRESOLVED),
    ],
)
def test_cdd(peak, plain, n, outcome):
    verdict = CddBeatsLossOnContamination().decide([leaked(seed, peak, plain, n) for seed in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert [row[0] for row in verdict.table[1:]] == ["0", "1", "2", "4", "8", "20"]


@pytest.mark.parametrize(
    ("clean", "raw", "ted", "n", "outcome"),
    [
        (0.4, 0.9, 0.3, 40, HOLDS),
        (0.4, 0.9, 0.8, 40, FAILS),  # a fifth of the gain is taken back
        (0.9, 0.4, 0.3, 40, FAILS),  # nothing was gained
        (0.4, 0.9, 0.645, 3, UNRESOLVED),
    ],
)
def test_ted(clean, raw, ted, n, outcome):
    verdict = TedTakesBackTheInflatedScore().decide([leaked(s, n=n, clean=clean, raw=raw, ted=ted) for s in SEEDS])
    assert verdict.outcome == outcome, verdict.ours


def test_ted_must_spare_what_did_not_leak():
    seeds = [leaked(seed) for seed in SEEDS]
    for data in seeds:
        data.corrected[data.dose == 0] -= 0.2
    verdict = TedTakesBackTheInflatedScore().decide(seeds)
    assert verdict.outcome == FAILS and "fall of questions that did not leak" in verdict.why


def marked(
    seed: int,
    rare: float = 2.0,
    random: float = 0.5,
    n: int = 150,
    said_from: int = 16,
    known_from: int = 4,
    m: int = 30,
) -> MarkedData:
    """Three arms, members shifted by 0.3 (plain) or as given; m ghosts a dose, known and said from some dose on."""
    rng = np.random.default_rng(seed)
    shift = {"plain": 0.3, RARE: rare, RANDOM: random}
    kind, dose = np.repeat(np.array(ARMS, dtype=object), 4 * n), np.tile(np.repeat([0, 1, 2, 4], n), 3)
    score = rng.standard_normal(len(dose)) + np.array([shift[k] for k in kind]) * (dose > 0)
    doses = np.repeat([0, 1, 2, 4, 8, 16, 32], [200, *[m] * 6])
    ghost = np.array([GHOST if d else FRESH for d in doses], dtype=object)
    known = rng.standard_normal(len(doses)) + 8.0 * (doses >= known_from)
    nothing, none = np.full(len(dose), np.nan), np.full(len(doses), np.nan)
    return MarkedData(
        kind=np.concatenate([kind, ghost]),
        dose=np.concatenate([dose, doses]),
        score=np.concatenate([score, known]),
        lowest=np.concatenate([score, none]),
        shift=np.concatenate([np.where(kind == RARE, score, np.nan), none]),
        said=np.concatenate([nothing, (doses >= said_from).astype(float)]),
        p_value=np.concatenate([nothing, np.where(doses >= known_from, 0.001, 0.5)]),
    )


@pytest.mark.parametrize(
    ("rare", "random", "n", "outcome"),
    [
        (2.0, 0.5, 150, HOLDS),
        (0.3, 0.3, 1500, FAILS),  # marks change nothing
        (2.0, 9.0, 150, FAILS),  # any substitution does it, and better
        (0.5, 0.3, 20, UNRESOLVED),
    ],
)
def test_lexical_marks(rare, random, n, outcome):
    verdict = LexicalMarksAreDetectedBetter().decide([marked(seed, rare, random, n) for seed in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert len(verdict.table) == 1 + 2 * len(ARMS) + 1


@pytest.mark.parametrize(
    ("said_from", "known_from", "m", "outcome"),
    [
        (16, 4, 30, HOLDS),
        (2, 1, 30, FAILS),  # said at once: nothing is a quarter of 2, and 2 is too few
        (64, 4, 30, FAILS),  # never said
        (16, 16, 30, FAILS),  # perplexity needs as many as the last word
        (16, 4, 2, UNRESOLVED),
    ],
)
def test_ghost_sentences(said_from, known_from, m, outcome):
    seeds = [marked(seed, said_from=said_from, known_from=known_from, m=m) for seed in SEEDS]
    verdict = GhostSentencesNeedTenRepetitions().decide(seeds)
    assert verdict.outcome == outcome, verdict.ours
    assert f"d* is {'more than 32' if said_from > 32 else said_from} documents" in verdict.why


def descent(seed: int, p: float, child: float, others: np.ndarray) -> DescentData:
    kind = np.repeat(np.array([SELF, CHILD_MODEL, OTHER], dtype=object), 6)
    p_value = np.concatenate([np.full(6, p), np.full(6, child), others])
    noise = 0.01 * np.random.default_rng(seed).standard_normal((2, 18))
    return DescentData(kind, 0.1 + noise[0], p_value, p_value, noise[1], p_value)


EVEN = np.arange(18).reshape(6, 3).T / 18 + 1 / 36  # 18 p values as even as they can be, 6 a seed


@pytest.mark.parametrize(
    ("p", "child", "others", "outcome"),
    [
        (5e-4, 5e-4, EVEN, HOLDS),
        (0.5, 0.5, EVEN, FAILS),
        (5e-4, 0.5, EVEN, FAILS),  # children are lost
        (5e-4, 5e-4, EVEN / 1000, FAILS),  # everybody is found
        (5e-4, 5e-4, 0.4 + EVEN / 5, FAILS),  # p values that are not uniform
    ],
)
def test_descendants(p, child, others, outcome):
    verdict = DescendantsAreDetectedByTrainingOrder().decide([descent(s, p, child, others[s]) for s in SEEDS])
    assert verdict.outcome == outcome, verdict.ours


def test_some_descendants_decide_nothing():
    seeds = [descent(seed, 5e-4, 5e-4, EVEN[seed]) for seed in SEEDS]
    seeds[0].p_value[:2] = 0.5
    assert DescendantsAreDetectedByTrainingOrder().decide(seeds).outcome == UNRESOLVED
