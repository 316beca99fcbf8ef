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
    Explanation,
    Extraction,
    MarkAudit,
    MetricRow,
    ModelCard,
    Population,
    Run,
    SignalResult,
    Skipped,
    Verdict,
    Verification,
    Windows,
    to_json,
)
from rasura.core.types import Estimate
from rasura.report import _answers
from rasura.report._key_figures import ROLES, KeyFigure, key_figures, unit_of

MOST_EXPLANATIONS, MOST_WORDS, MOST_DERIVED = 24, 80, 40


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
    windows: tuple[Windows, ...]
    ownership: tuple[MarkAudit, ...]
    pictures: bool  # is any record about a model that draws, and is any about one that writes
    texts: bool
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
    audits, extractions, erasures, verifications, claims, windows, ownership = (
        tuple(r for r in records if isinstance(r, kind))
        for kind in (Audit, Extraction, Erasure, Verification, Verdict, Windows, MarkAudit)
    )
    steps = {
        "audit": audits,
        "ownership": ownership,
        "windows": windows,
        "extract": extractions,
        "erase": erasures,
        "verify": verifications,
    }
    ran = [(name, r) for name, group in steps.items() for r in group]
    drawn = [_answers.pictured(r) for _, r in ran]
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
        windows=windows,
        ownership=ownership,
        pictures=any(drawn),
        texts=not all(drawn) or not drawn,
        alerts=_answers.blind_alerts(audits),
        answers=(
            ()
            if claims and not ran
            else (
                _answers.leaks(audits, extractions),
                _answers.erased(erasures),
                _answers.stayed(verifications, erasures),
                *_answers.decided(windows),
                *_answers.owned(ownership),
            )
        ),
        steps=(
            Step("audit", bool(audits or ownership)),
            Step("extract", bool(extractions)),
            Step("guard" if suppression else "erase", bool(erasures)),
            Step("verify", bool(verifications)),
        ),
        key_figures=key_figures(audits, extractions, erasures, verifications, windows),
        skipped=_unique((step, s) for step, r in ran for s in getattr(r, "skipped", ())),
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


def weighed(explanation: Explanation) -> list[tuple[str, float, str]]:
    """Word, its share, and the length of its bar in per cent of the longest; a share that is no number has no bar."""
    pairs = list(zip(explanation.words, explanation.weights, strict=False))[:MOST_WORDS]
    longest = max((w for _, w in pairs if math.isfinite(w)), default=0.0)
    bars = [max(0.0, w / longest) if math.isfinite(w) and longest > 0 else 0.0 for _, w in pairs]
    return [(word, weight, f"{100 * bar:.1f}") for (word, weight), bar in zip(pairs, bars, strict=True)]


def derived(erasure: Erasure) -> list[tuple[str, float]]:
    """What the method worked out from the model, by name in words."""
    return [
        (name.replace("_", " ").capitalize(), value) for name, value in sorted(erasure.derived.items())[:MOST_DERIVED]
    ]


def split(attacks: Sequence[AttackRow]) -> list[AttackRow]:
    """The attacks of which the record tells what plain prompts bring back from what only the attack does."""
    return [row for row in attacks if any(e is not None for e in (row.pre, row.post, row.total))]


def roles_of(rows: Sequence[MetricRow | AttackRow]) -> list[str]:
    seen = {role for row in rows for role in row.values}
    return [*(r for r in ROLES if r in seen), *sorted(seen - set(ROLES))]


def by_population(rows: Sequence[MetricRow]) -> tuple[list[MetricRow], list[MetricRow]]:
    """Metrics of what should be forgotten, and of what should survive."""
    forget = [row for row in rows if _answers.to_forget(row)]
    return forget, [row for row in rows if row not in forget]


def units_of(rows: Sequence[MetricRow | AttackRow]) -> list[str]:
    return sorted({unit_of(row) for row in rows})


def false_positive_rates(audit: Audit) -> tuple[list[str], list[tuple[str, Estimate]]]:
    """The rates that get a column, and those that no signal could resolve, with the one reason they share."""
    rates = sorted({fpr for s in audit.signals for fpr in s.tpr}, reverse=True)
    found = {fpr: [s.tpr[fpr] for s in audit.signals if fpr in s.tpr] for fpr in rates}
    blurred = [(r, e[0]) for r, e in found.items() if not any(x.known for x in e) and len({x.note for x in e}) == 1]
    return [r for r in rates if r not in dict(blurred)], blurred
