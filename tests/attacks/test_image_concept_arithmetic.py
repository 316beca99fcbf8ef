"""Concept arithmetic: the greedy fit against least squares, and the composition against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import _coin_judge
from rasura.attacks import concept_arithmetic
from rasura.core.errors import BadInput, NeedsRole
from rasura.core.types import Budget, Request, Samples
from rasura.observations.generated_images import picture_seed, to_bytes

Attack = concept_arithmetic.ConceptArithmetic


@given(st.integers(0, 1000), st.integers(1, 5))
def test_with_every_term_the_fit_is_ridge_regression(seed, k):
    rng = np.random.default_rng(seed)
    bank, target = rng.normal(size=(k, 8)), rng.normal(size=8)
    gram = bank @ bank.T
    terms, weights, left = concept_arithmetic.fitted(gram, bank @ target, target @ target, k, 0.1)
    dense = np.linalg.solve(gram + 0.1 * np.diag(gram).mean() * np.eye(k), bank @ target)
    assert np.allclose(weights, dense[terms])
    assert left == pytest.approx(np.sum((target - dense @ bank) ** 2) / (target @ target))


def test_the_first_term_is_the_best_single_prompt():
    terms, weights, _ = concept_arithmetic.fitted(np.diag([1.0, 4.0]), np.array([0.9, 1.0]), 1.0, 1, 0.0)
    assert terms == [0] and weights.tolist() == [0.9]  # explains .81, the other 1/4


def test_a_composition_is_drawn_by_its_formula():
    model, samples = _coin_judge.handle(), Samples.of(["a red ring"])
    attack, bank = Attack(draw_steps=3, terms=2), ["a cat", "a dog", "red"]
    drawn = attack._drawn(model, samples, bank, ([0, 2], np.array([0.5, -1.5])), 1, 0)[0]
    with torch.no_grad():
        x = model.start([picture_seed("a red ring", 0, 0)])
        for t in model.schedule.timesteps(3):
            u, a, b = (model.output(x, t, e) for e in (model.nothing(1), model.embed(["a cat"]), model.embed(["red"])))
            x = model.schedule.move(u + 4 * (0.5 * (a - u) - 1.5 * (b - u)), x, t, model.schedule.before(t, 3))
        expected = to_bytes(model.decode(x))[0]
    assert np.abs(drawn.astype(int) - expected.astype(int)).max() <= 1


def test_the_bank_never_names_or_shows_the_concept(tmp_path):
    request = _coin_judge.request(tmp_path)
    mixed = Request(request.forget, Samples([*request.retain, *request.forget]), "ring", request.judge)
    bank = Attack()._bank(_coin_judge.handle(), mixed, "ring", 0)
    assert bank and not any("ring" in text for text in bank)
    with pytest.raises(BadInput, match="retain"):
        Attack()._bank(_coin_judge.handle(), Request(request.forget, request.forget, "ring"), "ring", 0)


def test_it_needs_the_model_from_before(tmp_path):
    with pytest.raises(NeedsRole, match="before"):
        Attack().attack(_coin_judge.handle(), _coin_judge.request(tmp_path), Budget())
