"""A Ray cluster computes the missing shards: Ray Data maps ``measure`` over them, its scheduler does the rest.

One row of the data set is one shard. A worker asks the store whether the shard is there, computes it if not, and writes
it under its content's key; so a worker that is lost costs the shards it had under way, which Ray hands to another. Where
the store is this process's own memory, workers send shards back instead. Models go to a worker once and stay there as
long as it lives.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput, MissingDependency, ProcessLost, RasuraError
from ._engine_processes import AGAIN

if TYPE_CHECKING:
    from ._engine import Engine, Job

BLOCKS = 10_000  # pieces of a pass that Ray schedules at most; one holds several shards beyond that
IN_WORKER: dict[str, Any] = {}  # in a worker: the model of the last pass, by fingerprint, ready to answer


@dataclass
class Cluster:
    """The crew of a Ray cluster: the one RAY_ADDRESS names, or one of this machine alone, started at the first pass.

    ``models``: what was sent to it last, by fingerprint.
    """

    models: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def start(cls) -> Cluster:
        """Raises MissingDependency without Ray."""
        from importlib.util import find_spec

        if find_spec("ray") is None:
            raise MissingDependency("--engine ray", "Ray", "cluster")
        return cls()

    def fill(self, engine: Engine, job: Job) -> int:
        """Compute what is missing; returns the samples computed. Raises what ``measure`` raised, ProcessLost."""
        from ._engine import _words

        missing = [key for key in job.shards if not engine.store.has(key)]
        sizes = {key: len(engine.span(job, job.shards[key])) for key in missing}
        if not missing:
            return 0
        label = _words(type(job.ask.what).__name__)
        with _connected(), engine.progress(label, sum(sizes.values())) as advance, _plainly():
            for row in _mapped(engine, job, missing, self.sent(job.model)).iter_rows():
                if row["error"]:
                    raise _again(row["error"])
                if row["data"]:
                    engine.store.write(row["key"], pickle.loads(row["data"]))
                advance(sizes[row["key"]])
        hidden = next((key for key in missing if not engine.store.has(key)), None)
        if hidden is not None:
            raise BadInput(
                f"{engine.store.root}: what the workers wrote is not seen here; give a --store that the cluster shares"
            )
        return sum(sizes.values())

    def sent(self, model: Any) -> tuple[str, Any]:
        """The model's fingerprint and where workers find it; sent again only after two others were."""
        import ray

        name = model.fingerprint
        if name not in self.models:
            while len(self.models) >= 2:
                del self.models[next(iter(self.models))]
            self.models[name] = ray.put(model)
        return name, self.models[name]


def _mapped(engine: Engine, job: Job, missing: list[str], model: tuple[str, Any]) -> Any:
    """The lazy data set of finished shards: rows of key, error and, for a store in memory, data."""
    import ray

    from ..core.store import Store

    shared = not engine.store.root.startswith("memory:")
    ask, root, budget = job.ask, engine.store.root, engine.token_budget

    def answer(row: dict[str, Any]) -> dict[str, Any]:
        data, error = b"", ""
        try:
            store = Store(root) if shared else None
            if store is None or not store.has(row["key"]):  # else the worker that wrote it was lost before it said so
                found = answered(pickle.loads(row["shard"]), ask, model, budget)
                data = pickle.dumps(found) if store is None else b""
                if store is not None:
                    store.write(row["key"], found)
        except Exception as problem:  # Ray would wrap it and print it
            error = f"{'' if isinstance(problem, RasuraError) else type(problem).__name__}\n{problem}"
        return {"key": row["key"], "data": data, "error": error}

    rows = [{"key": key, "shard": _packed(engine, job, key)} for key in missing]
    cards = 1 if job.model.device.type == "cuda" else None
    pieces = ray.data.from_items(rows, override_num_blocks=min(len(rows), BLOCKS))
    return pieces.map(answer, num_cpus=1, num_gpus=cards)


def _again(error: str) -> Exception:
    """What went wrong in a worker, as if it had gone wrong here."""
    name, _, text = error.partition("\n")
    return RuntimeError(f"a worker failed: {name}: {text}") if name else BadInput(text)


def answered(shard: Any, ask: Any, model: tuple[str, Any], budget: int) -> Any:
    """In a worker: one shard's data. The model stays for the next shard that asks the same of it."""
    import ray

    from ._engine import Engine, Job, _threads_for

    name = f"{model[0]} {ask.of}"
    if name not in IN_WORKER:
        for stack, _ in IN_WORKER.values():
            stack.close()
        IN_WORKER.clear()
        stack = ExitStack()
        handle = ray.get(model[1])
        IN_WORKER[name] = (stack, stack.enter_context(Job(ask, handle, None, None, {}).treated()))
    treated = IN_WORKER[name][1]
    samples, given = shard
    with _threads_for(treated):
        engine = Engine(token_budget=budget, shard=max(1, len(samples)))
        return engine.compute(Job(ask, treated, samples, given, {"": 0}), treated, "")


def _packed(engine: Engine, job: Job, key: str) -> bytes:
    import numpy as np

    from ..core import store

    rows = engine.span(job, job.shards[key])
    return pickle.dumps((job.samples.take(rows), job.given and store.take(job.given, np.array(rows))))


@contextmanager
def _connected() -> Iterator[None]:
    """Ray, started once a process and left running for the next pass; it sends no statistics of its use anywhere."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import logging

    import ray

    if not ray.is_initialized():
        local = {} if os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
        ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **local)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    yield


@contextmanager
def _plainly() -> Iterator[None]:
    """An error of Ray's own, as a person needs it; those of ``measure`` come back as rows."""
    import ray

    try:
        yield
    except ray.exceptions.RayError as error:
        why = str(error).strip().splitlines()[-1:]
        raise ProcessLost(f"the cluster gave up ({type(error).__name__}: {''.join(why)}); {AGAIN}") from None
