"""The claim about copies and novelty: its rule on made-up numbers, and its study on tiny models."""

from __future__ import annotations

import numpy as np
import pytest

from _study import run
from rasura.claims._decide import FAILS, HOLDS, UNRESOLVED
from rasura.claims._molecule_novelty import CORPORA, MoleculeData, MoleculeNovelty
from rasura.claims.duplication_lowers_novelty import DuplicationLowersNovelty
from rasura.extraction.novelty import novelty_curve

SEEDS = (0, 1, 2)


def first(n: int, share: float) -> np.ndarray:
    """n zeros and ones, the ones in front."""
    return (np.arange(n) < round(share * n)).astype(float)


def molecules(novel: dict[str, float], often: float, n: int = 1000, strings: int = 200) -> MoleculeData:
    """n distinct valid draws of either model, this share of them new; strings of 16 copies drawn so often, of one once a thousand."""
    parts = []
    for name in CORPORA:
        m = 2 * strings
        new = np.random.default_rng(0).permutation(first(n, novel[name])) == 1
        record = np.where(new, -1, np.arange(n) % m)
        times = np.concatenate([first(strings, often - int(often)) + int(often), first(strings, 0.1)])
        copies = np.repeat([16, 1] if name == CORPORA[0] else [1, 1], strings)
        parts.append(
            (
                np.array([name] * (n + m), dtype=object),
                np.concatenate([np.arange(n), np.full(m, -1)]),
                np.concatenate([record, np.full(m, -1)]),
                np.concatenate([np.zeros(n, dtype=int), copies]),
                np.concatenate([np.full(n, -1), times]).astype(np.int64),
            )
        )
    return MoleculeData(*(np.concatenate(c) for c in zip(*parts, strict=True)))


@pytest.mark.parametrize(
    ("novel", "often", "n", "outcome"),
    [
        ((0.5, 0.9), 1.5, 1000, HOLDS),
        ((0.97, 0.97), 1.5, 1000, FAILS),  # copies change nothing
        ((0.5, 0.9), 0.1, 1000, FAILS),  # sixteen copies are drawn no more often than one
        ((0.5, 0.9), 1.5, 4, UNRESOLVED),  # four draws
    ],
)
def test_novelty(novel, often, n, outcome):
    claim = DuplicationLowersNovelty()
    verdict = claim.decide([molecules(dict(zip(CORPORA, novel, strict=True)), often, n) for _ in SEEDS])
    assert verdict.outcome == outcome, verdict.ours
    assert len({len(row) for row in verdict.table}) == 1
    assert f"the commonest, {1000 * np.ceil(often) / n:.3g} (16 copies)" in verdict.why
    given_back = [f"{1 - round(x * n) / n:.3g} [" for x in novel]
    said = verdict.why.partition("Of the draws ")[2]
    assert said.startswith(given_back[0]) and f"copies and {given_back[1]}" in said


def test_strings_of_about_as_many_copies_count():
    """12 copies are within a factor of the square root of 2 of 16, 11 and 23 are not."""
    data = molecules(dict(zip(CORPORA, (0.5, 0.9), strict=True)), 1.5)
    for copies, outcome in ((16, HOLDS), (12, HOLDS), (22, HOLDS), (11, UNRESOLVED), (23, UNRESOLVED)):
        data.copies[data.copies > 1] = copies
        verdict = DuplicationLowersNovelty().decide([data] * 3)
        assert verdict.outcome == outcome and ("a string of 16 copies is 1.5 " in verdict.why) == (outcome == HOLDS)


def test_molecules():
    data = run(MoleculeNovelty(strings=60, draws=20, new_tokens=12, epochs=1, width=8))
    for name in CORPORA:
        draws = data.draws(name)
        assert draws.draws == 20 and novelty_curve(draws)[-1].draws == 20
        strings = (data.corpus == name) & (data.copies > 0)
        assert data.copies[strings].sum() == 60 and data.times[strings].sum() == np.sum(draws.record >= 0)
    assert data.copies[data.corpus == CORPORA[0]].max() > 1 == data.copies[data.corpus == CORPORA[1]].max()
