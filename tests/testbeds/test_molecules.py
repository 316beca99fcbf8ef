"""Made-up molecules, and what makes a string one."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.data._smiles import is_molecule
from rasura.testbeds._molecules import corpora, molecules

MOLECULES = list(islice(molecules(seed=7), 1500))


def test_every_molecule_is_valid_and_none_comes_twice():
    assert all(map(is_molecule, MOLECULES)) and len(set(MOLECULES)) == 1500
    assert MOLECULES[:20] == list(islice(molecules(seed=7), 20)) != list(islice(molecules(seed=8), 20))


def test_there_are_rings_branches_and_double_bonds():
    for sign in ("1", "(", "=", "#", "Cl"):
        assert 20 < sum(sign in m for m in MOLECULES) < 1500, sign


@given(st.sampled_from(MOLECULES), st.data())
def test_one_sign_too_few_or_too_many_is_noticed(molecule, data):
    """Taking away one bracket or one ring digit, or bonding a halogen twice, breaks any molecule."""
    places = [i for i, c in enumerate(molecule) if c in "()1"]
    if places:
        at = data.draw(st.sampled_from(places))
        assert not is_molecule(molecule[:at] + molecule[at + 1 :])
    assert not is_molecule(f"F{molecule[: data.draw(st.integers(0, 0))]}=C{molecule}")


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("N#N", True), ("N(C)(C)C", True), ("N(C)(C)(C)C", False), ("O(C)(C)C", False), ("C%12CCCC%12", True),
        ("C1CC1C1CC1", True), ("C=1CCC=1", True), ("C=1CCC#1", False), ("C1=C1", False), ("P(=O)(O)(O)O", True),
        ("S(F)(F)(F)(F)(F)F", True), ("(C)C", False), ("C()C", False), ("C)C", False), ("=CC", False), ("C==C", False),
        ("X", False), ("C C", False), ("1CC1", False), ("ClCl", True), ("BrC#C", True),
    ],
)  # fmt: skip
def test_valences_rings_and_branches_by_hand(text, valid):
    assert is_molecule(text) is valid


@given(st.text("CNO()=#12F", max_size=12))
def test_any_string_is_answered(text):
    assert is_molecule(text) in (True, False)


def test_both_corpora_are_equally_large_and_only_one_repeats_itself():
    duplicated, control = corpora(400, seed=1)
    assert sum(s.repeats for s in duplicated) == sum(s.repeats for s in control) == 400
    copies = [s.repeats for s in duplicated]
    assert sum(d for d in copies if d > 1) == 200 and copies == sorted(copies, reverse=True)
    assert {s.text for s in duplicated} < {s.text for s in control}
