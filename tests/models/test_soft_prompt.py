"""A soft prompt made of token embeddings is those tokens: scoring and generating agree with the plain model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from _tiny import llama, neox, texts
from rasura.core.errors import BadInput
from rasura.core.types import Samples
from rasura.models.causal_lm import Encoded
from rasura.models.soft_prompt import SoftPrompted, embedding, first_rows
from rasura.observations._continue import Draw, continuations
from rasura.observations._sampler import Sampler

FRONT = np.array([7, 41, 99])
MODELS = [pytest.param(lambda: neox(1), id="neox"), pytest.param(lambda: llama(1), id="llama")]


@pytest.mark.parametrize("make", MODELS)
def test_vectors_of_tokens_score_as_those_tokens_do(make):
    model = make()
    soft = SoftPrompted(model, embedding(model).weight[FRONT].detach())
    encoded = [model.encode(s) for s in Samples.of(texts(3, seed=8))]
    longer = [Encoded(np.concatenate([FRONT, e.ids]), e.first + 3, e.cut + 3, "") for e in encoded]
    with torch.no_grad():
        ours = torch.cat([logits for _, _, logits in soft.scored_logits(encoded)])
        plain = torch.cat([logits for _, _, logits in model.scored_logits(longer)])
    assert torch.allclose(ours, plain, atol=1e-4)


@pytest.mark.parametrize("make", MODELS)
def test_and_generate_as_those_tokens_do(make):
    """Prompts of different lengths side by side, with kept keys and values."""
    model = make()
    soft = SoftPrompted(model, embedding(model).weight[FRONT].detach())
    uniforms = np.random.default_rng(0).random((3, 6))
    prompts = [np.array(p) for p in ([5, 6, 7, 8], [9], [11, 12])]
    said = continuations(soft, [Draw(p, 6, u) for p, u in zip(prompts, uniforms, strict=True)], Sampler())
    plain = continuations(
        model, [Draw(np.concatenate([FRONT, p]), 6, u) for p, u in zip(prompts, uniforms, strict=True)], Sampler()
    )
    assert [s.ids.tolist() for s in said] == [s.ids.tolist() for s in plain]


def test_the_model_underneath_stays_as_it_was():
    model = neox(1)
    before, samples = model.fingerprint, Samples.of(texts(2, seed=8))
    vectors = torch.nn.Parameter(first_rows(model, 4))
    soft = SoftPrompted(model, vectors)
    (gradient,) = torch.autograd.grad(soft.score(samples).token_mean(), [vectors])
    assert gradient.abs().sum() > 0 and all(p.grad is None for p in model.module.parameters())
    assert model.fingerprint == before != soft.fingerprint
    assert soft.fingerprint != SoftPrompted(model, vectors + 1).fingerprint
    assert soft.context == model.context - 4


def test_prompts_that_do_not_fit_are_refused():
    model = neox(1)
    with pytest.raises(BadInput, match="64 entries"):
        SoftPrompted(model, torch.zeros(2, 3))
    for count in (0, 127):
        with pytest.raises(BadInput, match="soft prompt"):
            first_rows(model, count)
