"""The trainings of a picture testbed: two generators and a judge, each kept the moment it is finished.

``python -m rasura.testbeds._picture_worker JOB`` trains the one a line of JSON describes and prints one line a step.
A job carries no data: the plan is decided by its settings and made again where it is needed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from ..core.errors import RasuraError
from ._folder import put, why_it_failed
from ._picture_judge import train_judge
from ._picture_plan import PicturePlan, plan
from ._picture_recipes import RECIPES
from ._picture_training import steps_of, train_pictures
from ._scene_captions import world_of

JUDGE = "judge"


@dataclass(frozen=True)
class PictureJob:
    """One model to train and where it goes: ``out`` is absent until the model is whole."""

    role: str  # "target", "retrained" or "judge"
    variant: str
    size: str
    seed: int
    out: str

    @property
    def steps(self) -> int:
        recipe = RECIPES[self.size]
        return recipe.judge_steps if self.role == JUDGE else steps_of(self.plan, recipe, self.role)

    @property
    def plan(self) -> PicturePlan:
        return planned(self.variant, self.size, self.seed)


@lru_cache(maxsize=1)
def planned(variant: str, size: str, seed: int) -> PicturePlan:
    """The plan of one testbed, made once a process."""
    return plan(variant, world_of(variant, size), RECIPES[size], seed)


def train_all(jobs: Sequence[PictureJob], progress: Callable, parallel: bool) -> None:
    """Train the jobs whose ``out`` does not exist yet, two at a time where that was asked for and there are two cores."""
    todo = [job for job in jobs if not Path(job.out).exists()]
    if not todo:
        return
    with progress(f"training {' and '.join(job.role for job in todo)}", sum(job.steps for job in todo)) as advance:
        if not parallel or len(todo) == 1 or (os.cpu_count() or 1) < 2:
            for job in todo:
                train_one(job, lambda step: advance(1))
            return
        _side_by_side(todo, advance)


def _side_by_side(todo: Sequence[PictureJob], advance: Callable[[int], None]) -> None:
    """The longest job in one process, the others one after another beside it."""
    first, *rest = sorted(todo, key=lambda job: -job.steps)
    lock, failures = threading.Lock(), []

    def tick() -> None:
        with lock:
            advance(1)

    def follow(queue: Sequence[PictureJob]) -> None:
        for job in queue:
            try:
                _spawn(job, tick)
            except RasuraError as error:
                failures.append(error)

    threads = [threading.Thread(target=follow, args=(queue,)) for queue in ([first], rest)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _spawn(job: PictureJob, tick: Callable[[], None]) -> None:
    command = [sys.executable, "-m", "rasura.testbeds._picture_worker", json.dumps(asdict(job))]
    source = str(Path(__file__).parents[2])
    paths = os.pathsep.join(p for p in (source, os.environ.get("PYTHONPATH", "")) if p)
    errors: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        drain = threading.Thread(target=lambda: errors.extend(process.stderr))  # a full pipe would stop the training
        drain.start()
        for line in process.stdout:
            if line.startswith("step"):
                tick()
        drain.join()
    if process.returncode:
        raise RasuraError(why_it_failed(job.role, process.returncode, errors))


def train_one(job: PictureJob, on_step: Callable[[int], None]) -> None:
    """Train in this process and put the model in its place."""
    recipe, out = RECIPES[job.size], Path(job.out)
    if job.role == JUDGE:
        model = train_judge(job.variant, world_of(job.variant, job.size), recipe, job.seed, on_step)
    else:
        model = train_pictures(job.plan, recipe, job.seed, job.role, on_step)
    put(model, out)


if __name__ == "__main__":
    train_one(PictureJob(**json.loads(sys.argv[1])), lambda step: print(f"step {step}", flush=True))
