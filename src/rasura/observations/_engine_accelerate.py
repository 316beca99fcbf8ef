"""Several processes, one store: ``accelerate launch -m rasura ...`` splits the missing shards among them.

Process 0 says which shards are missing; the k-th of them belongs to process k modulo their number, so each is computed
once. After every sixteen shards a process they hear from each other: an error of one becomes the error of all, and a
process that died is noticed. Then every process reads every shard, so whatever follows is the same in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput, RasuraError
from ._engine_processes import Processes

if TYPE_CHECKING:
    from ._engine import Engine, Job

ROUND = 16  # shards a process computes before it listens


@dataclass
class Together:
    """The crew of one ``accelerate launch``."""

    processes: Processes

    def fill(self, engine: Engine, job: Job) -> int:
        """Compute my share of the missing shards; returns the samples computed by all. Raises BadInput, ProcessLost."""
        from ._engine import _threads_for, _words

        if self.processes.alone:
            return 0
        if str(engine.store.root).startswith("memory:"):
            raise BadInput("several processes need a --store that all of them can see: a folder or URL, not memory")
        missing = self._missing(engine, job)
        samples = sum(len(engine.span(job, job.shards[key])) for key in missing)
        if not missing:
            return 0
        step = ROUND * self.processes.world
        label = _words(type(job.ask.what).__name__)
        with job.treated() as model, _threads_for(model), engine.progress(label, samples) as advance:
            for begin in range(0, len(missing), step):
                part = missing[begin : begin + step]
                self._round(engine, job, model, part)
                advance(sum(len(engine.span(job, job.shards[key])) for key in part))
        self._check_shared(engine, missing)
        return samples

    def _missing(self, engine: Engine, job: Job) -> list[str]:
        """As process 0 finds them, for all: a store that fills meanwhile must not divide the crew."""
        keys = list(job.shards)
        found = [i for i, key in enumerate(keys) if not engine.store.has(key)] if self.processes.rank == 0 else []
        same = self.processes.exchange("shards", (keys[0].rpartition("/")[0], len(keys), found))
        if len({(folder, count) for folder, count, _ in same}) > 1:
            raise BadInput("the processes of this run ask different questions: give all the same models and records")
        return [keys[i] for i in same[0][2]]

    def _round(self, engine: Engine, job: Job, model: Any, keys: list[str]) -> None:
        error: Exception | None = None
        try:
            for key in keys[self.processes.rank :: self.processes.world]:
                engine.store.write(key, engine.compute(job, model, key))
        except Exception as problem:  # told to all before it is raised, so that nobody waits
            error = problem
        said = self.processes.exchange("round", None if error is None else _told(error))
        if error is not None:
            raise error
        for rank, what in enumerate(said):
            if what is not None:
                raise BadInput(f"process {rank} of {self.processes.world}: {what}")

    def _check_shared(self, engine: Engine, missing: list[str]) -> None:
        hidden = [key for key in missing if not engine.store.has(key)]
        seen = self.processes.exchange("shared", not hidden)
        if not all(seen):
            blind = seen.index(False)
            raise BadInput(
                f"{engine.store.root}: process {blind} of {self.processes.world} does not see what the others wrote; "
                "give a --store that all machines share"
            )


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, RasuraError) else f"{type(error).__name__}: {error}"
