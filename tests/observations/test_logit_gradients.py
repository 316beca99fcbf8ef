"""The output matrix's gradient from logits alone, against the model's own weights and its own backward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import _tiny
from rasura.core.errors import BadInput
from rasura.core.store import Store
from rasura.core.types import Ask, Sample, Samples
from rasura.observations._engine import Engine
from rasura.observations.logit_gradients import LogitGradients, gradient_of, hidden_from_logits

MODELS = {"neox": _tiny.neox(), "llama": _tiny.llama()}
SAMPLES = Samples.of(_tiny.texts(4, 12))


WIDTH = {
    "neox": 63,
    "llama": 64,
}  # an untrained LayerNorm has no offset: its outputs sum to 0 and fill one dimension less


@pytest.mark.parametrize("name", MODELS)
def test_the_width_is_seen_and_logits_lie_in_the_image(name):
    observation, model = LogitGradients(queries=512), MODELS[name]
    logits = observation._collected(model).double()
    recover = hidden_from_logits(logits).double()
    assert recover.shape == (512, WIDTH[name])
    hidden = logits @ recover
    np.testing.assert_allclose(hidden.square().mean(0), 1.0, rtol=1e-2)  # unit size over the queries
    back = torch.linalg.lstsq(hidden, logits).solution
    assert float((hidden @ back - logits).norm() / logits.norm()) < 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_is_the_models_own_but_for_one_matrix(name):
    """Logits h W^T give hidden states h W^T R, so G = G_own W^T R, with the gradient of a backward pass."""
    model = MODELS[name]
    recover = LogitGradients(queries=512)._image(model).double()
    head = model.base.get_output_embeddings().weight
    change = head.detach().double().T @ recover
    for sample in SAMPLES:
        own = torch.autograd.grad(-model.score(Samples([sample])).token_mean(), head)[0].double()
        with torch.no_grad():
            _, target, logits = next(iter(model.scored_logits([model.encode(sample)])))
        ours = gradient_of(logits.double(), target, logits.double() @ recover).double()
        assert float((own @ change - ours).norm() / ours.norm()) < 1e-3


def test_norms_and_projections_are_of_that_gradient():
    model, observation = MODELS["neox"], LogitGradients(queries=512, k=4)
    data, recover = observation.measure(model, SAMPLES), observation._image(model)
    with torch.no_grad():
        _, target, logits = next(iter(model.scored_logits([model.encode(SAMPLES[1])])))
    g = gradient_of(logits, target, logits @ recover).double().flatten()
    assert data.norms[1].tolist() == pytest.approx([float(g.norm(p)) for p in (1, 2, float("inf"))], rel=1e-4)
    assert data.matrix().shape == (4, 3 + 4)


def test_too_few_queries_are_named():
    with pytest.raises(BadInput, match="ask more queries"):
        LogitGradients(queries=48).measure(MODELS["neox"], SAMPLES)
    assert LogitGradients(queries=48, dimension=32).measure(MODELS["neox"], SAMPLES).reason.tolist() == [""] * 4
    with pytest.raises(BadInput, match="queries"):
        LogitGradients(queries=3)


def test_unscorable_rows_survive_the_store(tmp_path):
    engine, batch = Engine(store=Store(tmp_path), shard=2), Samples([Sample("empty", ""), *SAMPLES])
    first, again = (
        engine.observe(Ask(LogitGradients(queries=256, k=4)), {"target": MODELS["llama"]}, batch) for _ in range(2)
    )
    assert engine.passes[-1].computed == 0 and first.reason.tolist() == ["no token to score", "", "", "", ""]
    assert np.isnan(first.matrix()[0]).all() and first.matrix()[1:].tolist() == again.matrix()[1:].tolist()
