"""Several processes on one store: each shard once, records byte for byte those of one process, nobody waits for the dead."""

from __future__ import annotations

import copy
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import _tiny
from _several import environment, free_port, start
from rasura.cli import main
from rasura.core.errors import BadInput, ProcessLost
from rasura.core.store import Store
from rasura.core.types import Ask, Samples, Treated
from rasura.data.writers import write_samples
from rasura.models.causal_lm import CausalLM
from rasura.models.noise import WeightNoise
from rasura.observations._engine import Engine
from rasura.observations._engine_accelerate import Together
from rasura.observations._engine_crews import crew
from rasura.observations._engine_processes import Processes
from rasura.observations.token_statistics import TokenStatistics

ASK = Ask(TokenStatistics())


class Wire:
    """Rounds between threads that stand for processes."""

    def __init__(self, world: int) -> None:
        self.barrier, self.said = threading.Barrier(world, timeout=30), [None] * world


class Thread(Processes):
    def _round(self, message, patience):
        self.group.said[self.rank] = message
        self.group.barrier.wait()
        heard = list(self.group.said)
        self.group.barrier.wait()
        return heard


def together(world: int, work) -> list:
    """``work(processes)`` by ``world`` threads at once: results, or errors in their place."""
    wire, found = Wire(world), [None] * world

    def run(rank: int) -> None:
        try:
            found[rank] = work(Thread(rank, world, wire))
        except Exception as error:
            found[rank] = error

    threads = [threading.Thread(target=run, args=[r]) for r in range(world)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    return found


def copies(world: int, seeds: tuple[int, ...] = ()) -> list[CausalLM]:
    """One model a process, as loading gives it: threads share neither weights nor a tokenizer."""
    made = [_tiny.neox(seed) for seed in seeds or (0,) * world]
    return [CausalLM(m.module, copy.deepcopy(m.tokenizer), name=m.name) for m in made]


class Counted(Engine):
    """An engine that keeps which shards it computed, and fails at one if told to."""

    def compute(self, job, model, key):
        self.__dict__.setdefault("done", []).append(key)
        if getattr(self, "fails", None):
            raise self.fails
        return super().compute(job, model, key)


def shards(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.parquet")}


def test_every_missing_shard_is_computed_by_one_process(neox, tmp_path):
    texts = _tiny.texts(150, seed=11)
    samples = Samples.of([*texts, *texts[:10]])  # the last shard is the first one again
    asks = [ASK, Ask(TokenStatistics(), Treated("target", WeightNoise(0.05, 3, 1)))]
    Engine(Store(tmp_path / "one"), shard=10).observe_all(asks, {"target": neox}, samples)
    Engine(Store(tmp_path / "many"), shard=10).observe(ASK, {"target": neox}, samples.take(range(40)))

    own = copies(3)

    def work(processes):
        engine = Counted(Store(tmp_path / "many"), shard=10, crew=Together(processes))
        engine.observe_all(asks, {"target": own[processes.rank]}, samples)
        return engine

    engines = together(3, work)
    computed = [key for e in engines for key in e.done]
    assert len(computed) == len(set(computed)) == 15 + 11 and max(len(e.done) for e in engines) <= 9
    assert shards(tmp_path / "one") == shards(tmp_path / "many")
    assert all([p.computed for p in e.passes] == [110, 150] for e in engines), "each knows what all computed"


def test_the_error_of_one_is_the_error_of_all(neox, tmp_path):
    own = copies(2)

    def work(processes):
        engine = Counted(Store(tmp_path), shard=10, crew=Together(processes))
        engine.fails = ValueError("deliberate") if processes.rank == 1 else None
        engine.observe(ASK, {"target": own[processes.rank]}, Samples.of(_tiny.texts(40, seed=11)))

    first, second = together(2, work)
    assert isinstance(second, ValueError)
    assert isinstance(first, BadInput) and str(first) == "process 1 of 2: ValueError: deliberate"


def test_a_process_that_ends_early_is_heard(tmp_path):
    def work(processes):
        return processes.end("disk full") if processes.rank else processes.exchange("round")

    first, second = together(2, work)
    assert isinstance(first, ProcessLost) and "process 1 of 2 ended early (disk full)" in str(first)
    assert second is None, "the others did not end with it, so it says itself what went wrong"


def test_different_questions_and_stores_nobody_shares_are_refused(tmp_path):
    samples, own, unlike = Samples.of(_tiny.texts(20, seed=11)), copies(2), copies(2, (0, 1))

    def other(processes):
        engine = Engine(Store(tmp_path / "a"), crew=Together(processes))
        return engine.observe(ASK, {"target": unlike[processes.rank]}, samples)

    def apart(processes):
        engine = Engine(Store(tmp_path / f"b{processes.rank}"), shard=10, crew=Together(processes))
        return engine.observe(ASK, {"target": own[processes.rank]}, samples)

    def memory(processes):
        return Engine(crew=Together(processes)).observe(ASK, {"target": own[processes.rank]}, samples)

    assert all("different questions" in str(e) for e in together(2, other))
    assert all("does not see what the others wrote" in str(e) for e in together(2, apart))
    assert all("all of them can see" in str(e) for e in together(2, memory))


def test_engines_by_name(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert crew() is None and crew("local") is None
    with pytest.raises(BadInput, match="engine 'slurm': expected local, accelerate, ray"):
        crew("slurm")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder, found = tmp_path_factory.mktemp("files"), _tiny.planted()
    for name in ("members", "nonmembers"):
        write_samples(getattr(found, name), str(folder / f"{name}.jsonl"))
    for role in ("target", "reference"):
        found.models[role].save(str(folder / role))
    return folder


def command(files: Path, out: str, *more: str) -> list[str]:
    sides = ["--members", f"{files}/members.jsonl", "--nonmembers", f"{files}/nonmembers.jsonl"]
    places = ["--store", f"{files}/store-{out}", "--out", f"{files}/{out}"]
    return ["audit", f"{files}/target", *sides, "--reference", f"{files}/reference", *places, *more]


@pytest.fixture(scope="module")
def alone(files) -> Path:
    """What one process finds."""
    with pytest.raises(SystemExit) as end:
        main(command(files, "one", "--signals", "loss,reference,min_k"))
    assert not end.value.code
    return files


def launch(count: int, arguments: list[str], *more: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(count)]
    rest = [
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--main_process_port",
        free_port(),
    ]
    return subprocess.run(
        [*launcher, *rest, *more, "-m", "rasura", *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=400,
    )


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_accelerate_launch_ends_in_the_record_of_one_process(alone, count):
    out = f"launched-{count}"
    done = launch(count, command(alone, out, "--signals", "loss,reference,min_k", "--explain-cost"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert (alone / "one" / "audit.json").read_bytes() == (alone / out / "audit.json").read_bytes()
    assert shards(alone / "store-one") == shards(alone / f"store-{out}")
    assert done.stdout.count("record:") == 1 and done.stdout.count("passes computed") == 1, "one of them prints"
    assert "240 forward and 0 backward passes computed" in done.stdout


@pytest.mark.slow
def test_a_process_that_is_killed_is_not_waited_for(alone):
    """Nobody restarts or stops the others here; what was finished is read by whoever runs the command again."""
    more = ["--signals", "loss,reference,min_k,mope", "--set", "mope.pairs=60"]
    first, second = start(2, ["-m", "rasura", *command(alone, "killed", *more)], RASURA_PATIENCE="60")
    while not list((alone / "store-killed").rglob("*.parquet")):
        assert first.poll() is None and second.poll() is None
        time.sleep(0.02)
    second.send_signal(signal.SIGKILL)
    began = time.monotonic()
    out, err = first.communicate(timeout=60)
    second.communicate()
    assert second.returncode == -signal.SIGKILL and first.returncode == 2 and out == "", err[-2000:]
    assert time.monotonic() - began < 50
    assert err.strip().splitlines()[-1].startswith("rasura: another process of this run has ended; finished shards")
    assert not (alone / "killed" / "audit.json").exists()
    kept = shards(alone / "store-killed")
    for where in ("killed", "uninterrupted"):
        with pytest.raises(SystemExit):
            main(command(alone, where, *more))
    assert (alone / "killed" / "audit.json").read_bytes() == (alone / "uninterrupted" / "audit.json").read_bytes()
    assert kept and kept.items() <= shards(alone / "store-uninterrupted").items()


@pytest.mark.slow
def test_bad_input_is_one_line_of_one_process(files):
    wrong = [a.replace("nonmembers.jsonl", "nothing.jsonl") for a in command(files, "wrong")]
    ends = [(p, *p.communicate(timeout=120)) for p in start(2, ["-m", "rasura", *wrong])]
    assert [p.returncode for p, _, _ in ends] == [2, 2]
    assert [err.strip() for _, _, err in ends] == [f"rasura: {files}/nothing.jsonl: no such file or folder", ""]
    shutil.rmtree(files / "wrong", ignore_errors=True)
