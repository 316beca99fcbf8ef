"""Records: what ran, with which settings, and what was found. Frozen, JSON in and out, versioned.

A record holds digests of the data and never its contents, except for the examples of an extraction, which are the
finding itself; those carry both a masked form and, where asked for, the revealed one. No wall-clock time takes part,
so the same run gives the same bytes.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._record_json import decode, dumped, encode, loaded
from ._record_parts import (  # noqa: F401 (all of them are part of this module's vocabulary)
    Cost,
    Decisions,
    DoseRow,
    Example,
    Grid,
    GridRow,
    MeasureRow,
    MethodUsed,
    ModelCard,
    Population,
    Run,
    Skipped,
    Step,
    TextVerdict,
)
from .errors import BadInput
from .types import Budget, Estimate

SCHEMA = 1
LARGEST = 256_000_000  # bytes of a record; with all its pictures it has some millions


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
    forward: int = 0  # passes a record this signal would need on its own
    backward: int = 0
    collection_p: float = math.nan  # one p value for all members together, where the signal gives one
    held_back: int = 0  # records it learned from and was not judged on
    epsilon: Estimate | None = None  # lower bound on the privacy loss, where members were drawn by coin flips


@dataclass(frozen=True)
class BlindBaseline:
    """Can members be told from non-members without the model? If so, no number above chance is memory."""

    auc: Estimate
    separates: bool
    features: Mapping[str, Estimate] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Explanation:
    """Which words of a prompt a signal's score comes from; ``words`` and ``weights`` go together."""

    id: str
    signal: str
    score: float
    words: tuple[str, ...]  # masked unless asked for
    weights: tuple[float, ...]  # shares of the whole


@dataclass(frozen=True)
class WindowRow:
    """When one attribute of a generated picture is decided.

    ``kept[k]``: share of pictures that keep the attribute after noising to ``Windows.times[k]`` and denoising again.
    The window runs from the largest t at which the share is within 5 points of its best to where it has fallen to the
    share chance would keep, plus 5 points; NaN where the curve never gets there.
    """

    attribute: str
    kept: tuple[Estimate, ...]
    chance: float
    starts: float
    ends: float
    half: Estimate  # t at which half of the way from chance to the best is lost, with its bootstrap interval


@dataclass(frozen=True)
class Windows:
    """At which noise level each attribute of a picture is decided, and a check of the method on a known mixture."""

    verdict: str
    models: tuple[ModelCard, ...]
    populations: tuple[Population, ...]
    times: tuple[int, ...]  # training timesteps noised to, from noise to picture
    rows: tuple[WindowRow, ...]
    theory: tuple[tuple[str, ...], ...]  # measured against closed form on a Gaussian mixture; header row first
    grids: tuple[Grid, ...]
    warnings: tuple[str, ...]
    run: Run


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
    explanations: tuple[Explanation, ...] = ()
    costs: tuple[Cost, ...] = ()
    decisions: Decisions | None = None


@dataclass(frozen=True)
class ExtractionResult:
    """What one way of extracting pulled out."""

    method: MethodUsed
    rate: Estimate
    floor: Estimate | None  # the same on records never seen
    doses: tuple[DoseRow, ...] = ()
    families: tuple[DoseRow, ...] = ()
    note: str = ""
    measures: tuple[MeasureRow, ...] = ()


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
    grids: tuple[Grid, ...] = ()  # a strip a memorised picture: training picture, generations, nearest others


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
    """One attack on each model; the untreated one is the ceiling, the retrained one the floor.

    For text-to-image models success on the erased model splits into ``pre`` (share of prompts that show the concept on
    their own), ``post`` (of the others, those that show it under attack) and ``total`` (either way).
    """

    method: MethodUsed
    access: str
    values: Mapping[str, Estimate]
    gain: Estimate | None  # after minus retrained (or minus the unattacked after), the share brought back
    spent: Budget
    evidence: tuple[str, ...] = ()
    pre: Estimate | None = None
    post: Estimate | None = None
    total: Estimate | None = None
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
    grids: tuple[Grid, ...] = ()  # the same prompts and noise: before, after, attacked, retrained


@dataclass(frozen=True)
class MarkTest:
    """One test of ownership: what was measured on how many independent pieces, and its one-sided p value."""

    name: str
    statistic: Estimate
    p_value: float  # NaN: nothing can be said, ``statistic.note`` says why
    n: int
    note: str = ""


@dataclass(frozen=True)
class MarkAudit:
    """Whether a model has read somebody's marked texts, or descends from a training whose order is known.

    The verdict speaks of the first test alone, which was chosen beforehand; the others stand beside it.
    """

    verdict: str
    leaks: bool  # the first test's p value is below the level the verdict names
    models: tuple[ModelCard, ...]
    populations: tuple[Population, ...]  # the texts the models were asked about
    method: MethodUsed
    tests: tuple[MarkTest, ...]
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


RECORDS: dict[str, type] = {
    c.__name__: c for c in (Audit, Extraction, Erasure, Verification, Verdict, Windows, MarkAudit)
}


def to_json(record: Any) -> str:
    """The record as JSON text: sorted keys, NaN and infinities as strings, so any JSON reader takes it."""
    body = {"record": type(record).__name__, "schema": SCHEMA, **encode(record)}
    return dumped(body) + "\n"


def from_json(text: str, where: str = "record") -> Any:
    """A record from its JSON text. Raises BadInput naming the field that does not fit."""
    body = loaded(text, where)
    if not isinstance(body, dict) or not isinstance(body.get("record"), str) or body["record"] not in RECORDS:
        raise BadInput(
            f"{where}: not a record of this program (expected a 'record' field naming one of {', '.join(RECORDS)})"
        )
    if body.get("schema") != SCHEMA or type(body["schema"]) is not int:
        raise BadInput(f"{where}: schema {ascii(body.get('schema'))[:60]}, this version reads schema {SCHEMA}")
    return decode(RECORDS[body["record"]], {k: v for k, v in body.items() if k not in ("record", "schema")}, where)


def write(record: Any, path: Path) -> Path:
    """Write atomically: the file is whole or the old one, after a kill and after a power cut.

    Raises BadInput where it cannot be written.
    """
    path, text = Path(path), to_json(record)
    try:
        return write_whole(path, text.encode("utf-8"))
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be written ({error.strerror}); finished passes are kept: free space or choose another "
            "place, and run again"
        ) from None


def write_whole(path: Path, content: bytes) -> Path:
    """A file for its owner only (mode 0600), under a temporary name, on the disk, then renamed. Raises OSError."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def read(path: Path) -> Any:
    """A record from a file. Raises BadInput."""
    return from_json(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a file that should hold a record. Raises BadInput for what is no file, too large, or not UTF-8."""
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise BadInput(f"{path}: not a file, so not a record")
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{path}: larger than {LARGEST // 10**6} MB, so not a record")
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: not UTF-8 text, so not a record") from None
