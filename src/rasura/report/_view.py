"""Records to what the page shows: the order of things, the key figures, the lists at the end. No HTML."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rasura.core.records import (
    AttackRow,
    Audit,
    DoseRow,
    Erasure,
    Extraction,
    MetricRow,
    ModelCard,
    Population,
    Run,
    SignalResult,
    Skipped,
    Verdict,
    Verification,
    to_json,
)
from rasura.core.types import Estimate
from rasura.report import _answers
from rasura.report._key_figures import ROLES, KeyFigure, key_figures, unit_of


@dataclass(frozen=True)
class Step:
    """A step of the loop and whether its record is on the page."""

    name: str
    ran: bool


@dataclass(frozen=True)
class Dosed:
    """One dose-response: the methods, best first, with their rows."""

    label: str
    axis: str
    chance: float | None
    rows: tuple[tuple[str, tuple[DoseRow, ...]], ...]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.rows]

    @property
    def drawn(self) -> list[tuple[DoseRow, ...]]:
        return [rows for _, rows in self.rows]

    @property
    def repeats(self) -> list[int]:
        return sorted({row.repeats for rows in self.drawn for row in rows})


@dataclass(frozen=True)
class View:
    """Everything the template reads."""

    title: str
    reveal: bool
    audits: tuple[Audit, ...]
    extractions: tuple[Extraction, ...]
    erasures: tuple[Erasure, ...]
    verifications: tuple[Verification, ...]
    claims: tuple[Verdict, ...]
    alerts: tuple[str, ...]
    answers: tuple[_answers.Answer, ...]
    steps: tuple[Step, ...]
    key_figures: tuple[KeyFigure, ...]
    skipped: tuple[tuple[str, Skipped], ...]
    warnings: tuple[tuple[str, str], ...]
    models: tuple[ModelCard, ...]
    populations: tuple[Population, ...]
    runs: tuple[tuple[str, Run, str], ...]  # step, run, digest of the record
    versions: Mapping[str, str] = field(default_factory=dict)


def view(records: Sequence[Any], reveal: bool, title: str) -> View:
    audits, extractions, erasures, verifications, claims = (
        tuple(r for r in records if isinstance(r, kind)) for kind in (Audit, Extraction, Erasure, Verification, Verdict)
    )
    ran = [
        (n, r)
        for n, group in zip(
            ("audit", "extract", "erase", "verify"), (audits, extractions, erasures, verifications), strict=True
        )
        for r in group
    ]
    suppression = bool(erasures) and _answers.method_class(erasures) == "suppression"
    models = _unique(m for _, r in ran for m in r.models)
    return View(
        title=title or next((f"Memory report: {m.name}" for m in models if m.name), "Memory report"),
        reveal=reveal,
        audits=audits,
        extractions=extractions,
        erasures=erasures,
        verifications=verifications,
        claims=claims,
        alerts=_answers.blind_alerts(audits),
        answers=(
            ()
            if claims and not ran
            else (
                _answers.leaks(audits, extractions),
                _answers.erased(erasures),
                _answers.stayed(verifications, erasures),
            )
        ),
        steps=(
            Step("audit", bool(audits)),
            Step("extract", bool(extractions)),
            Step("guard" if suppression else "erase", bool(erasures)),
            Step("verify", bool(verifications)),
        ),
        key_figures=key_figures(audits, extractions, erasures, verifications),
        skipped=_unique((step, s) for step, r in ran if not isinstance(r, Erasure) for s in r.skipped),
        warnings=_unique((step, w) for step, r in ran for w in r.warnings),
        models=models,
        populations=_unique(p for _, r in ran for p in r.populations),
        runs=tuple((step, r.run, record_digest(r)) for step, r in ran),
        versions={name: version for _, r in ran for name, version in r.run.versions.items()},
    )


def _unique(items: Iterable[Any]) -> tuple[Any, ...]:
    """Without repetitions, in order; compares by content, because settings and counts are dictionaries."""
    return tuple({repr(item): item for item in items}.values())


def record_digest(record: Any) -> str:
    """Hash of the record's JSON text: ties the page to the file it was made from."""
    return hashlib.blake2b(to_json(record).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def dosed(page: View) -> list[Dosed]:
    """Membership and extraction by dose: a part for each record that has doses, and for each unit."""
    parts = [
        Dosed("Membership", "AUC", 0.5, tuple((s.method.name, s.doses) for s in ranked(a) if s.doses))
        for a in page.audits
    ]
    for e in page.extractions:
        results = [r for r in e.results if r.doses]
        units = dict.fromkeys(r.rate.unit for r in results)
        for unit in sorted(units, key=lambda unit: not unit.startswith("share")):
            rows = tuple((r.method.name, r.doses) for r in results if r.rate.unit == unit)
            parts.append(Dosed("Extraction", unit, None, rows))
    return [part for part in parts if part.rows]


def ranked(audit: Audit) -> list[SignalResult]:
    """Best AUC first; unknown ones last; ties in the record's order."""
    return sorted(audit.signals, key=lambda s: -s.auc.value if s.auc.known else math.inf)


def nonmembers(audit: Audit) -> int | None:
    """How many records the false-positive rates rest on: the population so named, else what AUC and TPR leave over."""
    for population in audit.populations:
        if "".join(c for c in population.name.lower() if c.isalpha()).startswith("nonmember"):
            return population.n
    rest = [s.auc.n - tpr.n for s in audit.signals for tpr in s.tpr.values()]
    return next((n for n in rest if n > 0), None)


def roles_of(rows: Sequence[MetricRow | AttackRow]) -> list[str]:
    seen = {role for row in rows for role in row.values}
    return [*(r for r in ROLES if r in seen), *sorted(seen - set(ROLES))]


def by_population(rows: Sequence[MetricRow]) -> tuple[list[MetricRow], list[MetricRow]]:
    """Metrics of what should be forgotten, and of what should survive."""
    forget = [row for row in rows if "forget" in row.population.lower()]
    return forget, [row for row in rows if row not in forget]


def units_of(rows: Sequence[MetricRow | AttackRow]) -> list[str]:
    return sorted({unit_of(row) for row in rows})


def false_positive_rates(audit: Audit) -> tuple[list[str], list[tuple[str, Estimate]]]:
    """The rates that get a column, and those that no signal could resolve, with the one reason they share."""
    rates = sorted({fpr for s in audit.signals for fpr in s.tpr}, reverse=True)
    found = {fpr: [s.tpr[fpr] for s in audit.signals if fpr in s.tpr] for fpr in rates}
    blurred = [(r, e[0]) for r, e in found.items() if not any(x.known for x in e) and len({x.note for x in e}) == 1]
    return [r for r in rates if r not in dict(blurred)], blurred
