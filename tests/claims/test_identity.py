"""MoPe's identity on a trained tiny model, and the tools it is checked with."""

from __future__ import annotations

import numpy as np
import pytest

from rasura.claims._curvature import (
    all_losses,
    directions,
    in_float64,
    losses,
    moved,
    plain_attention,
    quadratic_form,
    second_differences,
)
from rasura.core.types import Ask
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenStatistics


@pytest.fixture(scope="module")
def model(planted):
    return in_float64(planted.models["target"])


@pytest.fixture(scope="module")
def texts(planted):
    return planted.members.take([0, 20, 30])


def test_second_differences_become_the_hessian_form(model, texts):
    """The ratio is 1 in the limit, and a hundredth of the noise leaves a ten-thousandth of the error."""
    eps = next(directions(model, 1, "normal", seed=0))
    exact = sum(quadratic_form(model, text, eps) for text in texts)
    errors = {s: abs(second_differences(model, texts, eps, s).sum() / exact - 1) for s in (1e-3, 1e-5)}
    assert errors[1e-5] < 1e-5
    assert 0.2 < errors[1e-5] / errors[1e-3] * 1e4 < 5.0


def test_the_form_is_quadratic_in_its_direction(model, texts):
    eps = next(directions(model, 1, "signs", seed=3))
    twice = {name: 2 * e for name, e in eps.items()}
    once = quadratic_form(model, texts[0], eps)
    assert quadratic_form(model, texts[0], twice) == pytest.approx(4 * once, rel=1e-9)


def test_one_direction_alone_gives_one_entry_of_the_hessian(model, texts):
    """Along a single weight the form is that weight's second derivative, here against a central difference of gradients."""
    import torch

    name, index = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight", (3, 5)
    parameters = dict(model.base.named_parameters())
    eps = {n: torch.zeros_like(p) for n, p in parameters.items()}
    eps[name][index] = 1.0

    def slope(by: float) -> float:
        with moved(model, eps, by), plain_attention():
            (gradient,) = torch.autograd.grad(losses(model, texts.take([0])).sum(), [parameters[name]])
        return float(gradient[index])

    assert quadratic_form(model, texts[0], eps) == pytest.approx((slope(1e-4) - slope(-1e-4)) / 2e-4, rel=1e-4)


def test_losses_are_those_of_the_pass(planted, model, texts):
    """The float64 losses agree with the observation's float32 ones."""
    seen = Engine().observe(Ask(TokenStatistics()), {"target": planted.models["target"]}, texts)
    assert np.allclose(all_losses(model, texts), seen.loss, atol=1e-5)


def test_weights_are_put_back(model):
    before = {n: p.detach().clone() for n, p in model.base.named_parameters()}
    with pytest.raises(RuntimeError), moved(model, next(directions(model, 1, "normal", seed=1)), 0.1):
        raise RuntimeError
    assert all((before[n] == p).all() for n, p in model.base.named_parameters())


def test_signs_are_signs_and_seeds_matter(model):
    one, other = directions(model, 2, "signs", seed=0)
    name = next(iter(one))
    assert set(np.unique(one[name].numpy())) == {-1.0, 1.0} and (one[name] != other[name]).any()
    assert (next(directions(model, 1, "signs", seed=0))[name] == one[name]).all()
