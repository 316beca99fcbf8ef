"""Rewordings: the forms, and that the best of many is judged on pictures it was not chosen by."""

from __future__ import annotations

import numpy as np
import pytest

import _coin_judge
from rasura.attacks import rewordings
from rasura.core.errors import BadInput
from rasura.core.types import Budget

Attack = rewordings.Rewordings


def test_the_forms_of_a_prompt():
    forms = Attack(words=("hoop",), templates=("like a {}",))._forms("ring")
    said = {name: reword("a red ring") for name, reword in forms.items()}
    assert said["synonym 1"] == "a red hoop" and said["template 1 with synonym 1"] == "like a hoop"
    assert said["letters swapped"] == "a red irng" and said["reversed"] == "ring red a"
    assert said["said twice"] == "a red ring a red ring" and said["spelt out"] == "a red r i n g"
    assert forms["synonym 1"]("a circle") == "a circle hoop"
    assert not any("ring" in name for name in forms)


def test_choosing_among_many_forms_does_not_flatter(tmp_path):
    """A judge that tosses coins: the best of some twenty forms looks good, its fresh pictures average out."""
    request = _coin_judge.request(tmp_path, n=4)
    found = Attack(draw_steps=2, pictures=16).attack(_coin_judge.handle(), request, Budget())
    assert 0.3 < found.score.mean() < 0.7


def test_a_form_too_long_for_a_prompt_is_passed_over(tmp_path):
    model, request = _coin_judge.handle(), _coin_judge.request(tmp_path, n=4)
    attack = Attack(draw_steps=2, templates=())
    tried, drawn = attack._tried(model, request, request.forget, {"five": lambda p: " ".join([p] * 5)}, 0)
    assert np.isnan(tried["five"]).all() and drawn == 0


@pytest.mark.parametrize("settings", [{"tries": 0}, {"pictures": 0}, {"templates": ("no place",)}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(BadInput, match="rewordings"):
        Attack(**settings)
