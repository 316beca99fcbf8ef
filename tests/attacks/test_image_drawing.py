"""Drawing, judging and paying for it: what attacks on text-to-image models share."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import _coin_judge
from rasura.attacks import _drawing
from rasura.core.errors import BadInput
from rasura.core.types import Budget, Request, Sample, Samples
from rasura.observations.generated_images import GeneratedImages

counts = st.integers(0, 3000)


@given(
    counts,
    counts,
    counts,
    st.integers(1, 6),
    st.integers(0, 40),
    st.integers(1, 6),
    st.integers(0, 9),
    st.integers(1, 9),
)
def test_what_is_planned_can_be_paid(steps_b, queries_b, samples_b, n, steps, pictures, checks, a_step):
    """Looks are at most ``checks``, each costing a picture; nothing planned exceeds any part of the budget."""
    budget, once, drawn_once, a_picture = Budget(steps_b, queries_b, samples_b), 7, 2, 20
    costs = {"a_step": a_step if steps else 0, "a_picture": a_picture, "once": once, "drawn_once": drawn_once}
    try:
        plan = _drawing.plan(budget, n, steps=steps, pictures=pictures, checks=checks, **costs)
    except BadInput as refusal:
        assert "budget" in str(refusal) and any((steps_b, queries_b, samples_b))
        return
    assert 1 <= plan.pictures <= pictures and min(1, steps) <= plan.steps <= steps and 0 <= plan.checks <= checks
    drawn = n * (plan.pictures + plan.checks)
    assert not samples_b or drawn + drawn_once <= samples_b
    assert not queries_b or once + drawn * a_picture + n * plan.steps * costs["a_step"] <= queries_b
    assert not steps_b or n * plan.steps <= steps_b


def test_without_a_budget_everything_is_done():
    plan = _drawing.plan(Budget(), 3, steps=10, pictures=4, checks=5, a_step=1, a_picture=40)
    assert plan == _drawing.Plan(10, 4, 5)


def test_pictures_start_from_the_noise_of_the_observation():
    """The same prompt, seed and settings give what GeneratedImages draws, whatever the pass size."""
    model, samples = _coin_judge.handle(), Samples([Sample("0", "a red ring"), Sample("1", "a cat")])
    theirs = GeneratedImages(n=2, steps=2, seed=3).measure(model, samples)
    with torch.no_grad():
        embedded = model.embed(samples.texts)
    ours = _drawing.draw_each(model, embedded, samples, 2, seed=3, steps=2, guidance=4.0)
    assert ours.dtype == np.uint8 and ours.shape == (2, 2, 16, 16, 3)
    assert all(np.array_equal(ours[i], theirs.pictures(i)) for i in range(2))


def test_large_requests_are_drawn_in_parts(monkeypatch):
    model, samples = _coin_judge.handle(), Samples.of(["a red ring", "a cat", "a dog"])
    with torch.no_grad():
        embedded = model.embed(samples.texts)
    whole = _drawing.draw(model, embedded, [1, 2, 3], 2, 4.0)
    monkeypatch.setattr(_drawing, "AT_ONCE", 128)  # two latents of 8 x 8
    parts = _drawing.draw(model, embedded, [1, 2, 3], 2, 4.0)
    assert np.abs(whole.astype(int) - parts.astype(int)).max() <= 1


def test_the_share_a_judge_sees():
    """Two pictures a sample; bytes summing to an even number count."""
    samples = Samples([Sample("0", "x", shows="ring"), Sample("1", "y"), Sample("2", "z")])
    pictures = np.zeros((3, 2, 4, 4, 3), dtype=np.uint8)
    pictures[0, 1, 0, 0, 0] = 1
    request = Request(samples, Samples(), "ring", _coin_judge.CoinJudge())
    assert _drawing.judged(request, samples, pictures).tolist() == [0.5, 1.0, 1.0]
    unnamed = dataclasses.replace(request, concept=None)
    assert np.array_equal(_drawing.judged(unnamed, samples, pictures), [0.5, np.nan, np.nan], equal_nan=True)


def test_no_judge_or_an_unknown_class_is_one_line():
    pictures = np.zeros((1, 1, 4, 4, 3), dtype=np.uint8)
    for samples, judge in ((Samples([Sample("0", "x", shows="ring")]), None), (Samples([Sample("0", "x", shows="hat")]), _coin_judge.CoinJudge())):  # fmt: skip
        with pytest.raises(BadInput) as refusal:
            _drawing.judged(Request(samples, Samples(), "ring", judge), samples, pictures)
        assert "\n" not in str(refusal.value)


def test_rows_through_the_network_are_counted_and_the_hook_is_gone():
    model = _coin_judge.handle()
    embedded = model.embed(["a ring", "a cat"])
    with pytest.raises(RuntimeError), _drawing.counted(model, model) as counter:
        model.sample(embedded, [1, 2], steps=3, guidance=4.0)
        assert counter.rows == 2 * 2 * 3
        raise RuntimeError
    model.output(model.start([1, 2]), 5, embedded)
    assert counter.rows == 12 and not model.unet._forward_pre_hooks


@given(st.integers(2, 40), st.floats(0.01, 0.99), st.integers(0, 9))
def test_halves_are_two_parts_of_everything(n, share, seed):
    shown, held = _drawing.halves(n, share, seed)
    assert shown and held and sorted([*shown, *held]) == list(range(n))
    assert (shown, held) == _drawing.halves(n, share, seed)
