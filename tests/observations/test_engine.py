"""The pass engine: shared passes, exact resume, memory, unscorable samples."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import _tiny
from rasura.core.errors import BadInput, NeedsRole
from rasura.core.store import Store
from rasura.core.types import Ask, Sample, Samples, Treated
from rasura.data.views import Lowercase
from rasura.models.noise import WeightNoise
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenStatistics

ASK = Ask(TokenStatistics())


def many(n: int = 150) -> Samples:
    return Samples.of(_tiny.texts(n, seed=11))


def test_one_question_is_one_pass(neox, tmp_path):
    engine = Engine(Store(tmp_path))
    engine.observe_all(
        [ASK, Ask(TokenStatistics()), Ask(TokenStatistics(), view=Lowercase())], {"target": neox}, many(10)
    )
    assert [(p.samples, p.computed) for p in engine.passes] == [(10, 10), (10, 10)]
    again = Engine(Store(tmp_path))
    again.observe(ASK, {"target": neox}, many(10))
    assert again.passes[0].computed == 0


def test_order_batch_mates_and_padding_do_not_matter(neox):
    samples = many(30)
    whole = Engine().observe(ASK, {"target": neox}, samples)
    back = Engine(token_budget=40).observe(ASK, {"target": neox}, Samples(reversed(samples)))
    for i in range(30):
        assert np.allclose(whole.log_probability[i], back.log_probability[29 - i], atol=2e-5)
        assert whole.rank[i].tolist() == back.rank[29 - i].tolist()


def test_another_model_never_reads_these_results(neox, tmp_path):
    engine, other = Engine(Store(tmp_path)), _tiny.neox(seed=1)
    first = engine.observe(ASK, {"target": neox}, many(5))
    second = engine.observe(ASK, {"target": other}, many(5))
    assert engine.passes[1].computed == 5 and not np.allclose(first.loss, second.loss)


def test_noise_is_another_model_and_leaves_no_trace(neox, tmp_path):
    engine, before = Engine(Store(tmp_path)), neox.fingerprint
    plain = engine.observe(ASK, {"target": neox}, many(5))
    up, down = (
        engine.observe(Ask(TokenStatistics(), Treated("target", WeightNoise(0.05, 3, s))), {"target": neox}, many(5))
        for s in (1, -1)
    )
    assert not np.allclose(up.loss, plain.loss) and not np.allclose(up.loss, down.loss)
    assert neox.with_treatment("fresh hash").fingerprint == before, "weights must be what they were, bit for bit"


def test_noise_is_exact_when_a_pass_fails_halfway(neox):
    before = {n: p.clone() for n, p in neox.module.named_parameters()}
    with pytest.raises(RuntimeError, match="deliberate"), neox.perturbed(WeightNoise(0.1)):
        hook = neox.module.gpt_neox.layers[1].register_forward_pre_hook(
            lambda *a: (_ for _ in ()).throw(RuntimeError("deliberate"))
        )
        try:
            neox.score(many(2))
        finally:
            hook.remove()
    assert all((p == before[n]).all() for n, p in neox.module.named_parameters())


def test_what_cannot_be_scored_is_nan_with_its_reason(neox):
    data = Engine().observe(
        ASK,
        {"target": neox},
        Samples([Sample("a", ""), Sample("b", "fine words here"), Sample("c", "all context", start=11)]),
    )
    assert np.isnan(data.loss).tolist() == [True, False, True]
    assert data.reason.tolist() == ["no token to score", "", "no token to score"]


def test_a_missing_role_and_a_long_text_are_one_line(neox):
    with pytest.raises(NeedsRole, match="--reference"):
        Engine().observe(Ask(TokenStatistics(), "reference"), {"target": neox}, many(2))
    with pytest.raises(BadInput, match="record 0: .* tokens, the model reads 128; pass --truncate"):
        Engine().observe(ASK, {"target": neox}, Samples.of(["word " * 400]))


def test_running_out_of_memory_halves_the_batch_and_goes_on(neox, monkeypatch):
    real, seen = TokenStatistics.measure, []

    def measure(self, model, batch):
        seen.append(len(batch))
        if len(batch) > 3 or any("unlucky" in s.text for s in batch):
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(self, model, batch)

    monkeypatch.setattr(TokenStatistics, "measure", measure)
    samples = Samples([*many(9), Sample("x", "unlucky number seven in a sentence")])
    engine = Engine(token_budget=4096)
    data = engine.observe(ASK, {"target": neox}, samples)
    assert np.isfinite(data.loss[:9]).all() and np.isnan(data.loss[9]) and data.reason[9] == "out of memory"
    assert max(seen) == 10 and engine.token_budget < 4096


def test_other_errors_are_not_taken_for_memory(neox, monkeypatch):
    monkeypatch.setattr(TokenStatistics, "measure", lambda *a: (_ for _ in ()).throw(RuntimeError("shape mismatch")))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        Engine().observe(ASK, {"target": neox}, many(2))


def test_killed_at_sample_130_it_resumes_at_128(tmp_path):
    """SIGKILL in the middle of the third shard: two whole shards stay, and the rerun ends in identical bytes."""
    script = textwrap.dedent(f"""
        import os, signal, sys
        sys.path[:0] = [{str(Path(__file__).parents[1])!r}, {str(Path(__file__).parents[2] / "src")!r}]
        import torch; torch.set_num_threads(1)
        import _tiny
        from rasura.core.store import Store
        from rasura.core.types import Ask, Samples
        from rasura.observations import token_statistics
        from rasura.observations._engine import Engine
        real = token_statistics.TokenStatistics.measure
        done = [0]
        def measure(self, model, batch):
            done[0] += len(batch)
            if done[0] > 130:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(self, model, batch)
        token_statistics.TokenStatistics.measure = measure
        engine = Engine(Store(sys.argv[1]), token_budget=512)
        engine.observe(Ask(token_statistics.TokenStatistics()), {{"target": _tiny.neox()}}, Samples.of(_tiny.texts(150, seed=11)))
    """)

    def run(folder: str) -> int:
        engine = Engine(Store(tmp_path / folder), token_budget=512)
        engine.observe(ASK, {"target": _tiny.neox()}, many())
        return engine.passes[0].computed

    killed = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a")], env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert killed.returncode == -signal.SIGKILL
    shards = sorted(p.name for p in (tmp_path / "a").rglob("*.parquet"))
    assert len(shards) == 2
    assert (run("a"), run("b")) == (22, 150)
    files = [{p.name: p.read_bytes() for p in (tmp_path / f).rglob("*.parquet")} for f in "ab"]
    assert files[0] == files[1] and len(files[0]) == 3
