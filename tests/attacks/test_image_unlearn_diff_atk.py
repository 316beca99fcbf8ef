"""UnlearnDiffAtk: the draw passes gradients on, pictures come from where they should, prompts keep their words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import _coin_judge
from rasura.attacks import _soft_words, unlearn_diff_atk
from rasura.core.errors import BadInput
from rasura.core.types import Budget

Attack = unlearn_diff_atk.UnlearnDiffAtk
FEW = {"words": 2, "timesteps": 2, "updates": 2, "checks": 1, "pictures": 1, "draw_steps": 2}


def test_the_draw_is_one_word_and_its_gradient_is_the_relaxed_one():
    u = _soft_words.simplex(torch.rand(2, 3, 5)).requires_grad_()
    drawn = unlearn_diff_atk._drawn(u, torch.Generator().manual_seed(0))
    assert (
        torch.equal(drawn.sum(-1).round(decimals=5), torch.ones(2, 3))
        and ((drawn.round(decimals=5) == 1).sum(-1) == 1).all()
    )
    weights = torch.rand(2, 3, 5)
    (gradient,) = torch.autograd.grad((drawn * weights).sum(), u)
    assert torch.equal(gradient, weights)


def test_words_are_drawn_as_often_as_they_weigh():
    u = torch.tensor([[[0.7, 0.3, 0.0]]]).expand(2000, 1, 3)
    shares = unlearn_diff_atk._drawn(u, torch.Generator().manual_seed(0)).mean((0, 1))
    assert torch.allclose(shares, torch.tensor([0.7, 0.3, 0.0]), atol=0.04)


def test_without_the_model_from_before_given_pictures_are_not_scored(tmp_path):
    found = Attack(**FEW).attack(_coin_judge.handle(), _coin_judge.request(tmp_path, n=4), Budget())
    assert np.isnan(found.score).sum() == 2
    everything = Attack(**FEW).attack(
        _coin_judge.handle(), _coin_judge.request(tmp_path, n=4), Budget(), before=_coin_judge.handle()
    )
    assert not np.isnan(everything.score).any()


def test_a_long_prompt_keeps_its_words():
    model = _coin_judge.handle()
    long = " ".join(["red"] * (_soft_words.room(model) - 2))
    rows = Attack(words=5)._rows(model, [long, "a ring"])
    assert [row.count(None) for row in rows] == [2, 2] and len(rows[0]) == _soft_words.room(model)


@pytest.mark.parametrize("settings", [{"words": 0}, {"timesteps": 0}, {"share": 0.0}, {"learning_rate": 0.0}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(BadInput, match="unlearn_diff_atk"):
        Attack(**settings)
