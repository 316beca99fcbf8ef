"""The learned word: it lowers the loss it is learned by, and pictures that were given are not scored."""

from __future__ import annotations

import numpy as np
import pytest

import _coin_judge
from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.types import Budget, Request


def attack(**settings):
    few = {"steps": 25, "batch": 8, "learning_rate": 0.1, "pictures": 1, "draw_steps": 2, "templates": ()}
    return registry.get("attacks", "textual_inversion")(**{**few, **settings})


def test_the_word_lowers_the_denoising_loss(tmp_path):
    """Against the same draws of pictures, times and noise with the word left where it started."""
    model, request = _coin_judge.handle(), _coin_judge.request(tmp_path)
    learned = attack()._learned(model, request.forget, "ring", 25, 0)[1]
    still = attack(learning_rate=1e-9)._learned(model, request.forget, "ring", 25, 0)[1]
    assert learned[0] == pytest.approx(still[0], rel=0.1) and learned[1] < still[1]


def test_given_records_score_nan_and_the_others_are_drawn(tmp_path):
    model, request = _coin_judge.handle(), _coin_judge.request(tmp_path, n=4)
    found = attack(share=0.25, steps=2).attack(model, request, Budget())
    given = np.isnan(found.score)
    assert given.sum() == 1 and not found.pictures[given].any() and found.pictures[~given].any()


def test_templates_are_learned_in(tmp_path):
    model, request = _coin_judge.handle(), _coin_judge.request(tmp_path, n=2)
    rows = attack(templates=("a photo of a {}", "{} on red"))._lessons(model, request.forget, "ring")
    assert [row.index(None) for row in rows] == [4, 0]


@pytest.mark.parametrize(
    "settings", [{"share": 1.0}, {"steps": 0}, {"templates": ("a photo",)}, {"learning_rate": 0.0}]
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(BadInput, match="textual_inversion"):
        attack(**settings)


def test_pictures_are_needed(tmp_path):
    bare = _coin_judge.request(tmp_path, pictures=False)
    with pytest.raises(BadInput, match="picture"):
        attack().attack(_coin_judge.handle(), Request(bare.forget, bare.retain, "ring", bare.judge), Budget())
