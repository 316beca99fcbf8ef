"""Studies, seed by seed: each kept in the store the moment it is whole, two processes at a time where it pays.

``python -m rasura.claims._seeds JOB`` runs one seed of one study and prints one line a tick; one thread a process, so
a seed gives the same numbers alone or beside another.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from ..core import registry
from ..core.errors import RasuraError
from ..core.store import Store
from ..core.types import digest, plain
from ..observations._engine import Progress, quiet
from ._source import code_digest

PROCESSES = 2


class Study(Protocol):
    """What one seed of a claim costs: a frozen dataclass of plain settings with one verb.

    ``testbed`` (a class attribute): which planted truth it runs on, "language" where nothing is said, of ``size``; with ""
    it needs none and ``planted`` is None.
    """

    Data: ClassVar[type]  # a dataclass of arrays, one row a record

    @property
    def ticks(self) -> int: ...  # calls of ``tick`` in one run

    @property
    def modules(self) -> Sequence[str]: ...  # what it loads by name, beyond what its own module imports

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> Any: ...


def each_seed(study: Any, seeds: Sequence[int], store: Store, progress: Progress = quiet) -> list[Any]:
    """The study's ``Data`` for every seed, in their order; what is in the store is read back."""
    keys = {seed: key_of(study, seed) for seed in seeds}
    missing = [seed for seed in seeds if store.find(keys[seed], study.Data) is None]
    testbed = testbed_of(study)
    for seed in missing if testbed is not None else ():
        testbed.build(seed, progress=progress)
    if missing:
        with progress(_label(study), len(missing) * study.ticks) as advance:
            if store.local and len(missing) > 1 and (os.cpu_count() or 1) >= PROCESSES:
                _side_by_side(study, missing, keys, store, advance)
            else:
                for seed in missing:
                    store.write(keys[seed], _computed(study, seed, lambda: advance(1)))
    return [store.read(keys[seed], study.Data) for seed in seeds]


def key_of(study: Any, seed: int) -> str:
    """Where a seed's result is kept: by the study's settings, the code behind it, the testbed and the seed.

    A study stands in a file of its own, so that neither the wording of a claim nor how studies are run takes part.
    """
    code = [code_digest(module) for module in (type(study).__module__, *study.modules)]
    testbed = testbed_of(study)
    truth = seed if testbed is None else testbed.key(seed)
    return f"claims/{type(study).__name__}/{digest([study, code, truth])}"


def testbed_of(study: Any) -> Any:
    """The testbed a study runs on, or None where it needs none."""
    name = getattr(type(study), "testbed", "language")
    return registry.get("testbeds", name)(size=study.size) if name else None


def keys_of(claim: Any) -> list[str]:
    """Keys of all results a claim is decided on."""
    settings = [getattr(claim, field.name) for field in dataclasses.fields(claim)]
    return [key_of(study, seed) for study in settings if hasattr(study, "ticks") for seed in claim.seeds]


def _label(study: Any) -> str:
    return f"study {type(study).__name__}"


def _computed(study: Any, seed: int, tick: Callable[[], None]) -> Any:
    from ..training.loop import pinned_threads

    testbed = testbed_of(study)
    planted = None if testbed is None else testbed.build(seed)
    with pinned_threads(1):
        return study.run(seed, planted, tick)


def _side_by_side(study: Any, seeds: Sequence[int], keys: dict[int, str], store: Store, advance: Callable) -> None:
    waiting, lock, failures = list(seeds), threading.Lock(), []

    def ticked() -> None:
        with lock:
            advance(1)

    def follow() -> None:
        while waiting and not failures:
            seed = waiting.pop(0)
            try:
                _spawn({"study": plain(study), "seed": seed, "key": keys[seed], "store": store.root}, ticked)
            except RasuraError as error:
                failures.append(error)

    threads = [threading.Thread(target=follow) for _ in range(PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _spawn(job: dict[str, Any], ticked: Callable[[], None]) -> None:
    source = str(Path(__file__).parents[2])
    paths = os.pathsep.join(p for p in (source, os.environ.get("PYTHONPATH", "")) if p)
    command = [sys.executable, "-m", "rasura.claims._seeds", json.dumps(job)]
    errors: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        drain = threading.Thread(target=lambda: errors.extend(process.stderr))  # a full pipe would stop the study
        drain.start()
        for line in process.stdout:
            if line.startswith("tick"):
                ticked()
        drain.join()
    if process.returncode:
        last = next((line.strip() for line in reversed(errors) if line.strip()), "no message")
        raise RasuraError(f"seed {job['seed']} of {job['study']['class']} failed: {last[:200]}")


def revived(body: dict[str, Any]) -> Any:
    """The study that ``plain`` made into a dictionary; lists are its tuples.

    >>> from rasura.core.types import Budget
    >>> revived(plain(Budget(steps=3))) == Budget(steps=3)
    True
    """
    module, _, name = body["class"].rpartition(".")
    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in body.items() if key != "class"}
    return getattr(importlib.import_module(module), name)(**settings)


def main(argument: str) -> None:
    """Run one job and keep its result."""
    import torch

    torch.set_num_threads(1)
    job = json.loads(argument)
    study = revived(job["study"])
    if key_of(study, job["seed"]) != job["key"]:
        raise RasuraError("the program changed while it ran: run it again")
    data = _computed(study, job["seed"], lambda: print("tick", flush=True))
    Store(job["store"]).write(job["key"], data)


if __name__ == "__main__":
    main(sys.argv[1])
