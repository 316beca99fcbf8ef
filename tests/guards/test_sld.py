"""Safe latent diffusion on random pipelines of both classes, against its formula written out."""

from __future__ import annotations

import pytest
import torch

from _random_guarded import KINDS, PREDICTIONS, PROMPTS, REQUEST, close, guard, handle, outputs
from rasura.core.errors import BadInput


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_with_nothing_to_push_away_it_is_plain_guidance(kind, prediction):
    model = handle(kind, prediction)
    off = guard("sld", scale=0.0, momentum=0.0, warm_up=0.0)
    assert close(outputs(off.apply(model, REQUEST)), outputs(model))


@pytest.mark.parametrize("kind", KINDS)
def test_sld_by_the_formula_written_out_in_noise(kind):
    """Two steps of v prediction, converted to noise first, against the guard, which stays in outputs."""
    model, steps = handle(kind, "v_prediction"), 10
    guarded = guard("sld", warm_up=0.0, scale=50.0, threshold=0.01, momentum=0.5, decay=0.7).apply(model, REQUEST)
    nu, embedded = 0.0, model.embed(PROMPTS)
    with torch.no_grad():
        steer = guarded.steer(embedded, 4.0, steps)
        for i, t in enumerate(model.schedule.timesteps(steps)[:2]):
            x = model.start([i + 5, i + 6])
            u, c, s = (model.noise(x, t, text) for text in (model.nothing(2), embedded, model.embed(["ring"] * 2)))
            mu = torch.where(c - s >= 0.01, torch.zeros_like(x), (50.0 * (c - s).abs()).clamp(max=1))
            gamma = mu * (s - u) + 0.5 * nu
            nu = 0.7 * nu + 0.3 * gamma
            got = model.schedule.noise_of(steer(x, i, t), x, t)
            assert torch.allclose(got, u + 4 * (c - u - gamma), atol=1e-4)
            assert not torch.allclose(got, u + 4 * (c - u), atol=1e-3)


def test_the_warm_up_counts_steps_of_a_run_of_50():
    """Warm-up 10 is step 4 of 20, whatever the timestep's number; before it plain guidance, momentum running."""
    model = handle()
    guarded = guard("sld", preset="medium").apply(model, REQUEST)
    assert close(outputs(guarded, i=3, steps=20), outputs(model, i=3, steps=20))
    assert not close(outputs(guarded, i=4, steps=20), outputs(model, i=4, steps=20))
    steer, alone = (guarded.steer(guarded.embed(PROMPTS), 4.0, 20) for _ in range(2))
    with torch.no_grad():
        x = model.start([1, 2])
        times = model.schedule.timesteps(20)
        for i in range(4):
            steer(x, i, times[i])
        assert not close(steer(x, 4, times[4]), alone(x, 4, times[4]))  # momentum came from the warm-up


def test_presets_are_the_authors_and_settings_override_them():
    strong = guard("sld", preset="strong", scale=1.0).resolved()
    assert (strong.warm_up, strong.scale, strong.threshold, strong.momentum, strong.decay) == (7, 1.0, 0.025, 0.5, 0.7)
    weak = guard("sld", preset="weak").resolved()
    assert (weak.warm_up, weak.scale, weak.threshold, weak.momentum, weak.decay) == (15, 200, 0, 0, 0)


def test_what_is_in_force_is_written_out():
    """The fingerprint reads repr: two presets, two fingerprints; all five numbers of one in it."""
    model = handle()
    a, b = (guard("sld", preset=p).apply(model, REQUEST) for p in ("weak", "max"))
    assert a.fingerprint != b.fingerprint != model.fingerprint
    assert "5000.0" in repr(b.guards[0]) and "None" not in repr(b.guards[0]) and "'ring'" in repr(b.guards[0])


@pytest.mark.parametrize("settings", [{"preset": "mild"}, {"decay": 1.0}, {"warm_up": -1.0}])
def test_bad_settings_are_refused_in_one_line(settings):
    with pytest.raises(BadInput) as refusal:
        guard("sld", **settings)
    assert "\n" not in str(refusal.value) and "sld" in str(refusal.value)
