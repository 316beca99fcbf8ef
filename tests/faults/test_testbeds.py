"""Two processes that want one testbed, and a worker that is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from rasura.core.errors import RasuraError
from rasura.testbeds._training import RECIPES
from rasura.testbeds._worker import train_all
from rasura.testbeds.language import _generated_plan, jobs_of

SOURCE = str(Path(__file__).parents[2] / "src")
COUNTED = textwrap.dedent("""
    import sys
    from rasura.testbeds import language
    from rasura.testbeds._worker import train_all

    def short(jobs, *rest, **more):
        print("TRAINED", file=sys.stderr)
        for job in jobs:
            object.__setattr__(job, "rows", job.rows[: 2 * job.recipe.rows])
        train_all(jobs, *rest, **more)

    language.train_all = short
    from rasura.cli import main
    main(["testbed", "build", "language", "--size", "tiny", "--out", sys.argv[1]])
""")


@pytest.mark.slow
def test_the_second_of_two_processes_waits_and_reads(tmp_path):
    """The lock is held here until both are seen waiting for it."""
    folder = tmp_path / "bed"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    outputs = [tmp_path / "one.txt", tmp_path / "two.txt"]
    with FileLock(folder / ".building.lock"):
        processes = []
        for output in outputs:
            with output.open("w") as stream:
                words = [sys.executable, "-c", COUNTED, str(folder)]
                processes.append(subprocess.Popen(words, stdout=stream, stderr=stream, env=environment))
        until = time.monotonic() + 300
        while not all("waiting for it" in output.read_text() for output in outputs) and time.monotonic() < until:
            time.sleep(0.1)
    assert [process.wait(300) for process in processes] == [0, 0], [o.read_text() for o in outputs]
    said = [output.read_text() for output in outputs]
    assert all("waiting for it" in s for s in said) and sum(s.count("TRAINED") for s in said) == 1, said
    assert (folder / "testbed.json").is_file() and not list(folder.glob(".*.partial"))


@pytest.fixture
def jobs(tmp_path):
    """A training of 150 steps, which is the one to be lost, and one of two."""
    plan = _generated_plan("tiny", 0)
    whole, _ = jobs_of(plan, RECIPES["tiny"], 0, tmp_path / "bed")
    (tmp_path / "bed").mkdir()
    cut = [replace(job, rows=job.rows[: n * job.recipe.rows]) for job, n in zip(whole, (150, 2), strict=False)]
    return cut, plan.tokenizer.to_str()


@pytest.mark.slow
def test_a_lost_worker_is_named_and_costs_only_its_own_model(jobs):
    import psutil

    todo, tokenizer = jobs
    lost: list[int] = []

    @contextmanager
    def progress(label, total):
        def advance(done):
            if not lost:
                victim = next(
                    c for c in psutil.Process().children() if str(todo[0].out.with_name(".target.job")) in c.cmdline()
                )
                lost.append(victim.pid)
                os.kill(victim.pid, signal.SIGKILL)

        yield advance

    with pytest.raises(RasuraError, match="stopped by signal 9; run again: finished models are kept"):
        train_all(todo, tokenizer, progress, parallel=True)
    assert [job.out.exists() for job in todo] == [False, True] and len(lost) == 1
    kept = (todo[1].out / "model.safetensors").stat().st_mtime_ns
    train_all(todo, tokenizer, lambda label, total: _silent(), parallel=True)
    assert all((job.out / "model.safetensors").is_file() for job in todo)
    assert (todo[1].out / "model.safetensors").stat().st_mtime_ns == kept


@contextmanager
def _silent():
    yield lambda done: None
