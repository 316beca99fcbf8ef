"""Continuations: the same as transformers' own when greedy, the right frequencies when sampled, and reproducible."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import _tiny
from rasura.core.errors import BadInput
from rasura.core.store import Store
from rasura.core.types import Ask, Sample, Samples
from rasura.models.causal_lm import CausalLM
from rasura.observations._engine import Engine
from rasura.observations.generations import Generations
from rasura.observations.sampling_probability import SamplingProbability

RECORDS = Samples(Sample(str(i), t) for i, t in enumerate(_tiny.texts(9, 3)))


@pytest.fixture(params=["neox", "llama"])
def model(request):
    return getattr(_tiny, request.param)()


def gpt2():
    """Positions are learned and absolute here, so that a wrong one changes the answer; rotary ones forgive a shift."""
    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=512, n_embd=64, n_layer=2, n_head=4, n_positions=128, bos_token_id=0, eos_token_id=0, pad_token_id=1,
        initializer_range=0.2,
    )  # fmt: skip
    return CausalLM(GPT2LMHeadModel(config), _tiny.tokenizer(), name="tiny-gpt2")


@pytest.mark.parametrize("build", [_tiny.neox, _tiny.llama, gpt2])
@pytest.mark.parametrize("prefix", [0, 5])
def test_greedy_is_what_generate_says(build, prefix):
    """Prompts of different lengths, padded on the left together here and given one by one there."""
    model = build()
    data = Generations(prefix_tokens=prefix, new_tokens=20).measure(model, RECORDS)
    for i, sample in enumerate(RECORDS):
        encoded = model.encode(sample)
        at = encoded.first + (prefix or encoded.scored // 2)
        prompt = torch.from_numpy(encoded.ids[None, :at])
        settings = {"max_new_tokens": 20, "do_sample": False, "pad_token_id": 1}
        said = model.module.generate(prompt, attention_mask=torch.ones_like(prompt), **settings)[0, at:].tolist()
        ended = 0 in said
        assert data.ids[i].tolist() == (said[: said.index(0)] if ended else said)
        assert data.ended[i].tolist() == [ended] and data.cut[i] == at - encoded.first
        assert data.true_ids[i].tolist() == encoded.ids[at:].tolist()
        assert sample.text.endswith(data.true_text[i]) and data.texts[i, 0] == model.tokenizer.decode(data.ids[i])


def test_a_memorised_record_comes_out(planted):
    hot = planted.members.take(range(8))
    data = Generations().measure(planted.models["target"], hot)
    assert np.mean([a == b for a, b in zip(data.texts[:, 0], data.true_text, strict=True)]) > 0.5
    assert data.lengths[:, 0].tolist() == data.true_ids.lengths.tolist()


def test_any_subset_order_and_company_says_the_same(model):
    ask = Ask(Generations(new_tokens=12, samples_each=3, temperature=1.0, top_k=50, top_p=0.95, seed=4))
    whole = Engine().observe(ask, {"target": model}, RECORDS)
    some = [7, 2, 5]
    for engine in (Engine(), Engine(token_budget=1), Engine(shard=2)):
        part = engine.observe(ask, {"target": model}, RECORDS.take(some))
        assert part.texts.tolist() == whole.texts[some].tolist()
        assert part.lengths.tolist() == whole.lengths[some].tolist()
        assert [part.ids[i].tolist() for i in range(3)] == [whole.ids[i].tolist() for i in some]
    assert len(set(whole.texts.ravel())) == whole.texts.size  # draws differ from each other
    other = Generations(new_tokens=12, samples_each=3, temperature=1.0, top_k=50, top_p=0.95, seed=5)
    assert other.measure(model, RECORDS.take(some)).texts.tolist() != whole.texts[some].tolist()


def test_records_with_the_same_beginning_are_drawn_apart(model):
    """The numbers that decide a text come from the whole record, not from its place or its prompt."""
    twins = Samples.of([RECORDS[0].text, RECORDS[0].text[:-1] + "!"])
    data = Generations(prefix_tokens=4, new_tokens=12, temperature=1.0).measure(model, twins)
    assert data.cut.tolist() == [4, 4] and data.texts[0, 0] != data.texts[1, 0]


@pytest.mark.parametrize("settings", [{"temperature": 1.0}, {"temperature": 2.0, "top_k": 20, "top_p": 0.9}])
def test_frequency_of_a_continuation_is_its_sampling_probability(planted, settings):
    """600 draws of the last tokens of three records: each count within 4 standard deviations of n p."""
    model, n = planted.models["target"], 600
    records = Samples(Sample(s.id, s.text, secret=len(s.text) - 4) for s in planted.members.take([1, 2, 3]))
    data = Generations(samples_each=n, **settings).measure(model, records)
    scored = SamplingProbability(**settings).measure(model, records)
    for i in range(3):
        p = math.exp(scored.log_probability[i][scored.cut[i] :].astype(np.float64).sum())
        seen = sum(np.array_equal(draw, data.true_ids[i]) for draw in data.draws(i))
        assert abs(seen - n * p) <= 4 * math.sqrt(n * p * (1 - p)) + 1e-9, (i, p, seen)
        assert 0.02 < p < 0.999, "a record that tests nothing"


def test_it_stops_at_the_end_of_text(model):
    free = Generations(new_tokens=10).measure(model, RECORDS)
    end = int(free.ids[0][4])
    model.module.generation_config.eos_token_id = [0, end]
    data = Generations(new_tokens=10).measure(model, RECORDS)
    for i in range(len(RECORDS)):
        said = free.ids[i].tolist()
        kept = said[: said.index(end)] if end in said else said
        assert data.ids[i].tolist() == kept and bool(data.ended[i, 0]) == (end in said or bool(free.ended[i, 0]))
    assert data.ended[0, 0] and data.lengths[0, 0] <= 4


def test_the_context_is_never_exceeded(model):
    long = Samples([Sample("long", " ".join(_tiny.texts(3, 8)))])
    room = model.context - len(model.encode(long[0]).ids)
    data = Generations(prefix_tokens=10_000, new_tokens=500).measure(model, long)
    assert data.lengths[0, 0] == room or data.ended[0, 0]
    assert data.true_ids.lengths.tolist() == [0] and data.true_text.tolist() == [""]


def test_what_cannot_be_continued_is_blank_with_its_reason(model, tmp_path):
    observation = Generations(new_tokens=3, samples_each=2, temperature=1.0)
    batch = Samples([Sample("empty", ""), RECORDS[0]])
    engine = Engine(store=Store(tmp_path))
    for _ in range(2):  # computed, then read back
        data = engine.observe(Ask(observation), {"target": model}, batch)
        assert data.reason.tolist() == ["no token to score", ""] and data.texts[0].tolist() == ["", ""]
        assert data.lengths[0].tolist() == [0, 0] and data.lengths[1].min() > 0 and data.ended.dtype == bool
    assert engine.passes[-1].computed == 0
    assert observation.blank("out of memory", 2).texts.shape == (2, 2)
    assert observation.blank("", 0).lengths.shape == (0, 2)


def test_a_broken_model_is_named_and_does_not_crash(model):
    model.score(RECORDS.take([0]))
    hook = model.base.get_output_embeddings().register_forward_hook(lambda _m, _i, out: out * float("nan"))
    data = Generations(new_tokens=3).measure(model, RECORDS)
    hook.remove()
    assert set(data.reason) == {"the model's answer is not a number"} and not data.lengths.any()


def test_running_out_of_memory_halves_the_rows(model, monkeypatch):
    from rasura.observations import _continue

    whole, together, sizes = Generations(new_tokens=4).measure(model, RECORDS), _continue._together, []

    def small(model, draws, sampler):
        sizes.append(len(draws))
        if len(draws) > 2:
            raise RuntimeError("CUDA out of memory")
        return together(model, draws, sampler)

    monkeypatch.setattr(_continue, "_together", small)
    data = Engine().observe(Ask(Generations(new_tokens=4)), {"target": model}, RECORDS)
    assert data.texts.tolist() == whole.texts.tolist() and max(sizes) == 9


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"samples_each": 2}, "greedy"),
        ({"samples_each": 0}, "samples_each"),
        ({"new_tokens": -1}, "new_tokens"),
        ({"temperature": -1.0}, "temperature"),
    ],
)
def test_settings_that_make_no_sense(bad, word):
    with pytest.raises(BadInput, match=word):
        Generations(**bad)
