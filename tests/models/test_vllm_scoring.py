"""The handle of a model that vLLM runs, against vLLM's documented interface played by a small model."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest

import _tiny
from rasura._audit import audit
from rasura.core.errors import MissingDependency, NotYetSupported
from rasura.core.types import Ask, Sample, Samples
from rasura.models.loading import load
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenStatistics


@dataclass
class Logprob:
    logprob: float
    rank: int


class Server:
    """``vllm.LLM`` as far as it is used: prompts of ids in, one dict a prompt token out, none for the first."""

    def __init__(self, model: str, dtype: str, trust_remote_code: bool) -> None:
        from rasura.models.causal_lm import CausalLM

        self.model = CausalLM.load(model)

    def generate(self, prompts, settings, use_tqdm):
        import torch

        assert settings.prompt_logprobs == 0 and settings.max_tokens == 1
        answers = []
        for prompt in prompts:
            ids = torch.tensor([prompt["prompt_token_ids"]])
            with torch.no_grad():
                log_p = torch.log_softmax(self.model.module(input_ids=ids).logits[0].float(), -1)
            own = [log_p[t - 1, ids[0, t]] for t in range(1, ids.shape[1])]
            said = [
                {int(ids[0, t]): Logprob(float(p), 1 + int((log_p[t - 1] > p).sum()))} for t, p in enumerate(own, 1)
            ]
            answers.append(types.SimpleNamespace(prompt_logprobs=[None, *said]))
        return answers


@pytest.fixture
def served(monkeypatch, tmp_path):
    fake = types.ModuleType("vllm")
    fake.LLM = Server
    fake.SamplingParams = lambda **settings: types.SimpleNamespace(**settings)
    monkeypatch.setitem(sys.modules, "vllm", fake)
    _tiny.neox().save(str(tmp_path))
    return load(str(tmp_path), backend="vllm"), load(str(tmp_path))


def test_it_says_what_transformers_says(served):
    model, plain = served
    samples = Samples(
        [
            *Samples.of(_tiny.texts(4, 3)),
            Sample("q", "A question? An answer follows here.", start=11),
            Sample("none", ""),
        ]
    )
    ask = Ask(TokenStatistics())
    ours, theirs = (Engine().observe(ask, {"target": m}, samples) for m in (model, plain))
    np.testing.assert_allclose(ours.log_probability.values, theirs.log_probability.values, atol=1e-5)
    np.testing.assert_array_equal(ours.rank.values, theirs.rank.values)
    np.testing.assert_array_equal(ours.tokens, theirs.tokens)
    assert np.isnan(ours.mean.values).all() and list(ours.reason) == list(theirs.reason)
    assert model.parameters == plain.parameters and model.vocabulary_hash == plain.vocabulary_hash
    assert (
        model.fingerprint != plain.fingerprint
    )  # their numbers differ in the last digits: never one in place of the other


def test_an_audit_runs_what_it_can_and_says_what_it_cannot(served):
    sides = Samples.of(_tiny.texts(20, 5)), Samples.of(_tiny.texts(20, 6))
    record = audit(served[0], *sides)
    ran, skipped = {r.method.name for r in record.signals}, {s.name: s.why for s in record.skipped}
    assert {"loss", "min_k", "zlib"} <= ran
    assert "--backend vllm" in skipped["mope"] and "--backend vllm" in skipped["gradient_norm"]
    assert "could score none of the records" in skipped["min_k_plus_plus"]  # it needs the whole distribution


def test_what_a_server_cannot_do_is_refused(served):
    for use in (lambda m: m.clone(), lambda m: m.last_hidden([]), lambda m: m.perturbed(None), lambda m: m.save("x")):
        with pytest.raises(NotYetSupported, match="log-probabilities of tokens only"):
            use(served[0])


def test_without_vllm_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    _tiny.neox().save(str(tmp_path))
    with pytest.raises(MissingDependency, match=r"pip install 'rasura\[vllm\]'"):
        load(str(tmp_path), backend="vllm")
