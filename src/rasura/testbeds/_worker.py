"""Training jobs, side by side: one process and one thread a model, each kept the moment it is finished.

``python -m rasura.testbeds._worker JOB`` trains the model a job folder describes and prints one line a step.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import RasuraError
from ._folder import put, why_it_failed
from ._training import Recipe, train_model


@dataclass(frozen=True)
class Job:
    """One model to train: its rows, its recipe, where it goes."""

    role: str
    rows: np.ndarray
    recipe: Recipe
    seed: int
    out: Path  # absent until the model is whole

    @property
    def steps(self) -> int:
        return len(self.rows) // self.recipe.rows


def train_all(jobs: Sequence[Job], tokenizer: str, progress: Callable, parallel: bool) -> None:
    """Train the jobs whose ``out`` does not exist yet, two at a time where the machine has two cores."""
    todo = [job for job in jobs if not job.out.exists()]
    if not todo:
        return
    with progress(f"training {' and '.join(job.role for job in todo)}", sum(job.steps for job in todo)) as advance:
        if not parallel or len(todo) == 1 or (os.cpu_count() or 1) < 2:
            for job in todo:
                _train(job, tokenizer, lambda step: advance(1))
            return
        _side_by_side(todo, tokenizer, advance)


def _side_by_side(todo: Sequence[Job], tokenizer: str, advance: Callable[[int], None]) -> None:
    """The longest job in one process, the others one after another beside it."""
    first, *rest = sorted(todo, key=lambda job: -job.steps)
    lock, failures = threading.Lock(), []

    def follow(queue: Sequence[Job]) -> None:
        for job in queue:
            try:
                _spawn(job, tokenizer, lambda: _locked(lock, advance))
            except RasuraError as error:
                failures.append(error)

    threads = [threading.Thread(target=follow, args=([first],)), threading.Thread(target=follow, args=(rest,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _locked(lock: threading.Lock, advance: Callable[[int], None]) -> None:
    with lock:
        advance(1)


def _spawn(job: Job, tokenizer: str, tick: Callable[[], None]) -> None:
    folder = job.out.with_name(f".{job.out.name}.job")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    np.save(folder / "rows.npy", job.rows)
    (folder / "tokenizer.json").write_text(tokenizer)
    described = {"role": job.role, "recipe": dataclasses.asdict(job.recipe), "seed": job.seed, "out": str(job.out)}
    (folder / "job.json").write_text(json.dumps(described))
    command = [sys.executable, "-m", "rasura.testbeds._worker", str(folder)]
    source = str(Path(__file__).parents[2])
    paths = os.pathsep.join(p for p in (source, os.environ.get("PYTHONPATH", "")) if p)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if line.startswith("step"):
                tick()
        errors = process.stderr.read()
    if process.returncode:
        raise RasuraError(why_it_failed(job.role, process.returncode, errors.splitlines()))
    shutil.rmtree(folder)


def _train(job: Job, tokenizer: str, on_step: Callable[[int], None]) -> None:
    from tokenizers import Tokenizer

    from ..models.fresh import wrap_tokenizer

    wrapped = wrap_tokenizer(Tokenizer.from_str(tokenizer), context=job.recipe.context)
    model = train_model(wrapped, job.rows, job.recipe, job.seed, job.role, on_step)
    put(model, job.out)


def main(folder: Path) -> None:
    """Train the job described in a folder."""
    described = json.loads((folder / "job.json").read_text())
    recipe = Recipe(**described["recipe"])
    job = Job(described["role"], np.load(folder / "rows.npy"), recipe, described["seed"], Path(described["out"]))
    _train(job, (folder / "tokenizer.json").read_text(), lambda step: print(f"step {step}", flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
