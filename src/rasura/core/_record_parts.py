"""What records are made of: who was asked, about which records, with which method, at which cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .types import Estimate


@dataclass(frozen=True)
class ModelCard:
    """Which model: role, name given by the person, hash of weights and treatments, size."""

    role: str
    name: str
    fingerprint: str
    parameters: int = 0
    architecture: str = ""
    treatments: tuple[str, ...] = ()
    modality: str = "text"


@dataclass(frozen=True)
class Population:
    """Which records: how many, and the hash of their contents."""

    name: str
    n: int
    digest: str
    unscorable: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)  # why records could not be scored -> how many


@dataclass(frozen=True)
class MethodUsed:
    """A method with its settings and the evidence behind it (status is computed from tests, golden files, claims)."""

    family: str
    name: str
    settings: Mapping[str, Any]
    status: str = "unproven"
    paper: str = ""


@dataclass(frozen=True)
class DoseRow:
    """One row of a dose-response table: records seen ``repeats`` times an epoch."""

    repeats: int
    estimate: Estimate
    label: str = ""


@dataclass(frozen=True)
class Skipped:
    """Something that did not run, why, and what would enable it."""

    name: str
    why: str


@dataclass(frozen=True)
class Run:
    """What is needed to run it again."""

    command: str
    seed: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Cost:
    """One shared pass: what it computes, of which model, on which view, and for which signals.

    What was computed and what was read from the store is not said here: the same audit gives the same record.
    """

    what: str
    of: str
    view: str
    forward: int  # passes a record
    backward: int
    samples: int
    signals: tuple[str, ...] = ()
    key: str = ""  # hash of the whole question


@dataclass(frozen=True)
class TextVerdict:
    """What is said of one text. ``member``: the truth the audit was told."""

    id: str
    p_value: float
    adjusted: float
    flagged: bool
    member: bool


@dataclass(frozen=True)
class Decisions:
    """A verdict per text, by one signal named before the run, with the share of false ones held down."""

    signal: str
    rate: float  # false-discovery rate asked for
    calibration: int  # non-members the p values come from; judged by nothing else here
    tested: int
    fewest: int  # texts that must stand out together before any can be flagged
    flagged: Estimate  # share of members flagged
    false_discoveries: Estimate | None  # share of flagged texts that were never seen; None where nothing was flagged
    texts: tuple[TextVerdict, ...] = ()  # smallest p first


@dataclass(frozen=True)
class Example:
    """One extracted record: masked always, revealed only where asked for."""

    id: str
    family: str
    repeats: int | None
    prompt_masked: str
    output_masked: str
    log_probability: float  # nats, of the exact continuation
    tokens: int
    prompt: str = ""
    output: str = ""


@dataclass(frozen=True)
class MeasureRow:
    """One measure of an extraction at one setting; rows of one name and axis form a curve."""

    name: str
    axis: str  # what is varied, with its unit ("tokens of context", "parameters"); "" for a number on its own
    x: float
    estimate: Estimate
    floor: Estimate | None = None  # the same on records never seen


@dataclass(frozen=True)
class Step:
    """One line of a training transcript."""

    step: int
    forget: float
    retain: float
    gradient_norm: float = math.nan


@dataclass(frozen=True)
class GridRow:
    """One row of pictures: PNG files as data URIs."""

    label: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """Pictures side by side, as a report shows them; ``columns`` are captions, one a column, or none."""

    title: str
    rows: tuple[GridRow, ...]
    columns: tuple[str, ...] = ()
    note: str = ""
