"""The nouns every part of the house speaks in: samples, requests, asks, estimates.

Nothing here knows a model, a method or any mathematics beyond hashing and slicing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # protocols.py imports this module; only the type checker needs the way back
    from .protocols import Observation, Treatment


@dataclass(frozen=True)
class Picture:
    """A picture by content: ``path`` says where it is read from, ``digest`` what it shows (decoded RGB pixels)."""

    path: str
    digest: str
    width: int
    height: int


@dataclass(frozen=True)
class Sample:
    """One record: a text (and, for a text-to-image model, the picture it captions) and what is known about it.

    ``start`` and ``secret`` are character positions in ``text``:

    - ``text[:start]`` is context the model is given and never scored on (a question before its answer);
    - ``text[secret:]`` is what an extraction must produce (None: the second half of the tokens).

    ``shows`` names the class a judge should see in a picture drawn from the text, such as "ring".
    """

    id: str
    text: str
    start: int = 0
    secret: int | None = None
    repeats: int | None = None  # copies per training epoch, where known (planted truth, duplicate counts)
    family: str = ""  # kind of record, such as "biography"; groups tables, never scores
    picture: Picture | None = None
    shows: str = ""

    @property
    def digest(self) -> str:
        """Hash of everything a pass over this sample can depend on; ids and bookkeeping take no part."""
        of_pictures = [self.picture.digest if self.picture else "", self.shows]
        return digest([self.text, self.start, self.secret, *(of_pictures if any(of_pictures) else [])])


class Samples(tuple[Sample, ...]):
    """An ordered, hashable collection of samples."""

    __slots__ = ()

    def __new__(cls, samples: Iterable[Sample] = ()) -> Samples:
        return super().__new__(cls, samples)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Samples:
        """Samples from bare texts, numbered from 0."""
        return cls(Sample(id=str(i), text=text) for i, text in enumerate(texts))

    @property
    def texts(self) -> list[str]:
        return [sample.text for sample in self]

    @property
    def ids(self) -> list[str]:
        return [sample.id for sample in self]

    @property
    def digest(self) -> str:
        return digest([sample.digest for sample in self])

    def where(self, keep: Callable[[Sample], bool]) -> Samples:
        return Samples(sample for sample in self if keep(sample))

    def take(self, indices: Iterable[int]) -> Samples:
        return Samples(self[int(i)] for i in indices)


@dataclass(frozen=True)
class Request:
    """What to erase and what must survive it.

    ``concept``: the phrase to erase from a text-to-image model. ``judge``: a handle that says what a picture shows
    (models/judges.py); metrics and attacks on pictures read it.
    """

    forget: Samples = Samples()
    retain: Samples = Samples()
    concept: str | None = None
    judge: Any = None


@dataclass(frozen=True)
class Plain:
    """The view that changes nothing."""

    def apply(self, samples: Samples) -> Samples:
        return samples


@dataclass(frozen=True)
class Treated:
    """A model role with a treatment on top, such as the target with noise added to its weights."""

    role: str
    treatment: Treatment

    def __str__(self) -> str:
        return f"{self.role} under {self.treatment}"


@dataclass(frozen=True)
class Ask:
    """One expensive question: which quantity, of which model role, on which view of the data.

    The three are independent, so two methods that ask the same thing share one pass.
    """

    what: Observation
    of: str | Treated = "target"
    view: Any = field(default_factory=Plain)

    @property
    def role(self) -> str:
        return self.of if isinstance(self.of, str) else self.of.role


@dataclass(frozen=True)
class Estimate:
    """A number that carries its interval, its sample size and its unit.

    ``low`` and ``high`` bound a 95 % interval unless ``level`` says otherwise; ``n`` counts samples, never tokens.
    ``note`` says why a value is absent (NaN), for instance ``not resolvable with 40 non-members``.
    """

    value: float
    low: float
    high: float
    n: int
    unit: str
    level: float = 0.95
    note: str = ""

    @property
    def known(self) -> bool:
        return not math.isnan(self.value)

    def __str__(self) -> str:
        if not self.known:
            return self.note or "not available"
        value, low, high = (round(x, 3) + 0.0 for x in (self.value, self.low, self.high))  # + 0.0: no minus zero
        return f"{value:.3f} [{low:.3f}, {high:.3f}] (n={self.n})"


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths, stored flat.

    Row i is ``values[offsets[i]:offsets[i + 1]]``; ``offsets`` has one entry more than there are rows.

    >>> r = Ragged.of([[1.0, 2.0], [], [3.0]])
    >>> r.lengths.tolist(), r[0].tolist(), r.reduce(np.sum).tolist()
    ([2, 0, 1], [1.0, 2.0], [3.0, nan, 3.0])
    """

    values: np.ndarray  # (total,)
    offsets: np.ndarray  # (rows + 1,) int64

    @classmethod
    def of(cls, rows: Iterable[Any], dtype: Any = None) -> Ragged:
        arrays = [np.asarray(row, dtype=dtype) for row in rows]
        lengths = [len(a) for a in arrays]
        values = np.concatenate(arrays) if arrays else np.zeros(0, dtype=dtype or np.float64)
        return cls(values, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def take(self, indices: np.ndarray) -> Ragged:
        """The rows at ``indices`` (integers from 0, or one bool a row), in that order.

        >>> Ragged.of([[1.0, 2.0], [], [3.0]]).take(np.array([2, 0])).values.tolist()
        [3.0, 1.0, 2.0]
        """
        indices = np.arange(len(self))[np.asarray(indices)]
        lengths = self.lengths[indices]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        shift = np.repeat(self.offsets[indices] - offsets[:-1], lengths)  # where a row lies, less where it comes to lie
        return Ragged(self.values[np.arange(offsets[-1]) + shift], offsets)

    def reduce(self, function: Callable[[np.ndarray], float]) -> np.ndarray:
        """One float64 a row; an empty row is NaN."""
        return np.array(
            [float(function(row.astype(np.float64))) if len(row) else np.nan for row in self], dtype=np.float64
        )

    def mean(self) -> np.ndarray:
        return self.reduce(np.mean)

    def sum(self) -> np.ndarray:
        return self.reduce(np.sum)


@dataclass(frozen=True)
class Budget:
    """What an attacker may spend, or has spent."""

    steps: int = 0  # optimiser steps
    queries: int = 0  # forward passes, one a sample
    samples: int = 0  # texts or pictures generated


@dataclass(frozen=True)
class Recovered:
    """What an attack got back.

    ``score`` has one entry a sample of the forget set: 1 recovered, 0 not, between for partial recovery, NaN for
    samples the attack was shown and which therefore say nothing.
    """

    score: np.ndarray  # (n,)
    evidence: tuple[str, ...] = ()  # one line a fact, never forgotten text itself
    spent: Budget = Budget()
    pictures: Any = None  # what an attack on a text-to-image model drew: (n, k, H, W, 3) uint8, for the report's grids


@dataclass(frozen=True)
class Known:
    """Records whose truth a learning signal is told, by row number; it is never judged on them.

    ``trained``: for shadow models, by role, which of all rows the model was trained on.
    """

    members: np.ndarray  # (m,) int64
    nonmembers: np.ndarray  # (k,) int64
    trained: Mapping[str, np.ndarray] = field(default_factory=dict)  # role -> (n,) bool


@dataclass(frozen=True)
class Site:
    """A named place in a model: the weight of one module and what it does there."""

    name: str  # module path, for instance "gpt_neox.layers.0.mlp.dense_4h_to_h"
    kind: str  # "mlp.down", "attention.query_key_value", "block", ...
    layer: int  # -1: not inside a block


def digest(value: Any) -> str:
    """Stable hex hash of plain data (dataclasses, dicts, lists, strings, numbers)."""
    text = json.dumps(plain(value), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def plain(value: Any) -> Any:
    """The value as JSON would hold it; a dataclass becomes its fields plus the name of its class."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"class": f"{type(value).__module__}.{type(value).__qualname__}", **fields}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [plain(v) for v in value]
        return sorted(items, key=repr) if isinstance(value, (set, frozenset)) else items
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"cannot make {type(value).__name__} plain data")
