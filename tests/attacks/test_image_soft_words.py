"""Soft words, the vocabulary attackers may type from, and the loss they search by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import _coin_judge
from rasura.attacks import _soft_words
from rasura.core.errors import BadInput

KINDS = ("sd1", "sdxl")
numbers = st.floats(-3, 3, allow_nan=False, width=32)


def by_sorting(u: np.ndarray) -> np.ndarray:
    """The projection by sorting, in the textbook's words: the largest k with u_(k) > (sum of the k largest - 1)/k."""
    ranked = np.sort(u)[::-1]
    taus = (np.cumsum(ranked) - 1) / np.arange(1, len(u) + 1)
    k = np.flatnonzero(ranked > taus)[-1]
    return np.maximum(u - taus[k], 0)


@given(st.lists(st.lists(numbers, min_size=5, max_size=5), min_size=1, max_size=4))
def test_the_projection_is_the_sorted_one_and_sums_to_one(rows):
    u = torch.tensor(rows, dtype=torch.float64)
    got = _soft_words.simplex(u)
    assert np.allclose(got, [by_sorting(row.numpy()) for row in u], atol=1e-9)
    assert torch.allclose(got.sum(-1), torch.ones(len(rows), dtype=torch.float64), atol=1e-12)
    assert torch.allclose(_soft_words.simplex(got), got, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_slot_with_a_words_own_vector_is_that_word(kind):
    model = _coin_judge.handle(kind)
    row = _soft_words.replaced(model, "a red ring on blue", "ring")
    assert row.count(None) == 1 and row.index(None) == 2
    slots = _soft_words.Slots.of(model, [row])
    ring = torch.tensor(_soft_words.word_ids(model, "ring"))
    with torch.no_grad():
        soft = slots.embed(model, [table[None] for table in _soft_words.tables(model, ring)])
        hard = model.embed(["a red ring on blue"])
    assert torch.allclose(soft.hidden, hard.hidden, atol=1e-6)
    if kind == "sdxl":
        assert torch.allclose(soft.pooled, hard.pooled, atol=1e-6)


def test_a_prompt_without_the_concept_gets_the_word_at_its_end():
    model = _coin_judge.handle()
    assert _soft_words.replaced(model, "a cat", "ring")[-1] is None
    full = " ".join(["cat"] * _soft_words.room(model))
    assert len(_soft_words.replaced(model, full, "ring")) == _soft_words.room(model)


def test_the_vocabulary_holds_what_can_be_typed_and_not_the_concept():
    """Every word is read back as the one token it stands for."""
    model = _coin_judge.handle()
    found = _soft_words.vocabulary(model, "ring")
    assert {"red", "cat", "photo"} <= set(found.words) and not {"ring", "rin"} & set(found.words)
    for word, i in zip(found.words, found.ids.tolist(), strict=True):
        assert _soft_words.word_ids(model, word) == [i]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_loss_is_zero_where_the_network_is_right(prediction, monkeypatch):
    """A network that answers what it was trained to say: eps, or sqrt(abar) eps - sqrt(1 - abar) x_0."""
    model = _coin_judge.handle(prediction=prediction)
    clean, noise, t = torch.ones(2, *model.latent_shape), torch.randn(2, *model.latent_shape), torch.tensor([10, 700])
    x = model.schedule.noised(clean, t, noise)

    def knows(x, t, embedded):
        a = model.schedule.alpha(t, x)
        eps = (x - a.sqrt() * clean) / (1 - a).sqrt()
        return eps if prediction == "epsilon" else (eps - (1 - a).sqrt() * x) / a.sqrt()

    monkeypatch.setattr(model, "output", knows)
    loss = _soft_words.denoising_loss(model, model.embed(["a", "b"]), clean, t, noise, 5, 4.0)
    assert loss.shape == (2,) and float(loss.max()) < 1e-6
    assert float(_soft_words.denoising_loss(model, model.embed(["a", "b"]), clean, t, noise + 1, 5, 4.0).min()) < 10
    assert torch.allclose(model.schedule.noise_of(knows(x, t, None), x, t), noise, atol=1e-3)


class Late:
    """A guard that answers with the number of the step it is asked for."""

    def steer(self, model, embedded, guidance, steps):
        return lambda x, i, t: torch.full_like(x, float(i))


def test_behind_a_guard_the_prediction_is_its_answer_at_the_nearest_step():
    """Steps of a run of 5: timesteps 801, 601, 401, 201, 1."""
    model = _coin_judge.handle()
    assert model.schedule.timesteps(5) == [801, 601, 401, 201, 1]
    guarded, x, embedded = model.with_guard(Late()), model.start([1]), model.embed(["a ring"])
    steps = [float(_soft_words.predicted(guarded, embedded, x, t, 5, 3.0).mean()) for t in (999, 620, 480, 90)]
    assert steps == [0, 1, 2, 4]
    assert torch.equal(_soft_words.predicted(model, embedded, x, 480, 5, 3.0), model.output(x, 480, embedded))


def test_prompts_too_long_are_one_line():
    model = _coin_judge.handle()
    with pytest.raises(BadInput, match="longer"):
        _soft_words.Slots.of(model, [[None] * (_soft_words.room(model) + 1)])
