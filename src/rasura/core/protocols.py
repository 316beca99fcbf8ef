"""The shapes every family keeps. A method is a frozen dataclass with one of these verbs; nothing inherits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from .records import Verdict
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
    """A way to make a model give up a record. ``extract`` is pure, like a signal's ``score``."""

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


@runtime_checkable
class Testbed(Protocol):
    """Models with planted truth, trained on the spot."""

    def build(self, seed: int = 0) -> Any: ...


@runtime_checkable
class Claim(Protocol):
    """One checkable sentence of a paper."""

    def check(self, store: Any) -> Verdict: ...
