"""Records: what ran, with which settings, and what was found. Frozen, JSON in and out, versioned.

A record holds digests of the data and never its contents, except for the examples of an extraction, which are the
finding itself; those carry both a masked form and, where asked for, the revealed one. No wall-clock time takes part,
so the same run gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tempfile
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from .errors import BadInput
from .types import Budget, Estimate

SCHEMA = 1


@dataclass(frozen=True)
class ModelCard:
    """Which model: role, name given by the person, hash of weights and treatments, size."""

    role: str
    name: str
    fingerprint: str
    parameters: int = 0
    architecture: str = ""
    treatments: tuple[str, ...] = ()


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
class SignalResult:
    """How well one signal tells members from non-members."""

    method: MethodUsed
    auc: Estimate
    tpr: Mapping[str, Estimate]  # "0.001" -> TPR at that FPR
    p_value: float  # one-sided, AUC > 1/2
    p_holm: float  # after Holm's correction over the signals of this audit
    over_loss: Estimate | None  # AUC minus the plain loss's AUC, same samples
    p_over_loss: float  # two-sided, Holm-corrected over the signals
    decision_fpr: Estimate | None  # threshold from one half of the non-members, rates on what was held out
    decision_tpr: Estimate | None
    unscorable: int
    roc: tuple[tuple[float, ...], tuple[float, ...]]  # false-positive rates, true-positive rates
    doses: tuple[DoseRow, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """Something that did not run, why, and what would enable it."""

    name: str
    why: str


@dataclass(frozen=True)
class BlindBaseline:
    """Can members be told from non-members without the model? If so, no number above chance is memory."""

    auc: Estimate
    separates: bool
    features: Mapping[str, Estimate] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Run:
    """What is needed to run it again."""

    command: str
    seed: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Audit:
    """Which signals tell members from non-members, with what certainty."""

    verdict: str  # one sentence
    leaks: bool
    models: tuple[ModelCard, ...]
    populations: tuple[Population, ...]
    blind: BlindBaseline
    signals: tuple[SignalResult, ...]
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    run: Run


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
class ExtractionResult:
    """What one way of extracting pulled out."""

    method: MethodUsed
    rate: Estimate
    floor: Estimate | None  # the same on records never seen
    doses: tuple[DoseRow, ...] = ()
    families: tuple[DoseRow, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Extraction:
    """What can be pulled out word for word, or nearly."""

    verdict: str
    leaks: bool
    models: tuple[ModelCard, ...]
    populations: tuple[Population, ...]
    results: tuple[ExtractionResult, ...]
    examples: tuple[Example, ...]
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    run: Run


@dataclass(frozen=True)
class Step:
    """One line of a training transcript."""

    step: int
    forget: float
    retain: float
    gradient_norm: float = math.nan


@dataclass(frozen=True)
class Erasure:
    """What was applied to which request, and what came out."""

    verdict: str  # what was done, in the words its class allows; proof is the Verification's business
    models: tuple[ModelCard, ...]  # before, after
    populations: tuple[Population, ...]  # forget, retain
    methods: tuple[MethodUsed, ...]  # objective, selection, loop
    changed_parameters: Estimate  # share of weights that differ
    transcript: tuple[Step, ...]
    stopped: str  # why training ended: "steps", "retain budget", ...
    derived: Mapping[str, float]  # settings a method worked out from the model, such as a layer
    suppression: bool  # True: the content is hidden, still in the weights (refusals, guards, unmerged adapters)
    warnings: tuple[str, ...]
    run: Run


@dataclass(frozen=True)
class MetricRow:
    """One metric under the models compared; keys of ``values`` are roles: before, after, retrained."""

    method: MethodUsed
    better: str
    population: str
    values: Mapping[str, Estimate]
    goal: float | None = None  # the value two equal models would show, where both sides of it are faults


@dataclass(frozen=True)
class AttackRow:
    """One attack on each model; the untreated one is the ceiling, the retrained one the floor."""

    method: MethodUsed
    access: str
    values: Mapping[str, Estimate]
    gain: Estimate | None  # after minus retrained (or minus the unattacked after), the share brought back
    spent: Budget
    evidence: tuple[str, ...] = ()
    floor: float | None = None  # the attack's own "gives nothing away", when that is not what a retrained model shows


@dataclass(frozen=True)
class Verification:
    """Before, after and retrained, under metrics and recovery attacks."""

    verdict: str
    erased: bool | None  # None: not resolvable
    models: tuple[ModelCard, ...]
    populations: tuple[Population, ...]
    metrics: tuple[MetricRow, ...]
    attacks: tuple[AttackRow, ...]
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    run: Run


@dataclass(frozen=True)
class Verdict:
    """What became of a paper's claim here."""

    claim: str
    outcome: str  # "holds", "fails here", "not resolvable"
    ours: str
    theirs: str
    why: str
    threshold: str  # frozen before the run
    table: tuple[tuple[str, ...], ...] = ()  # header row first


RECORDS: dict[str, type] = {c.__name__: c for c in (Audit, Extraction, Erasure, Verification, Verdict)}


def to_json(record: Any) -> str:
    """The record as JSON text: sorted keys, NaN and infinities as strings, so any JSON reader takes it."""
    body = {"record": type(record).__name__, "schema": SCHEMA, **_encode(record)}
    return json.dumps(body, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str, where: str = "record") -> Any:
    """A record from its JSON text. Raises BadInput naming the field that does not fit."""
    try:
        body = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{where}: not JSON ({error})") from None
    if not isinstance(body, dict) or body.get("record") not in RECORDS:
        raise BadInput(
            f"{where}: not a record of this program (expected a 'record' field naming one of {', '.join(RECORDS)})"
        )
    if body.get("schema") != SCHEMA:
        raise BadInput(f"{where}: schema {body.get('schema')}, this version reads schema {SCHEMA}")
    return _decode(RECORDS[body["record"]], {k: v for k, v in body.items() if k not in ("record", "schema")}, where)


def write(record: Any, path: Path) -> Path:
    """Write atomically: the file is whole or the old one."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(to_json(record))
        os.chmod(temporary, 0o600)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def read(path: Path) -> Any:
    """A record from a file."""
    try:
        return from_json(Path(path).read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError:
        raise BadInput(f"{path}: not UTF-8 text, so not a record") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(v) for v in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _decode(kind: Any, value: Any, where: str) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return None if value is None else _decode(next(a for a in args if a is not type(None)), value, where)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, where)
    if origin is tuple:
        _expect(isinstance(value, list), where, "a list", value)
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        return tuple(_decode(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if origin is not None and issubclass(origin, Mapping):
        _expect(isinstance(value, dict), where, "an object", value)
        return {k: _decode(args[1], v, f"{where}.{k}") for k, v in value.items()}
    return _decode_scalar(kind, value, where)


def _decode_dataclass(kind: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), where, "an object", value)
    hints, fields = typing.get_type_hints(kind), {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(value) - set(fields))
    _expect(not unknown, where, f"only fields of {kind.__name__}", unknown)
    missing = [
        n
        for n, f in fields.items()
        if n not in value and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    _expect(not missing, where, f"the fields {', '.join(missing)}", "nothing")
    return kind(**{name: _decode(hints[name], v, f"{where}.{name}") for name, v in value.items()})


def _decode_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float:
        if value in ("NaN", "Infinity", "-Infinity"):
            return float(value.replace("Infinity", "inf"))
        _expect(isinstance(value, (int, float)) and not isinstance(value, bool), where, "a number", value)
        return float(value)
    if kind in (str, int, bool):
        _expect(isinstance(value, kind) and not (kind is int and isinstance(value, bool)), where, kind.__name__, value)
    return value


def _expect(condition: bool, where: str, expected: str, value: Any) -> None:
    if not condition:
        raise BadInput(f"{where}: expected {expected}, found {str(value)[:60]!r}")
