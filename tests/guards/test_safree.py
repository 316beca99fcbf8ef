"""SAFREE on random pipelines of both classes, against numpy."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _random_guarded import KINDS, PREDICTIONS, PROMPTS, REQUEST, close, guard, handle, outputs
from rasura.core.errors import BadInput
from rasura.core.types import Request, Samples


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_with_nothing_to_push_away_it_is_plain_guidance(kind, prediction):
    model = handle(kind, prediction)
    assert close(outputs(guard("safree", longest=0.0).apply(model, REQUEST)), outputs(model))
    assert close(outputs(guard("safree", middle=1e6).apply(model, REQUEST)), outputs(model))


@pytest.mark.parametrize("kind", KINDS)
def test_safree_by_numpy(kind):
    """Triggers, projection and beta of one prompt from the encoder's answers and numpy's own least squares."""
    model = handle(kind)
    reading = guard("safree", phrases=("ring",))._read(model, ["a red ring"])[0]
    words, mask = model.tokens("a red ring"), model.tokenizers[0].get_vocab()["!"]
    rows = []
    for i in words.words:
        ids = torch.tensor([words.ids])
        ids[0, i] = mask
        with torch.no_grad():
            rows.append(model.encode_ids([ids] * len(model.tokenizers)).hidden[0, words.end].double().numpy())
    pooled = np.stack(rows)
    phrase = model.embed(["ring"]).hidden[0, 2].detach().double().numpy()
    off = np.eye(len(phrase)) - np.outer(phrase, phrase) / (phrase @ phrase)
    distances = np.linalg.norm(pooled @ off, axis=1)
    expected = tuple(i for i in range(3) if distances[i] >= 1.01 * np.delete(distances, i).mean())
    assert reading.triggers == expected
    own = model.embed(["a red ring"]).hidden[0].detach().double().numpy()
    basis = np.linalg.qr(pooled.T)[0]
    moved = own[1:4] @ basis @ basis.T @ off
    cosines = [m @ e / np.linalg.norm(m) / np.linalg.norm(e) for m, e in zip(moved, own[1:4], strict=True)]
    assert reading.beta == pytest.approx(1 - np.mean(cosines), abs=1e-4)
    hidden = own.copy()
    for i in expected:
        hidden[i + 1] = moved[i]
    assert np.allclose(reading.hidden.numpy(), hidden, atol=1e-4)


def test_safree_softens_for_so_many_steps_and_never_the_unconditional_branch():
    model = handle()
    guarded = guard("safree", phrases=("ring",), middle=-1e6, longest=20.0).apply(model, REQUEST)  # t' = 20 of 50
    assert not close(outputs(guarded, i=1, steps=5), outputs(model, i=1, steps=5))
    assert close(outputs(guarded, i=2, steps=5), outputs(model, i=2, steps=5))
    nothing = model.nothing(2)
    with torch.no_grad():
        x, t = model.start([1, 2]), model.schedule.timesteps(5)[0]
        u = model.output(x, t, nothing)
        blind = guarded.steer(guarded.embed(["", ""]), 0.0, 5)(x, 0, t)
    assert close(blind, u)


def test_calibrated_safree_lets_benign_prompts_pass():
    model = handle()
    inside = guard("safree", middle=None).apply(model, REQUEST).guards[0]
    betas = [r.beta for r in inside._read(model, REQUEST.retain.texts)]
    assert max(inside.softened(b, 50) for b in betas) <= 1
    assert max(dataclasses.replace(inside, middle=inside.middle - 0.3).softened(b, 50) for b in betas) > 1


@given(st.floats(0, 1), st.floats(0.5, 4), st.floats(-5, 12))
def test_the_filter_length_is_the_logistic_function(beta, k, m):
    ours = guard("safree", sharpness=k, middle=m).softened(beta, 50)
    exponent = np.clip(-2 * k * (10 * beta - m), -700, 700)
    assert ours == pytest.approx(10 / (1 + math.exp(exponent)), abs=0.5 + 1e-9)


def test_soft_words_are_not_read():
    """An embedding behind which no prompt is known has no words to mask: plain guidance."""
    model = handle()
    guarded = guard("safree", middle=-1e6).apply(model, REQUEST)
    nameless = dataclasses.replace(model.embed(PROMPTS), prompts=("", ""))
    with torch.no_grad():
        x, t = model.start([1, 2]), 500
        assert torch.equal(guarded.steer(nameless, 4.0, 5)(x, 0, t), model.steer(nameless, 4.0, 5)(x, 0, t))


def test_safree_without_benign_prompts_cannot_be_calibrated():
    with pytest.raises(BadInput, match="retain"):
        guard("safree", middle=None).apply(handle(), Request(REQUEST.forget, Samples(), "ring"))


@pytest.mark.parametrize("settings", [{"alpha": -0.1}, {"longest": 51.0}])
def test_bad_settings_are_refused_in_one_line(settings):
    with pytest.raises(BadInput) as refusal:
        guard("safree", **settings)
    assert "\n" not in str(refusal.value) and "safree" in str(refusal.value)
