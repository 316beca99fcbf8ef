"""The negative prompt on random pipelines of both classes."""

from __future__ import annotations

import pytest

from _random_guarded import KINDS, PREDICTIONS, REQUEST, close, guard, handle, outputs, three
from rasura.core.errors import BadInput


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_with_nothing_to_push_away_it_is_plain_guidance(kind, prediction):
    model = handle(kind, prediction)
    for settings in ({"phrase": ""}, {"phrase": "", "weight": 3.0}, {"weight": 0.0}):
        assert close(outputs(guard("negative_prompt", **settings).apply(model, REQUEST)), outputs(model))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_two_forms_of_a_negative_prompt(kind, prediction):
    """By three separate passes; guidance halves swapped (c in the place of n) would fail here."""
    model = handle(kind, prediction)
    u, c, n = three(model)
    two = outputs(guard("negative_prompt").apply(model, REQUEST))
    assert close(two, n + 4 * (c - n)) and not close(two, c + 4 * (n - c))
    assert close(outputs(guard("negative_prompt", weight=1.5).apply(model, REQUEST)), u + 4 * (c - u) - 1.5 * (n - u))


def test_outside_its_window_a_negative_prompt_does_nothing():
    model = handle()
    early = guard("negative_prompt", stop=0.4).apply(model, REQUEST)
    assert not close(outputs(early, i=1), outputs(model, i=1))  # 1/5 < .4
    assert close(outputs(early, i=2), outputs(model, i=2))  # 2/5 is not


@pytest.mark.parametrize("settings", [{"start": 0.6, "stop": 0.5}, {"weight": float("nan")}])
def test_bad_settings_are_refused_in_one_line(settings):
    with pytest.raises(BadInput) as refusal:
        guard("negative_prompt", **settings)
    assert "\n" not in str(refusal.value) and "negative_prompt" in str(refusal.value)
