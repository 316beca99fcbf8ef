"""P4D: its two forms, and a search that moves towards the teacher's word."""

from __future__ import annotations

import pytest
import torch

import _coin_judge
from rasura.attacks import prompting4debugging
from rasura.core.errors import BadInput, NeedsRole
from rasura.core.types import Budget

Attack = prompting4debugging.Prompting4Debugging


def test_form_n_has_free_words_only_and_form_k_keeps_the_prompt():
    model = _coin_judge.handle()
    assert Attack(form="n", words=3)._rows(model, ["a ring", "a"]) == [[None] * 3] * 2
    rows = Attack(form="k", every=2)._rows(model, ["a red ring on blue", "a ring"])
    assert [row.count(None) for row in rows] == [2, 2]
    assert [i for i in rows[1] if i is not None] == [model.tokens("a ring").ids[i] for i in (1, 2)]


def test_the_nearest_word_is_by_angle_over_both_encoders():
    first, second = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    soft = [torch.tensor([[[5.0, 1.0]]]), torch.tensor([[[1.0, 0.9]]])]  # the second encoder hardly cares
    assert prompting4debugging.nearest(soft, [first, second]).item() == 0
    assert prompting4debugging.nearest(soft[1:], [second]).item() == 1


def test_it_needs_the_model_from_before(tmp_path):
    with pytest.raises(NeedsRole, match="before"):
        Attack().attack(_coin_judge.handle(), _coin_judge.request(tmp_path), Budget())


@pytest.mark.parametrize("settings", [{"form": "x"}, {"every": 0}, {"steps": 0}, {"learning_rate": -1.0}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(BadInput, match="prompting4debugging"):
        Attack(**settings)
