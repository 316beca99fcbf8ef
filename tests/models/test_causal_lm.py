"""The language-model handle: tokens, the forward pass against transformers' own, loading without surprises."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import _tiny
from rasura.core.errors import BadInput, UnsafeModel
from rasura.core.types import Sample, Samples
from rasura.models import causal_lm
from rasura.models.causal_lm import CausalLM

SHAPES = {"neox": _tiny.neox, "llama": _tiny.llama, "tied llama": lambda: _tiny.llama(tied=True)}


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_agree_with_the_models_own_logits(shape: str):
    """One text at a time through transformers, the plain way, against one padded batch through the handle."""
    model, samples = SHAPES[shape](), Samples.of(_tiny.texts(5, seed=7) + ["Hugo."])
    scored = model.score(samples)
    for i, sample in enumerate(samples):
        ids = torch.from_numpy(model.encode(sample).ids)[None]
        log_p = model.module(ids).logits.float().log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None]).squeeze(1)
        assert torch.allclose(scored.log_probability[scored.row == i], log_p, atol=2e-5)
    assert scored.counts().tolist() == [len(model.encode(s).ids) - 1 for s in samples]


def test_context_is_read_and_not_scored(neox):
    text = "Anna carried 12 green rivers"
    whole, tail = neox.score(Samples([Sample("a", text)])), neox.score(Samples([Sample("a", text, start=5)]))
    assert torch.allclose(whole.log_probability[-len(tail.row) :], tail.log_probability, atol=1e-6)
    encoded = neox.encode(Sample("a", text, start=5))
    assert encoded.scored_text.strip() == "carried 12 green rivers" and 1 < encoded.first < len(encoded.ids)


def test_the_secret_begins_with_its_first_character(neox):
    sample = Sample("a", "The code of Anna is 4711.", secret=20)
    encoded = neox.encode(sample)
    assert neox.tokenizer.decode(encoded.ids[encoded.cut :]).strip() == "4711."


def test_the_separator_in_front_lets_the_first_token_be_scored(neox):
    encoded = neox.encode(Sample("a", "Boris"))
    assert encoded.ids[0] == neox.tokenizer.bos_token_id and encoded.first == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_hidden_states_stop_where_asked(shape: str):
    model, samples = SHAPES[shape](), Samples.of(_tiny.texts(3, seed=8))
    ids, mask = model.batch([model.encode(s) for s in samples])
    expected = model.base.base_model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[1]
    hidden, scored = model.hidden_at(samples, 0)
    assert torch.allclose(hidden[mask.bool()], expected[mask.bool()], atol=1e-5)
    assert scored.sum().item() == sum(model.encode(s).scored for s in samples)
    with pytest.raises(BadInput, match="layers 0 to 1"):
        model.hidden_at(samples, 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pass_without_a_mask_says_the_same(shape: str, monkeypatch):
    """Padding behind a text is never looked at, so passes say nothing of it; training still does."""
    model, told = SHAPES[shape](), []
    encoded = [model.encode(s) for s in Samples.of(_tiny.texts(4, seed=7) + ["Hugo."])]
    expected = model.last_hidden(encoded).detach()
    forward = model.base.base_model.forward
    monkeypatch.setattr(model.base.base_model, "forward", lambda **k: told.append(k["attention_mask"]) or forward(**k))
    with torch.inference_mode():
        found = model.last_hidden(encoded)
    assert told[-1] is None
    for i, e in enumerate(encoded):
        assert torch.allclose(found[i, : len(e.ids)], expected[i, : len(e.ids)], atol=1e-5)
    model.last_hidden(encoded)
    assert told[-1] is not None


def test_no_sample_no_score(neox):
    assert len(neox.score(Samples()).log_probability) == 0


def test_a_model_that_would_look_at_padding_is_told_of_it(neox):
    """Attention that is causal only by its mask sees everything without one."""
    encoded = [neox.encode(s) for s in Samples.of(_tiny.texts(4, seed=7) + ["Hugo."])]
    expected = neox.last_hidden(encoded).detach()
    other = neox.clone()
    for layer in other.base.base_model.layers:
        layer.attention.is_causal = False
    with torch.inference_mode():
        assert torch.equal(other.last_hidden(encoded), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_sites_are_found_by_what_they_do(shape: str):
    model = SHAPES[shape]()
    assert [s.layer for s in model.sites("block")] == [0, 1]
    assert [s.layer for s in model.sites("mlp.down")] == [0, 1]
    assert len(model.sites("attention.query_key_value")) in (2, 6)


def test_the_fingerprint_sees_one_changed_weight_and_no_name():
    a, b = _tiny.neox(), _tiny.neox()
    assert a.fingerprint == b.fingerprint and a.clone().fingerprint == a.fingerprint
    with torch.no_grad():
        b.module.gpt_neox.layers[1].mlp.dense_4h_to_h.bias[3] += 1e-7
    assert CausalLM(b.module, b.tokenizer, name="same name").fingerprint != a.fingerprint


def test_a_clone_shares_nothing(neox):
    before, copy = neox.fingerprint, neox.clone()
    with torch.no_grad():
        next(copy.module.parameters()).zero_()
    assert CausalLM(neox.module, neox.tokenizer).fingerprint == before


def test_saved_and_loaded_it_is_the_same_model(neox, tmp_path):
    neox.save(str(tmp_path / "m"))
    back = CausalLM.load(str(tmp_path / "m"))
    assert back.fingerprint == neox.fingerprint
    assert not list((tmp_path / "m").glob("*.bin"))


def test_fit_cuts_to_whole_tokens_that_fit(neox):
    text = " ".join(_tiny.texts(40, seed=9))
    with pytest.raises(BadInput, match="--truncate"):
        neox.fit(Samples.of([text]))
    cut = neox.fit(Samples.of([text]), truncate=True)[0]
    assert text.startswith(cut.text) and 100 < len(neox.encode(cut).ids) <= neox.context
    assert neox.fit(Samples.of(["short"]), truncate=True)[0].text == "short"


def saved(tmp_path):
    _tiny.neox().save(str(tmp_path / "m"))
    return tmp_path / "m"


def test_missing_and_wrong_folders(tmp_path):
    for path, words in ((tmp_path / "none", "no such model folder"), (tmp_path, "no config.json")):
        with pytest.raises(BadInput, match=words):
            CausalLM.load(str(path))


def test_pickled_weights_are_refused(tmp_path):
    folder = saved(tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(UnsafeModel, match="--allow-pickle"):
        CausalLM.load(str(folder))


def test_remote_code_is_refused(tmp_path):
    folder = saved(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}))
    with pytest.raises(UnsafeModel, match="--trust-remote-code"):
        CausalLM.load(str(folder))


def test_nan_weights_are_named(tmp_path):
    model = _tiny.neox()
    with torch.no_grad():
        model.module.gpt_neox.final_layer_norm.bias[0] = float("nan")
    model.save(str(tmp_path / "m"))
    with pytest.raises(BadInput, match="final_layer_norm.bias contain NaN"):
        CausalLM.load(str(tmp_path / "m"))


def test_a_tokenizer_larger_than_the_embedding_is_refused(tmp_path):
    folder = saved(tmp_path)
    tokenizer = _tiny.tokenizer().__class__.from_pretrained(str(folder))
    tokenizer.add_tokens([f"<extra{i}>" for i in range(200)])
    tokenizer.save_pretrained(str(folder))
    with pytest.raises(BadInput, match="embedding only 512 rows"):
        CausalLM.load(str(folder))


def test_a_missing_tokenizer_is_one_line(tmp_path):
    folder = saved(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(BadInput, match="no tokenizer in it") as error:
        CausalLM.load(str(folder))
    assert "\n" not in str(error.value)


def test_float16_and_float32_score_alike(neox):
    samples = Samples.of(_tiny.texts(4, seed=12))
    half = CausalLM(neox.clone().module.to(torch.bfloat16), neox.tokenizer)
    assert half.fingerprint != neox.fingerprint
    assert half.score(samples).log_probability.dtype == torch.float32
    assert np.allclose(
        half.score(samples).sample_means().detach(), neox.score(samples).sample_means().detach(), atol=0.1
    )


def test_with_gradients_the_output_matrix_is_applied_to_many_tokens_at_once(monkeypatch):
    """Each chunk adds to the gradient of the whole matrix, so small chunks cost more than they save."""
    from rasura.models import causal_lm

    monkeypatch.setitem(causal_lm.HEAD_CHUNK, "cpu", 1)
    monkeypatch.setattr(causal_lm, "HEAD_ROWS", 8)
    model, sizes = _tiny.neox(1), []
    encoded = [model.encode(s) for s in Samples.of(_tiny.texts(12, 5))]
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            sizes.append([len(row) for row, _, _ in model.scored_logits(encoded)])
    tokens = sum(e.scored for e in encoded)
    assert sizes[0][0] == 16 and sizes[1][0] == 8 and sum(sizes[0]) == sum(sizes[1]) == tokens


def test_gradients_that_make_logits_again_are_those_that_keep_them(monkeypatch):
    """The frugal way keeps nothing as large as the vocabulary: no saved tensor has its width."""
    batch = Samples.of(["the quiet river and the lamp", "a lamp", "three doors, two of them red"])

    def run(model):
        widths: list[int] = []
        watch = torch.autograd.graph.saved_tensors_hooks(
            lambda t: (widths.append(t.shape[-1] if t.ndim else 0), t)[1], lambda t: t
        )
        with watch:
            scored = model.score(batch)
        vocabulary = model.base.get_output_embeddings().weight.shape[0]
        rows = sum(model.encode(s).scored for s in batch)
        (-scored.token_mean()).backward()
        return (
            scored.log_probability.detach(),
            [p.grad.clone() for p in model.module.parameters()],
            widths.count(vocabulary),
            rows,
        )

    plain = run(_tiny.neox())
    monkeypatch.setattr(causal_lm, "GRADIENT_ENTRIES", 0)
    monkeypatch.setattr(causal_lm, "HEAD_CHUNK", {"cpu": 1, "cuda": 1})
    monkeypatch.setattr(causal_lm, "HEAD_ROWS", 5)  # several blocks
    frugal = run(_tiny.neox())
    assert torch.allclose(plain[0], frugal[0], atol=1e-6) and plain[3] > 10
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain[1], frugal[1], strict=True))
    assert plain[2] > 0 and frugal[2] == 0
