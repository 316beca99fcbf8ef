"""The search for one picture: the loss falls, a copy is told from a likeness, controls are searched the same way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import _coin_judge
from rasura.attacks import _soft_words, adversarial_embedding
from rasura.core.errors import BadInput
from rasura.core.types import Budget, Request
from rasura.data.pictures import pixels

Attack = adversarial_embedding.AdversarialEmbedding
FEW = {"steps": 2, "batch": 2, "pictures": 2, "draw_steps": 2, "controls": 3}


def test_the_search_lowers_the_loss_of_its_own_picture(tmp_path):
    model, request = _coin_judge.handle(), _coin_judge.request(tmp_path, n=2)
    clean = torch.cat([model.latents(model.pictures(request.forget.take([i]))) for i in range(2)])

    def loss(embedded) -> torch.Tensor:
        generator = torch.Generator().manual_seed(9)
        rows, x = embedded.repeat(32), clean.repeat_interleave(32, 0)
        t, noise = _soft_words.some_times(model, 64, generator), _soft_words.some_noise(x, generator)
        with torch.no_grad():
            return _soft_words.denoising_loss(model, rows, x, t, noise, 5, 1.0).reshape(2, 32).mean(1)

    found = Attack(**{**FEW, "batch": 8})._searched(model, request.forget, 30, 0)
    assert (loss(found) < loss(model.embed(request.forget.texts).detach()) - 0.01).all()
    assert found.prompts == ("", "")


def test_samples_are_searched_each_by_itself(tmp_path, monkeypatch):
    """With the same noise for all, two pictures together end where one alone does."""
    model, request = _coin_judge.handle(), _coin_judge.request(tmp_path, n=2)
    monkeypatch.setattr(_soft_words, "some_times", lambda m, n, g: torch.full((n,), 500))
    monkeypatch.setattr(_soft_words, "some_noise", lambda like, g: torch.ones_like(like) * 0.3)
    both = Attack(**FEW)._searched(model, request.forget, 3, 0).hidden
    alone = Attack(**FEW)._searched(model, request.forget.take([1]), 3, 0).hidden
    assert torch.allclose(both[1], alone[0], atol=1e-4)


def test_a_copy_is_close_and_closest(tmp_path):
    model, request = _coin_judge.handle(), _coin_judge.request(tmp_path, n=2)
    shown = np.stack([pixels(s, model.resolution) for s in request.forget])
    attack, swapped = Attack(), shown[::-1]
    drawn = np.stack([shown, swapped], axis=1)  # of each sample: a copy of its own, a copy of the other's
    assert attack._copied(model, request, request.forget, drawn).tolist() == [0.5, 0.5]
    grey = np.full_like(drawn, 128)
    assert attack._copied(model, request, request.forget, grey).tolist() == [0.0, 0.0]
    assert Attack(threshold=1.0)._copied(model, request, request.forget, drawn).tolist() == [0.5, 0.5]  # still nearest


def test_controls_come_from_retain_pictures_and_are_not_scored(tmp_path):
    model, request = _coin_judge.handle(), _coin_judge.request(tmp_path, n=2)
    found = Attack(**FEW).attack(model, request, Budget())
    assert found.score.shape == (2,) and found.pictures.shape[0] == 2
    assert found.spent.samples == (2 + 3) * 2 and "control" in found.evidence[1]
    alone = Attack(**FEW).attack(model, Request(request.forget, request.forget), Budget())
    assert alone.spent.samples == 2 * 2 and "no control" in alone.evidence[1]


@pytest.mark.parametrize("start", ["random", "other"])
def test_other_starts(start, tmp_path):
    model, request = _coin_judge.handle(), _coin_judge.request(tmp_path, n=2)
    found = Attack(**FEW, start=start)._start(model, request.forget, torch.Generator().manual_seed(0))
    caption = model.embed(request.forget.texts)
    assert found.hidden.shape == caption.hidden.shape and not torch.equal(found.hidden, caption.hidden)
    if start == "other":
        assert torch.equal(found.hidden[0], caption.hidden[1])


def test_every_record_needs_its_picture(tmp_path):
    with pytest.raises(BadInput, match="no picture"):
        Attack().attack(_coin_judge.handle(), _coin_judge.request(tmp_path, pictures=False), Budget())


@pytest.mark.parametrize("settings", [{"start": "x"}, {"tiles": 0}, {"controls": -1}, {"learning_rate": 0.0}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(BadInput, match="adversarial_embedding"):
        Attack(**settings)
