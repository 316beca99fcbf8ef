"""Per-sample gradient norms from one pass against a plain loop that trains on one sample at a time."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

import _tiny
from rasura.core.errors import BadInput, NotYetSupported
from rasura.core.store import Store
from rasura.core.types import Ask, Sample, Samples
from rasura.models.causal_lm import CausalLM
from rasura.models.noise import WeightNoise
from rasura.observations import _per_sample_gradients as gradients
from rasura.observations import gradient_norms
from rasura.observations._engine import Engine
from rasura.observations._factored_norms import Factors, inner, squared
from rasura.observations._module_gradients import NotCovered, kind_of
from rasura.observations.gradient_norms import ORDERS, GradientNorms

WORDS = " ".join(_tiny.texts(40, 11)).split()


@cache
def gpt2():
    """Conv1D modules, learned positions given once for the whole batch, tied embeddings."""
    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=512, n_embd=32, n_layer=2, n_head=4, n_positions=128, bos_token_id=0, eos_token_id=0, pad_token_id=1
    )
    return CausalLM(GPT2LMHeadModel(config), _tiny.tokenizer(), name="tiny-gpt2")


@cache
def lora():
    """An adapter over frozen weights: small matrices, one of them 0."""
    from peft import LoraConfig, get_peft_model

    model = _tiny.llama(5)
    config = LoraConfig(
        r=2, target_modules=["q_proj", "down_proj"], init_lora_weights="gaussian", task_type="CAUSAL_LM"
    )
    return CausalLM(get_peft_model(model.module, config), model.tokenizer, name="tiny-lora")


@cache
def offset_norms():
    """Norms that scale by 1 + w, as in Gemma."""

    class OffsetRMSNorm(torch.nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.weight = torch.nn.Parameter(weight.detach() - 0.9)

        def forward(self, x):
            return (1 + self.weight) * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)

    model = _tiny.llama(6)
    for layer in model.module.model.layers:
        layer.input_layernorm = OffsetRMSNorm(layer.input_layernorm.weight)
    return model


@cache
def tied():
    return _tiny.llama(2, tied=True)


MODELS = {
    "neox": cache(_tiny.neox),
    "llama": cache(_tiny.llama),
    "tied llama": tied,
    "gpt2": gpt2,
    "lora": lora,
    "1 + w": offset_norms,
}


def obvious(model, samples):
    """One sample, one forward, one backward, through the model's own loss: (n, groups, 3) and (n, 3)."""
    module, parameters = model.module, dict(model.module.named_parameters())
    rows, inputs, seen = [], [], []

    def keep(_module, _inputs, out):
        out.retain_grad()
        seen.append(out)

    hook = model.base.get_input_embeddings().register_forward_hook(keep)
    with gradients.requires_grad(module, True):
        for sample in samples:
            encoded = model.encode(sample)
            ids = torch.from_numpy(encoded.ids)[None]
            labels = ids.clone()
            labels[0, : encoded.first] = -100
            module.zero_grad()
            module(input_ids=ids, labels=labels).loss.backward()
            rows.append([norms(torch.zeros(1) if p.grad is None else p.grad) for p in parameters.values()])
            inputs.append(norms(seen[-1].grad))
    hook.remove()
    module.zero_grad()
    return np.array(rows), np.array(inputs)


def norms(gradient):
    return [gradient.double().flatten().norm(p).item() for p in (1, 2, float("inf"))]


def assert_same(found, expected):
    """To 1e-5 of the value; a key's bias has gradient 0 up to rounding, so also to 1e-6 of the sample's largest."""
    scale = np.maximum(
        np.abs(expected), 0.1 * np.abs(expected).max(axis=-2, keepdims=True) if expected.ndim == 3 else 0
    )
    np.testing.assert_array_less(np.abs(found - expected), 1e-5 * scale + 1e-12)


records = st.lists(
    st.tuples(st.integers(2, 40), st.integers(0, 500), st.sampled_from([0, 0, 6])), min_size=1, max_size=5
)


def built(shapes):
    """Texts of the given number of words from a given place on; some with a context that is not scored."""
    texts = [" ".join(WORDS[at % 300 : at % 300 + n]) for n, at, _ in shapes]
    return Samples(
        Sample(str(i), t, start=start) for i, (t, (_, _, start)) in enumerate(zip(texts, shapes, strict=True))
    )


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft asks transformers for it
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=5, deadline=None)
@given(shapes=records)
def test_one_pass_is_exactly_one_at_a_time(name, shapes):
    model, samples = MODELS[name](), built(shapes)
    expected, at_input = obvious(model, samples)
    for found in (
        gradients.batched(model, [model.encode(s) for s in samples]),
        gradients.one_at_a_time(model, samples),
    ):
        assert_same(found.parameters.numpy(), expected)
        assert_same(found.inputs.numpy(), at_input)


@cache
def doubled(name):
    """The same model in float64, for the obvious way."""
    model = MODELS[name]()
    return CausalLM(deepcopy(model.module).double(), model.tokenizer)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("way", ["cheaper", "factored"])
@settings(max_examples=5, deadline=None)
@given(shapes=records)
def test_l2_without_forming_a_gradient_is_exact(name, way, shapes):
    """Against one backward a sample in float64; ``factored``: also where forming the gradient would be cheaper."""
    model, samples = MODELS[name](), built(shapes)
    expected, at_input = obvious(doubled(name), samples)
    with pytest.MonkeyPatch.context() as patch:
        if way == "factored":
            patch.setattr(gradients, "pays", lambda *_: True)
        found = gradients.batched(model, [model.encode(s) for s in samples], gradients.Wanted(("2",)))
    assert_same(found.parameters[..., 1:2].numpy(), expected[..., 1:2])
    assert_same(found.inputs.numpy(), at_input)
    assert found.parameters[..., 0].isnan().all() and found.parameters[..., 2].isnan().all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 4), st.integers(1, 6), st.lists(st.booleans(), min_size=1, max_size=3))
def test_factors_join_to_the_norm_of_the_sum(seed, n, rows, kinds):
    """Any mixture of uses of one matrix, some by token ids, against the sum of outer products written out, in float64."""
    draw = torch.Generator().manual_seed(seed)
    parts, whole = [], torch.zeros(n, rows, 3, dtype=torch.float64)
    for k, by_id in enumerate(kinds):
        t = 1 + (seed + k) % 5
        right = torch.randn(n, t, 3, dtype=torch.float64, generator=draw)
        ids = torch.randint(rows, (n, t), generator=draw)
        left = torch.randn(n, t, rows, dtype=torch.float64, generator=draw)
        parts.append(Factors(ids if by_id else left, right))
        dense = torch.nn.functional.one_hot(ids, rows).double() if by_id else left
        whole = whole + torch.einsum("ntr,ntc->nrc", dense, right)
    torch.testing.assert_close(squared(parts), whole.square().sum((1, 2)))
    torch.testing.assert_close(inner(parts[0], parts[-1]), inner(parts[-1], parts[0]))


def test_an_ask_for_l2_alone_forms_no_matrix_of_gradients(monkeypatch):
    """64 columns and 20 tokens: only vectors and the few narrow matrices may be formed."""
    model, formed = MODELS["neox"](), []
    plain = gradients.gradient_of
    monkeypatch.setattr(
        gradients, "gradient_of", lambda m, name, x, g: formed.append(p(m, name)) or plain(m, name, x, g)
    )

    def p(module, name):
        return getattr(module, name).dim()

    found = GradientNorms(("2",)).measure(model, built([(5, 0, 0), (9, 3, 0)]))
    assert set(formed) == {1}
    assert found.l1.lengths.tolist() == found.linf.lengths.tolist() == [0, 0] and found.l2.lengths.min() > 0
    np.testing.assert_allclose(
        found.l2.values, GradientNorms().measure(model, built([(5, 0, 0), (9, 3, 0)])).l2.values, rtol=1e-4, atol=1e-6
    )
    assert 2 in formed


def test_orders_that_were_not_measured_are_refused():
    data = GradientNorms(("2",)).measure(MODELS["neox"](), Samples([Sample("0", ""), *built([(9, 3, 0)])]))
    assert data.of_parameters("2").lengths.min() == 0 and np.isfinite(data.at_embedding("1")[1])
    for ask in (lambda: data.of_parameters("1"), data.by_tensor):
        with pytest.raises(BadInput, match="order 1 were not measured"):
            ask()
    with pytest.raises(BadInput, match="orders are"):
        GradientNorms(("1",))


@pytest.mark.parametrize("name", ["neox", "tied llama"])
def test_blocks_of_any_size_give_the_same(name, monkeypatch):
    model, samples = MODELS[name](), built([(n, 7 * n, 0) for n in range(3, 12)])
    encoded = [model.encode(s) for s in samples]
    whole = gradients.batched(model, encoded)
    monkeypatch.setitem(gradients.BLOCK, "cpu", 1)
    monkeypatch.setitem(gradients.LOGITS, "cpu", 1)
    single = gradients.batched(model, encoded)
    torch.testing.assert_close(single.parameters, whole.parameters, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(single.inputs, whole.inputs)
    alone = gradients.batched(model, encoded, gradients.Wanted(("2",)))
    torch.testing.assert_close(alone.parameters[..., 1], whole.parameters[..., 1], rtol=1e-4, atol=1e-6)


def test_a_batch_in_parts_keeps_its_order(monkeypatch):
    model = MODELS["neox"]()
    samples = Samples([Sample("none", ""), *built([(n, 7 * n, 0) for n in (9, 3, 12, 3, 7)])])
    whole = GradientNorms().measure(model, samples)
    monkeypatch.setattr(gradient_norms, "CPU_TOKENS", 40)
    encoded = [model.encode(s) for s in samples]
    parts = gradient_norms._parts(encoded, [1, 2, 3, 4, 5], "cpu")
    assert len(parts) > 1 and sorted(i for part in parts for i in part) == [1, 2, 3, 4, 5]
    assert all(len(part) == 1 or len(part) * max(len(encoded[i].ids) for i in part) <= 40 for part in parts)
    found = GradientNorms().measure(model, samples)
    assert found.reason.tolist() == whole.reason.tolist() and found.tokens.tolist() == whole.tokens.tolist()
    np.testing.assert_allclose(found.l2.values, whole.l2.values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.input_l1, whole.input_l1, rtol=1e-4)


def test_the_callers_model_keeps_its_flags_and_gradients():
    model = _tiny.llama()
    parameters = list(model.module.parameters())
    for i, p in enumerate(parameters):
        p.requires_grad_(i % 2 == 0)
        p.grad = torch.full_like(p, float(i)) if i % 3 == 0 and i % 2 == 0 else None
    before = [(p.requires_grad, p.grad, None if p.grad is None else p.grad.clone()) for p in parameters]
    GradientNorms().measure(model, built([(5, 0, 0), (9, 3, 0)]))
    gradients.one_at_a_time(model, built([(5, 0, 0)]))
    for p, (flag, grad, copy) in zip(parameters, before, strict=True):
        assert p.requires_grad is flag and p.grad is grad and (grad is None or torch.equal(grad, copy))
    assert not any(
        m._forward_hooks or m._backward_hooks for m in model.module.modules() if m is not model.module.model.layers
    )


def test_flags_and_hooks_are_restored_when_the_pass_fails(monkeypatch):
    model = _tiny.neox()
    next(model.module.parameters()).requires_grad_(False)
    flags = [p.requires_grad for p in model.module.parameters()]

    def fail(*_):
        raise RuntimeError("deliberate")

    monkeypatch.setattr(model.module.gpt_neox.layers[1].mlp, "forward", fail)
    with pytest.raises(RuntimeError, match="deliberate"):
        GradientNorms().measure(model, built([(5, 0, 0)]))
    assert [p.requires_grad for p in model.module.parameters()] == flags
    assert not any(m._forward_hooks for m in model.module.modules() if isinstance(m, torch.nn.Linear))


class Odd(torch.nn.Module):
    """A module of no known kind: its parameter scales what passes."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.scale = inner, torch.nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        return self.inner(x) * self.scale


class Scaled(torch.nn.Embedding):
    """Known by its base, but with a forward of its own."""

    def forward(self, ids):
        return super().forward(ids) * 3.0


def swapped_mlp(model):
    model.module.model.layers[0].mlp = Odd(model.module.model.layers[0].mlp)


def own_embedding(model):
    model.module.model.embed_tokens = Scaled.from_pretrained(model.module.model.embed_tokens.weight.data, freeze=False)


def behind_the_back(model):
    """A weight that is read without its module being called."""
    gate = model.module.model.layers[1].mlp.gate_proj
    gate_forward = model.module.model.layers[1].mlp
    gate_forward.forward = lambda x: gate_forward.down_proj(
        torch.nn.functional.silu(torch.nn.functional.linear(x, gate.weight)) * gate_forward.up_proj(x)
    )


def flattened(model):
    """A module that is given (batch * position, width) rows, as experts are."""
    mlp = model.module.model.layers[1].mlp
    plain = type(mlp).forward
    mlp.forward = lambda x: plain(mlp, x.flatten(0, 1)).view_as(x)


@pytest.mark.parametrize("change", [swapped_mlp, own_embedding, behind_the_back, flattened])
def test_what_no_rule_covers_goes_one_at_a_time_and_stays_exact(change):
    model = _tiny.llama(4)
    change(model)
    samples = built([(5, 0, 0), (9, 3, 0), (20, 5, 6)])
    with pytest.raises(NotCovered):
        gradients.batched(model, [model.encode(s) for s in samples])
    data = GradientNorms().measure(model, samples)
    expected, at_input = obvious(model, samples)
    assert_same(np.stack([np.stack(list(r)) for r in (data.l1, data.l2, data.linf)], -1), expected)
    assert_same(np.stack([data.input_l1, data.input_l2, data.input_linf], -1), at_input)


def test_a_module_used_twice_counts_as_one_parameter():
    """Both decoder layers share one up projection: its gradient is the sum over both uses."""
    model = _tiny.llama(7)
    layers = model.module.model.layers
    layers[1].mlp.up_proj = layers[0].mlp.up_proj
    samples = built([(5, 0, 0), (12, 3, 0)])
    found = gradients.batched(model, [model.encode(s) for s in samples])
    expected, _ = obvious(model, samples)
    assert_same(found.parameters.numpy(), expected)


def test_groups_join_to_the_norm_of_the_concatenation():
    model, samples = MODELS["llama"](), built([(9, 3, 0), (20, 5, 0)])
    data = GradientNorms().measure(model, samples)
    names = data.groups[0].split("\n")
    assert names == [n for n, _ in model.module.named_parameters()]
    assert data.of_parameters("2").lengths.tolist() == [len(names)] * 2
    downs = [i for i, n in enumerate(names) if n.endswith("mlp.down_proj.weight")]
    assert data.of_parameters("1", "mlp.down_proj.weight")[1].tolist() == data.l1[1][downs].tolist() and len(downs) == 2
    assert data.of_parameters("inf", names[3])[0].tolist() == [data.linf[0][3]]
    with pytest.raises(BadInput, match="no parameter tensor is called 'proj.weight'"):
        data.of_parameters("2", "proj.weight")


def test_unscorable_rows_survive_the_store(tmp_path):
    batch = Samples([Sample("empty", ""), *built([(9, 3, 0), (20, 5, 0), (4, 8, 0)])])
    engine = Engine(store=Store(tmp_path), shard=2)
    first = engine.observe(Ask(GradientNorms()), {"target": MODELS["neox"]()}, batch)
    again = engine.observe(Ask(GradientNorms()), {"target": MODELS["neox"]()}, batch)
    assert engine.passes[-1].computed == 0
    for data in (first, again):
        assert data.reason.tolist() == ["no token to score", "", "", ""]
        assert data.l2.lengths[0] == 0 and data.l2.lengths[1:].min() > 0
        assert np.isnan(data.at_embedding("2")).tolist() == [True, False, False, False]
        assert data.tokens[0] == 0
    assert first.l1.values.tolist() == again.l1.values.tolist() and first.groups.tolist() == again.groups.tolist()
    nothing = GradientNorms().blank("", 0)
    assert [len(nothing.of_parameters(order, "any")) for order in ORDERS] == [0, 0, 0]


def test_only_unscorable_records():
    data = GradientNorms().measure(MODELS["neox"](), Samples([Sample("0", ""), Sample("1", "")]))
    assert data.reason.tolist() == ["no token to score"] * 2


def test_a_broken_model_is_named_and_does_not_crash():
    model = _tiny.neox()
    samples = built([(5, 0, 0), (9, 3, 0)])
    model.score(samples)
    with torch.no_grad():
        model.module.gpt_neox.layers[0].mlp.dense_h_to_4h.weight.fill_(float("nan"))
    data = GradientNorms().measure(model, samples)
    assert data.reason.tolist() == ["the model's gradient is not finite"] * 2 and np.isnan(data.input_l2).all()


def test_noise_on_the_weights_is_refused():
    model = _tiny.neox()
    with model.perturbed(WeightNoise(0.01)), pytest.raises(NotYetSupported, match="noise"):
        GradientNorms().measure(model, built([(5, 0, 0)]))


def test_an_embedding_row_that_never_moves():
    """``padding_idx`` holds its row still, and padding is no such token by itself."""
    module = torch.nn.Embedding(4, 2, padding_idx=1)
    g = torch.ones(1, 3, 2)
    formed = kind_of(module)["weight"](module, torch.tensor([[1, 2, 2]]), g)
    assert formed.tolist() == [[[0, 0], [0, 0], [2, 2], [0, 0]]]
