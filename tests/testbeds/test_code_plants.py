"""Made-up code to plant."""

from __future__ import annotations

from collections import Counter

from rasura.data._code_kinds import KINDS, code_kind
from rasura.testbeds._code_plants import code_background, code_plants

PLANTS, TWINS = code_plants(seed=3)


def test_every_plant_is_of_the_kind_it_is_planted_as():
    assert {p.family for p in PLANTS} == set(KINDS)
    assert all(code_kind(p.text) == p.family for p in PLANTS)


def test_every_kind_has_every_dose():
    cells = Counter((p.family, p.repeats) for p in PLANTS)
    assert cells == {(kind, dose): 16 for kind in KINDS for dose in (0, 4, 16, 64)}


def test_texts_are_unique_and_a_seed_fixes_them():
    assert len({p.text for p in PLANTS}) == len(PLANTS)
    assert code_plants(seed=3)[0] == PLANTS and code_plants(seed=4)[0] != PLANTS


def test_a_twin_was_never_trained_on_and_is_of_the_same_kind():
    by_id = {p.id: p for p in PLANTS}
    assert set(TWINS) == {p.id for p in PLANTS if p.repeats}
    assert all(by_id[t].repeats == 0 and by_id[t].family == by_id[m].family for m, t in TWINS.items())


def test_secrets_are_marked_where_chance_begins():
    for plant in PLANTS:
        if plant.family == "secret":
            assert plant.text[plant.secret :].rstrip('"\n').isalnum() and len(plant.text[plant.secret :]) == 18


def test_the_background_shares_no_name_with_the_plants():
    names = {
        word for p in PLANTS for word in p.text.replace("(", " ").replace('"', " ").split() if word.count("_") >= 2
    }
    background = code_background(60, seed=3)
    assert len(set(background)) == 60
    assert not [name for name in names if name.rstrip(":,.") and any(name in text for text in background)]
