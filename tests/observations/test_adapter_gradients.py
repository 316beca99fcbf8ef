"""What one batch's LoRA gradient gives away."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Ask, Samples
from rasura.models.causal_lm import CausalLM
from rasura.observations import _row_space
from rasura.observations._engine import Engine
from rasura.observations._token_order import orderings
from rasura.observations.adapter_gradients import AdapterGradients, InCompany

TEXTS = Samples.of(_tiny.texts(4, seed=11))


def measure(model, samples=TEXTS, size=1, **settings):
    what = AdapterGradients(batch_size=size, **settings)
    return Engine().observe(Ask(what, view=InCompany(size)), {"target": model}, samples)


@pytest.fixture(scope="module")
def neox():
    return _tiny.neox(3)


@pytest.mark.parametrize("build", [_tiny.neox, _tiny.llama])
def test_below_the_rank_all_tokens_but_the_last_are_found_and_no_other(build):
    data = measure(build(3), rank=64, beams=1)
    for i in range(len(TEXTS)):
        found, present = set(data.accepted[i].tolist()), set(data.present[i].tolist())
        untraceable = {int(data.true_ids[i][-1])}
        assert found <= present and present - found <= untraceable, "a gradient says nothing of the last token"
        assert data.residual[i].max() < 0.01


def test_the_rows_of_the_gradient_span_the_inputs_of_the_layer(neox):
    """The claim behind it all, against what really went into the layer."""
    seen = []
    module = neox.base.get_submodule(neox.sites("attention.query_key_value")[0].name)
    hook = module.register_forward_hook(lambda m, args, out: seen.append(args[0][0].detach().numpy()))
    with torch.no_grad():
        neox.score(TEXTS.take([0]))
    hook.remove()
    what = AdapterGradients(rank=64)
    rows = _row_space.basis(what._gradient(neox, TEXTS.take([0]), [neox.sites("attention.query_key_value")[0].name]))
    inputs = _row_space.basis(seen[0][:-1].astype(np.float64))
    assert len(rows) == len(inputs)
    np.testing.assert_allclose(rows.T @ rows, inputs.T @ inputs, atol=1e-3)


def test_the_rank_bounds_what_can_be_found(neox):
    recall = []
    for rank in (2, 8, 64):
        data = measure(neox, rank=rank, beams=1)
        assert (data.capacity == rank).all() and (data.rank == np.minimum(data.rank, rank)).all()
        recall.append(np.mean([np.isin(p, a).mean() for a, p in zip(data.accepted, data.present, strict=True)]))
    assert recall[0] < recall[1] < recall[2] and recall[2] > 0.9


def test_larger_batches_need_a_larger_rank(neox):
    one, two = measure(neox, rank=64, beams=1), measure(neox, size=2, rank=64, beams=1)
    assert (two.rows > one.rows).all() and (two.rank > one.rank).all()
    assert two.lengths.shape == (4, 2) and all(len(two.texts(i)) == 2 for i in range(4))


def test_where_positions_are_added_the_order_is_read_off_as_well():
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=512, n_embd=64, n_layer=1, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=0,
        resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
    )  # fmt: skip
    model = CausalLM(GPT2LMHeadModel(config), _tiny.tokenizer())
    data = measure(model, TEXTS.take([0]), rank=64)
    said, true = data.texts(0)[0], data.true_ids[0]
    assert said.tolist() == true[:-1].tolist()


def test_the_callers_model_is_left_as_it_was(neox):
    before = neox.fingerprint
    measure(neox, TEXTS.take([0]), rank=4, beams=1)
    neox.weights_changed()
    assert neox.fingerprint == before and all(p.grad is None for p in neox.module.parameters())


def test_company_is_by_content_and_not_by_order():
    forward = {s.text: [p.text for p in s.partners] for s in InCompany(3).apply(TEXTS)}
    back = {s.text: [p.text for p in s.partners] for s in InCompany(3).apply(Samples(TEXTS[::-1]))}
    assert forward == back and all(len(set(p) | {t}) == 3 for t, p in forward.items())
    digests = {size: InCompany(size).apply(TEXTS).digest for size in (1, 2, 3)}
    assert len(set(digests.values())) == 3
    assert [len(s.partners) for s in InCompany(9).apply(TEXTS.take([0, 1]))] == [1, 1]


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_a_vector_of_the_space_has_no_residual_and_others_have(seed, rank):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(rank, 12))
    space = _row_space.basis(rng.normal(size=(20, rank)) @ rows)
    assert len(space) == rank
    inside, outside = rng.normal(size=(3, rank)) @ rows, rng.normal(size=(3, 12))
    assert _row_space.residuals(inside, space).max() < 1e-8 and _row_space.residuals(outside, space).min() > 1e-3


def test_the_threshold_lets_the_promised_share_of_absent_tokens_pass():
    rng = np.random.default_rng(0)
    candidates = rng.normal(size=(800, 24))
    most = _row_space.threshold(candidates, 10, 0.01)
    fresh = _row_space.basis(rng.normal(size=(10, 24)))
    assert 0.002 <= np.mean(_row_space.residuals(candidates, fresh) <= most) <= 0.03


def test_tokens_are_put_in_the_order_a_model_knows(planted):
    model, sample = planted.models["target"], planted.forget[2]
    ids = model.encode(sample).ids
    found = orderings(model, ids[:1], sorted(set(ids[1:].tolist())), 1, 8)
    assert len(found) == 1 and len(set(found[0].tolist()) & set(ids.tolist())) >= len(set(ids[1:].tolist())) - 1
    assert orderings(model, ids[:1], [], 1, 8) == []


@pytest.mark.parametrize("bad", [{"rank": 0}, {"batch_size": 0}, {"beams": 0}, {"false_accepts": 1.0}])
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(BadInput):
        AdapterGradients(**bad)
