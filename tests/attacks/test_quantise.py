"""Round-to-nearest: levels, groups, which layers, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

import _tiny
from rasura.attacks._observe import observed, recovered
from rasura.attacks.quantise import Quantise, rounded
from rasura.core.errors import BadInput
from rasura.core.types import Budget, Request, Samples
from rasura.models.causal_lm import CausalLM

FORGET = Samples.of(_tiny.texts(3, seed=7))
ASKED = Request(FORGET, Samples())


def obvious(weight: np.ndarray, bits: int, group: int) -> np.ndarray:
    """One scale after the other, with loops."""
    out = np.zeros_like(weight)
    top = 2 ** (bits - 1) - 1
    size = group or weight.shape[1]
    for row in range(weight.shape[0]):
        for start in range(0, weight.shape[1], size):
            part = weight[row, start : start + size]
            scale = np.abs(part).max() / np.float32(top)
            if scale > 0:
                out[row, start : start + size] = np.clip(np.round(part / scale), -top, top) * scale
    return out


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(2, 8), st.integers(0, 4), st.integers(0, 99))
def test_agrees_with_loops(outputs, inputs, bits, group, seed):
    weight = np.random.default_rng(seed).normal(size=(outputs, inputs)).astype(np.float32)
    weight[0] = 0.0  # a channel of zeros has no scale
    codes, values = rounded(torch.from_numpy(weight), bits, group)
    assert values.numpy() == pytest.approx(obvious(weight, bits, group), abs=1e-6)
    assert int(codes.abs().max()) <= 2 ** (bits - 1) - 1


def test_no_value_moves_more_than_half_a_level():
    weight = torch.randn(8, 33, generator=torch.Generator().manual_seed(0))
    _, values = rounded(weight, 4)
    half = weight.abs().amax(1, keepdim=True) / 7 / 2
    assert ((values - weight).abs() <= half * 1.0001).all()


@pytest.mark.parametrize("build", [_tiny.neox, _tiny.llama])
def test_linear_layers_are_rounded_and_nothing_else(build):
    """Compared by hand with a copy: 2^4 - 1 levels in every linear weight, all other parameters bit for bit."""
    model, copy = build(), build()
    Quantise()._round(copy, None, 4)
    head = copy.base.get_output_embeddings().weight
    linear = {
        f"{n}.weight" for n, m in copy.base.named_modules() if isinstance(m, torch.nn.Linear) and m.weight is not head
    }
    assert len(linear) >= 8
    for (name, old), new in zip(model.base.named_parameters(), copy.base.parameters(), strict=True):
        if name in linear:
            assert max(len(row.unique()) for row in new) <= 15 and not torch.equal(old, new), name
        else:
            assert torch.equal(old, new), name


def test_layers_stored_the_other_way_round_have_one_scale_an_output():
    """GPT-2 keeps weights as (in, out): each column then has its own scale."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=512, n_embd=32, n_layer=1, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=0)
    model = CausalLM(GPT2LMHeadModel(config), _tiny.tokenizer())
    copy = model.clone()
    Quantise()._round(copy, None, 4)
    for old, new in ((m.base.transformer.h[0].mlp.c_fc.weight for m in pair) for pair in [(model, copy)]):
        assert torch.equal(new.T, rounded(old.T, 4)[1])


def test_eight_bits_keep_what_is_memorised(planted):
    request = Request(planted.forget, Samples())
    plain = recovered(observed(planted.models["target"], planted.forget))
    found = Quantise(bits=(8,)).attack(planted.models["target"], request, Budget())
    assert np.mean(plain) >= 0.5 and np.sum(found.score != plain) <= 1
    coarse = Quantise(bits=(2,)).attack(planted.models["target"], request, Budget())
    assert np.mean(coarse.score) < np.mean(found.score)


def test_codes_are_compared_with_the_model_before():
    """Weights moved by far less than a level round to almost the same codes; another model's do not."""
    model = _tiny.neox(1)
    nudged = model.clone()
    with torch.no_grad():
        for p in nudged.module.parameters():
            p.mul_(1 + 1e-4)  # every scale moves with its weights: codes stay
    lines = Quantise().attack(nudged, ASKED, Budget(), before=model).evidence
    other = Quantise().attack(_tiny.neox(2), ASKED, Budget(), before=model).evidence
    share = [float(next(line for line in e if "codes" in line).split(" %")[0]) for e in (lines, other)]
    assert share[0] > 99.9 and share[1] < 50


@pytest.mark.parametrize("settings", [{"bits": (1,)}, {"bits": (16, 4)}, {"bits": ()}, {"group": -1}])
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(BadInput, match="quantise"):
        Quantise(**settings)
