"""Norms by layer and projections from one batched pass, against a backward pass a sample and the plain formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import _tiny
from rasura.core.errors import BadInput
from rasura.core.store import Store
from rasura.core.types import Ask, Sample, Samples
from rasura.observations import _per_sample_gradients as gradients
from rasura.observations._engine import Engine
from rasura.observations.gradient_norms import GradientNorms, layers_of
from rasura.observations.gradient_projections import GradientProjections, TwoSided

WORDS = " ".join(_tiny.texts(40, 11)).split()
MODELS = {"neox": _tiny.neox(), "tied llama": _tiny.llama(2, tied=True)}


def samples_of(shapes):
    return Samples(Sample(str(i), " ".join(WORDS[at : at + n])) for i, (n, at) in enumerate(shapes))


def obvious(model, samples, k, seed):
    """One backward a sample, every gradient whole: norms by layer (n, layers, 3) and projections by tensor (n, groups * k)."""
    parameters, norms, projected = dict(model.module.named_parameters()), [], []
    project = TwoSided(k, seed)
    for i in range(len(samples)):
        with gradients.requires_grad(model.module, True):
            loss = -model.score(samples.take([i])).token_mean()
            found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        whole = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters.values(), found, strict=True)]
        layers = layers_of(list(parameters))
        joined = [
            torch.cat([g.flatten() for g, own in zip(whole, layers, strict=True) if own == layer]).double()
            for layer in dict.fromkeys(layers)
        ]
        norms.append([[float(v.norm(p)) for p in (1, 2, float("inf"))] for v in joined])
        rows = []
        for name, g in zip(parameters, whole, strict=True):
            if g.dim() == 1:
                rows.append(g @ project.signs(name, "right", len(g), k))
            else:
                a = project.signs(name, "left", g.shape[0], 2)
                rows.append((a.T @ g @ project.signs(name, "right", g.shape[1], k // 2)).flatten())
        projected.append(torch.cat(rows))
    return np.array(norms), torch.stack(projected).numpy()


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=4)
@given(shapes=st.lists(st.tuples(st.integers(3, 40), st.integers(0, 200)), min_size=1, max_size=4))
def test_one_pass_is_what_a_backward_a_sample_gives(name, shapes):
    model, samples = MODELS[name], samples_of(shapes)
    data = GradientProjections(k=4, seed=3).measure(model, samples)
    norms, projected = obvious(model, samples, 4, 3)
    np.testing.assert_allclose(data.by_layer(), norms, rtol=2e-5)
    np.testing.assert_allclose(data.projections_by_tensor(), projected, rtol=1e-3, atol=2e-5 * np.abs(projected).max())
    slow = gradients.one_at_a_time(model, samples, gradients.Wanted(projection=TwoSided(4, 3)))
    np.testing.assert_allclose(slow.projections.flatten(1), projected, rtol=1e-3, atol=2e-5 * np.abs(projected).max())


def test_the_norms_are_those_without_projections():
    model, samples = MODELS["neox"], samples_of([(9, 3), (20, 5)])
    plain, both = GradientNorms().measure(model, samples), GradientProjections().measure(model, samples)
    assert plain.l1.values.tolist() == both.l1.values.tolist() and plain.input_l2.tolist() == both.input_l2.tolist()
    total = np.sqrt((both.by_layer()[..., 1] ** 2).sum(1))
    np.testing.assert_allclose(total, [np.linalg.norm(row.astype(float)) for row in plain.l2], rtol=1e-6)
    assert both.by_layer().shape == (2, 5, 3) and both.projections_by_layer().shape == (2, 5 * 16)


def test_a_projection_keeps_inner_products_on_average():
    rng = np.random.default_rng(0)
    g = torch.from_numpy(rng.normal(size=(2, 6, 5)).astype(np.float32))
    found = [(p[0] @ p[1]).item() for seed in range(4000) for p in [TwoSided(64, seed)("w", g)]]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - float((g[0] * g[1]).sum())) < 4 * error


def test_unscorable_rows_survive_the_store(tmp_path):
    batch = Samples([Sample("empty", ""), *samples_of([(9, 3), (20, 5), (4, 8)])])
    engine = Engine(store=Store(tmp_path), shard=2)
    first, again = (engine.observe(Ask(GradientProjections(k=4)), {"target": MODELS["neox"]}, batch) for _ in range(2))
    assert engine.passes[-1].computed == 0
    for data in (first, again):
        assert np.isnan(data.projections_by_layer()[0]).all() and np.isfinite(data.projections_by_layer()[1:]).all()
        assert np.isnan(data.by_layer()[0]).all() and np.isfinite(data.by_layer()[1:]).all()
    assert first.projected.values.tolist() == again.projected.values.tolist()
    nothing = GradientProjections().blank("out of memory", 2)
    assert nothing.projections_by_layer().shape == (2, 0) and nothing.by_layer().shape == (2, 0, 3)


@pytest.mark.parametrize("k", [0, 65])
def test_too_many_projections_are_refused(k):
    with pytest.raises(BadInput, match="between 1 and 64"):
        GradientProjections(k=k)
