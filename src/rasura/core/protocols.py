"""The shapes every family keeps. A method is a frozen dataclass with one of these verbs; nothing inherits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from .records import MarkTest, Verdict
from .types import Ask, Budget, Estimate, Recovered, Request, Samples, Site

FloatArray = np.ndarray


@runtime_checkable
class Handle(Protocol):
    """A loaded model. The caller's handle is never changed by anything in this package."""

    @property
    def fingerprint(self) -> str: ...
    def sites(self, kind: str) -> Sequence[Site]: ...
    def clone(self) -> Self: ...


H = TypeVar("H", bound=Handle)
H_contra = TypeVar("H_contra", bound=Handle, contravariant=True)


@runtime_checkable
class Observation(Protocol):
    """An expensive pass over data. ``measure`` returns the class's ``Data``: a dataclass of arrays, one row a sample.

    An observation on what another one returned (a judge's view of generated pictures) names it by a property
    ``given``, an ``Ask``; the engine answers that first and calls ``measure(model, batch, given)``. ``rows`` (default 1):
    how many rows of a batch one sample takes.
    """

    version: ClassVar[int]  # raise it when the numbers change
    Data: ClassVar[type]

    def measure(self, model: Any, batch: Samples) -> Any: ...


@runtime_checkable
class Signal(Protocol):
    """Observations to one score a sample: cheap, pure; higher = more likely seen; NaN = cannot be scored."""

    def needs(self) -> Mapping[str, Ask]: ...

    score: Callable[..., FloatArray]  # score(**observed) -> (n,); names are the keys of needs()


@runtime_checkable
class Metric(Protocol):
    """Observations to one number with its interval."""

    better: ClassVar[Literal["higher", "lower"]]

    def needs(self) -> Mapping[str, Ask]: ...

    estimate: Callable[..., Estimate]


@runtime_checkable
class Extractor(Protocol):
    """A way to make a model give up a record. ``extract`` is pure, like a signal's ``score``.

    Where its answer has more to say than one number a record, ``measures(found, samples)`` returns it as ``MeasureRow``s.
    """

    def needs(self) -> Mapping[str, Ask]: ...

    extract: Callable[..., Any]  # extract(**observed) -> extraction._match.Extracted


@dataclass(frozen=True)
class Loss:
    """The two terms of an erasing loss, kept apart: only the loop combines them. Scalar tensors, or None for absent."""

    forget: Any
    retain: Any


@runtime_checkable
class Objective(Protocol):
    """What to minimise. ``frozen`` answers what the model said before training began."""

    def loss(self, model: Any, frozen: Any, forget: Samples, retain: Samples) -> Loss: ...


@dataclass(frozen=True)
class Trainable:
    """What a selection lets move: the handle to train, an optional 0/1 mask a parameter, and how to finish.

    ``masks`` maps parameter names to boolean tensors; a parameter that requires grad and has no mask moves freely.
    ``finish`` turns the trained handle into one that stands alone (for instance merges an adapter).
    """

    model: Any
    masks: Mapping[str, Any]
    finish: Callable[[Any], Any]


@runtime_checkable
class Selection(Protocol):
    """Which parameters may move."""

    def select(self, model: Any, request: Request) -> Trainable: ...


@runtime_checkable
class Treatment(Protocol):
    """Whatever changes behaviour: fine-tuning, an edit, pruning, a guard. Handle in, new handle out."""

    def apply(self, model: Any, request: Request, *, seed: int = 0) -> Any: ...


@runtime_checkable
class Attack(Protocol):
    """Try to get erased content back.

    An attacker who also holds the model from before the erasure takes it as the keyword ``before``. An attack that
    shows something else than recovered records names what it shows where nothing is given away: ``floor``.
    """

    access: ClassVar[Literal["black-box", "grey-box", "white-box"]]

    def attack(self, model: Any, request: Request, budget: Budget, *, seed: int = 0) -> Recovered: ...


@dataclass(frozen=True)
class Query:
    """What an ownership test asks, and about which texts of its own."""

    ask: Ask
    samples: Samples


@dataclass(frozen=True)
class Marked:
    """Texts with a mark in them, one for each that was given, and the owner's secret key: plain data for JSON."""

    texts: tuple[str, ...]
    key: Mapping[str, Any]


@runtime_checkable
class OwnershipTest(Protocol):
    """Has a model read somebody's texts? Exact p values from a choice that chance made, and the model could not know.

    ``evidence``: what the owner brings: the "key" of a mark, a "transcript" of training, or "texts". ``queries`` says
    what to observe, given the model roles that are there; ``test`` is pure, and its first entry is the test that a
    verdict speaks of: it was chosen before anything was seen. A p value is NaN where nothing can be said.
    """

    evidence: ClassVar[Literal["key", "transcript", "texts"]]
    finds: ClassVar[str]  # what a small p value is evidence of: "the model was trained on the marked texts"

    def queries(self, evidence: Any, roles: Collection[str]) -> Mapping[str, Query]: ...

    test: Callable[..., tuple[MarkTest, ...]]  # test(evidence, **observed); names are the keys of queries()


@runtime_checkable
class Mark(OwnershipTest, Protocol):
    """An ownership test whose evidence is put into the texts before they are published."""

    def embed(self, samples: Samples, *, seed: int = 0) -> Marked: ...


@runtime_checkable
class Testbed(Protocol):
    """Models with planted truth, trained on the spot."""

    def build(self, seed: int = 0) -> Any: ...


@runtime_checkable
class Claim(Protocol):
    """One checkable sentence of a paper."""

    def check(self, store: Any) -> Verdict: ...
