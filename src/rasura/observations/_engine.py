"""The pass engine: batches, memory, resume. An expensive pass over data is run once and kept.

Samples are cut into shards of a fixed number in the order given; a shard's key is the hash of what it depends on, so
a pass that was killed goes on at the first missing shard, and one that is asked for again reads all of them. Inside a
shard, batches hold samples of similar width (tokens of a text, latent positions of a picture) up to a budget. Running out of memory halves the budget; a
sample that does not fit alone becomes a blank row with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ..core import store as _store
from ..core.errors import NeedsRole
from ..core.store import Store
from ..core.types import Ask, Plain, Samples, Treated, digest

SHARD = 64  # samples a shard: what a kill can cost at most
TOKEN_BUDGET = 8192  # tokens a batch, padding included
SMALL = 20_000_000  # parameters below which one CPU thread is faster than several


class Progress(Protocol):
    """Told how many samples of a pass are done; see cli/_progress.py."""

    def __call__(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]: ...


class Crew(Protocol):
    """Who computes the missing shards of a pass when it is not this process alone; see _engine_crews.py."""

    def fill(self, engine: Engine, job: Job) -> int:
        """See that every shard of the job is in the store; how many samples were computed."""
        ...


def quiet(label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """No progress at all."""
    return nullcontext(lambda done: None)


@dataclass
class Pass:
    """One line of the bill: which quantity of which model over how many samples, and how many were computed."""

    what: str
    of: str
    samples: int
    computed: int = 0
    ask: Ask | None = None


@dataclass(frozen=True)
class Job:
    """One pass as a crew sees it. ``shards``: where each distinct shard begins in ``samples``, by key."""

    ask: Ask
    model: Any  # without the treatment of ``ask``
    samples: Samples  # after the view
    given: Any  # rows another observation made of them, or None
    shards: Mapping[str, int]

    def treated(self) -> AbstractContextManager[Any]:
        """The model the question is about, while the block runs."""
        treatment = self.ask.of.treatment if isinstance(self.ask.of, Treated) else None
        return nullcontext(self.model) if treatment is None else self.model.perturbed(treatment)


@dataclass
class Engine:
    """Answers asks. ``passes`` is the bill so far. ``crew``: None is this process alone."""

    store: Store = field(default_factory=Store)
    progress: Progress = quiet
    token_budget: int = TOKEN_BUDGET
    shard: int = SHARD
    passes: list[Pass] = field(default_factory=list)
    crew: Crew | None = None

    def observe_all(self, asks: Iterable[Ask], models: Mapping[str, Any], samples: Samples) -> dict[Ask, Any]:
        """Every distinct ask once."""
        return {ask: self.observe(ask, models, samples) for ask in dict.fromkeys(asks)}

    def observe(self, ask: Ask, models: Mapping[str, Any], samples: Samples) -> Any:
        """The observation's ``Data`` over the samples, in their order.

        Raises NeedsRole when the model asked for was not given, BadInput when a sample cannot be read by the model,
        StoreDamaged when the system does not let a finished shard be read.
        """
        if ask.role not in models:
            raise NeedsRole(type(ask.what).__name__, ask.role)
        viewed, model = ask.view.apply(samples), models[ask.role]
        if not viewed:
            return ask.what.blank("", 0)
        if not isinstance(ask.view, Plain) and model.modality == "text":
            viewed = model.fit(viewed, truncate=True)  # seen differently, a record that fitted can need more tokens
        given = self._given(ask, models, samples)
        job = Job(ask, model, viewed, given[1], {})
        done = self._filled(job, given[0]) if self.crew is not None else 0
        with job.treated() as treated, _threads_for(model):
            return self._shards(ask, treated, viewed, given, done)

    def _given(self, ask: Ask, models: Mapping[str, Any], samples: Samples) -> tuple[str, Any]:
        """What an observation looks at besides its model: (hash of where it came from, data); mostly nothing."""
        source = getattr(ask.what, "given", None)
        if source is None:
            return "", None
        data = self.observe(source, models, samples)
        return digest([self._question(source.what), models[source.role].fingerprint, str(source.of)]), data

    def _filled(self, job: Job, source: str) -> int:
        """Let the crew compute what is missing; reading it all back is left to ``_shards``."""
        with job.treated() as model:
            folder, shards = self._folder(job.ask, model, source), {}
        for at in range(0, len(job.samples), self.shard):
            shards.setdefault(f"{folder}/{job.samples.take(self.span(job, at)).digest}", at)
        return self.crew.fill(self, replace(job, shards=shards))

    def span(self, job: Job, at: int) -> range:
        """The samples of the shard that begins at ``at``."""
        return range(at, min(at + self.shard, len(job.samples)))

    def compute(self, job: Job, model: Any, key: str) -> Any:
        """One shard's data, from a model treated as the job says."""
        rows = self.span(job, job.shards[key])
        given = job.given and _store.take(job.given, np.array(rows))
        return self._compute(job.ask.what, model, job.samples.take(rows), given)

    def _folder(self, ask: Ask, model: Any, source: str) -> str:
        label = type(ask.what).__name__
        return "/".join(f for f in (f"observations/{label}-{self._question(ask.what)}", model.fingerprint, source) if f)

    def _shards(
        self, ask: Ask, model: Any, samples: Samples, given: tuple[str, Any] = ("", None), computed: int = 0
    ) -> Any:
        label = type(ask.what).__name__
        bill = Pass(label, str(ask.of), len(samples), computed, ask=ask)
        self.passes.append(bill)
        folder = self._folder(ask, model, given[0])
        parts = []
        with self.progress(_words(label), len(samples)) as advance:
            for at in range(0, len(samples), self.shard):
                part = samples.take(range(at, min(at + self.shard, len(samples))))
                key = f"{folder}/{part.digest}"
                kept = self.store.find(key, ask.what.Data)
                if kept is not None:
                    parts.append(kept)
                else:
                    rows = given[1] and _store.take(given[1], np.arange(at, at + len(part)))
                    parts.append(self._compute(ask.what, model, part, rows))
                    self.store.write(key, parts[-1])
                    bill.computed += len(part)
                advance(len(part))
        return _store.concatenate(parts)

    def _question(self, observation: Any) -> str:
        return digest([type(observation).__qualname__, type(observation).version, observation])

    def _compute(self, observation: Any, model: Any, samples: Samples, given: Any = None) -> Any:
        if hasattr(model, "encode_all"):
            model.encode_all(samples)  # in one call; their widths are then known
        widths = getattr(observation, "rows", 1) * np.array([model.width(s) for s in samples])
        order = np.argsort(-widths, kind="stable")  # longest first: running out of memory shows at once
        rows = [
            self._measure(observation, model, samples.take(b), given and _store.take(given, b))
            for b in self._batches(order, widths)
        ]
        joined = _store.concatenate(rows)
        return _store.take(joined, np.argsort(order, kind="stable"))

    def _batches(self, order: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
        start = 0
        while start < len(order):
            width = max(1, int(lengths[order[start]]))
            size = max(1, self.token_budget // width)
            yield order[start : start + size]
            start += size

    def _measure(self, observation: Any, model: Any, samples: Samples, given: Any = None) -> Any:
        """Measure, halving what is tried at once (and the budget from now on) when memory runs out."""
        try:
            return observation.measure(model, samples) if given is None else observation.measure(model, samples, given)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
        _free_memory()
        if len(samples) == 1:
            return observation.blank("out of memory", 1)
        tokens = getattr(observation, "rows", 1) * sum(model.width(s) for s in samples)
        self.token_budget = max(1, min(self.token_budget, tokens) // 2)
        halves = np.array_split(np.arange(len(samples)), 2)
        return _store.concatenate(
            [self._measure(observation, model, samples.take(h), given and _store.take(given, h)) for h in halves]
        )


@contextmanager
def _threads_for(model: Any) -> Iterator[None]:
    """One CPU thread for a small model: its matrices are too small to share out, and threads that wait burn cores.

    It also makes the numbers independent of how many cores a machine has. Larger models keep the threads they have.
    """
    import torch

    before = torch.get_num_threads()
    if model.device.type == "cpu" and model.parameters < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _out_of_memory(error: BaseException) -> bool:
    return (
        isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate memory" in str(error)
    )


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _words(name: str) -> str:
    """TokenStatistics -> token statistics."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()
