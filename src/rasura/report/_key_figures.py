"""The row of figures under the verdict: the three to five numbers that matter most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rasura.core.records import AttackRow, Audit, Erasure, Extraction, MetricRow, SignalResult, Verification, Windows
from rasura.core.types import Estimate
from rasura.report._answers import shows_records, to_forget
from rasura.report._format import p_text, value_text

ROLES = ("before", "after", "retrained")


@dataclass(frozen=True)
class KeyFigure:
    """One figure of the row under the verdict; several values stand side by side by role."""

    label: str
    values: tuple[tuple[str, Estimate], ...]  # role ("" for none), estimate
    note: str


def key_figures(
    audits: Sequence[Audit],
    extractions: Sequence[Extraction],
    erasures: Sequence[Erasure],
    verifications: Sequence[Verification],
    windows: Sequence[Windows] = (),
) -> tuple[KeyFigure, ...]:
    """Three to five figures where the records give as many: the five that matter most, then what else there is."""
    first, spare = [], []
    for a in audits[:1]:
        best = best_signal(a)
        first += [_signal_figure(a, best)] if best else []
        spare += [_blind_figure(a), *(_tpr_figure(best) if best else [])]
    for e in extractions[:1]:
        first += _extraction_figure(e)
    for v in verifications[:1]:
        forget, other = headline_metrics(v)
        first += [_metric_figure(forget, "Forget set")] if forget else []
        first += _attack_figure(v.attacks)
        first += [_metric_figure(other, "What should survive")] if other else []
    spare += [
        KeyFigure("Weights changed", (("", e.changed_parameters),), "share of parameters that differ")
        for e in erasures[:1]
    ]
    for w in windows[:1]:
        spare += _window_figures(w)
    return tuple([*first, *spare[: max(0, 3 - len(first))]][:5])


def best_signal(audit: Audit) -> SignalResult | None:
    """The signal of which most is certain: the highest lower bound of the AUC."""
    return max((s for s in audit.signals if s.auc.known), key=lambda s: s.auc.low, default=None)


def headline_metrics(v: Verification) -> tuple[MetricRow | None, MetricRow | None]:
    """One metric on what should be forgotten and one on what should survive.

    Of the shares, the one the untreated model gives up most of, so that the choice does not favour the treatment; of
    the rest, one on the neighbours of what was forgotten, where harm shows first, else one on records that no training
    has touched, because utility on retained ones improves by repetition.
    """
    forget = [row for row in v.metrics if to_forget(row)]
    shares = [row for row in forget if unit_of(row).startswith("share")] or forget
    other = [row for row in v.metrics if row not in forget]
    places = [[row for row in other if row.population.lower().startswith(p)] for p in ("near", "held")]
    clean = next((rows for rows in places if rows), other)
    return max(shares, key=_before, default=None), next(iter(clean), None)


def _before(row: MetricRow) -> float:
    before = row.values.get("before")
    return before.value if before is not None and before.known else -math.inf


def _signal_figure(audit: Audit, best: SignalResult) -> KeyFigure:
    known = sum(s.auc.known for s in audit.signals)
    chosen = f"best of {known} signals" if known > 1 else "the only signal"
    note = f"{best.method.name}, {chosen}; Holm p {p_text(best.p_holm)}; 0.5 is chance, higher leaks more"
    return KeyFigure("Membership, AUC", (("", best.auc),), note)


def _blind_figure(audit: Audit) -> KeyFigure:
    return KeyFigure(
        "Blind baseline, AUC", (("", audit.blind.auc),), "a classifier that never sees the model; 0.5 is sound"
    )


def _tpr_figure(best: SignalResult) -> list[KeyFigure]:
    rates = sorted((float(fpr), e) for fpr, e in best.tpr.items() if _is_number(fpr))
    known = [(fpr, e) for fpr, e in rates if e.known] or rates[-1:]
    return [
        KeyFigure(
            f"Found at {100 * fpr:g} % false alarms",
            (("", e),),
            f"share of members, {best.method.name}; higher leaks more",
        )
        for fpr, e in known[:1]
    ]


def _extraction_figure(extraction: Extraction) -> list[KeyFigure]:
    """The highest share among the records seen most often; without doses, the highest overall."""
    results = [r for r in extraction.results if r.rate.unit.startswith("share")] or extraction.results
    doses = [(row, r) for r in results for row in r.doses if row.estimate.known]
    if doses:
        most = max(row.repeats for row, _ in doses)
        row, result = max((d for d in doses if d[0].repeats == most), key=lambda d: d[0].estimate.value)
        note = f"of records seen {most}\u00d7 an epoch, by {result.method.name}; higher leaks more"
        return [KeyFigure("Extracted", (("", row.estimate),), note)]
    best = max(results, key=lambda r: r.rate.value if r.rate.known else -math.inf, default=None)
    return (
        [KeyFigure("Extracted", (("", best.rate),), f"of all records tried, by {best.method.name}; higher leaks more")]
        if best
        else []
    )


def _metric_figure(row: MetricRow, label: str) -> KeyFigure:
    note = f"{row.method.name} on {row.population}; {row.better} is better"
    return KeyFigure(f"{label}, {unit_of(row)}", tuple(by_role(row.values)), note)


def _attack_figure(attacks: Sequence[AttackRow]) -> list[KeyFigure]:
    """The attack that brings back most from the treated model."""
    known = [a for a in attacks if "after" in a.values and a.values["after"].known and shows_records(a)]
    if not known:
        return []
    best = max(known, key=lambda a: a.values["after"].value)
    chosen = f"strongest of {len(known)} attacks" if len(known) > 1 else "the only attack"
    plain = f"; {value_text(best.pre)} by plain prompts alone" if best.pre is not None and best.pre.known else ""
    note = f"{best.method.name}, {chosen}{plain}; lower is better"
    return [KeyFigure("Brought back by attack", tuple(by_role(best.values)), note)]


def _window_figures(windows: Windows) -> list[KeyFigure]:
    """Up to three attributes, in the order in which a picture takes them on: from much noise to little."""
    rows = sorted(windows.rows, key=lambda row: -row.half.value if row.half.known else math.inf)[:3]
    note = "noise level t at which it is half decided; a high t is early in drawing"
    return [KeyFigure(f"{row.attribute.capitalize()}, decided at", (("", row.half),), note) for row in rows]


def by_role(values: Mapping[str, Estimate]) -> list[tuple[str, Estimate]]:
    """Before, after, retrained, then any other role by name."""
    return [(r, values[r]) for r in (*(r for r in ROLES if r in values), *sorted(set(values) - set(ROLES)))]


def unit_of(row: MetricRow | AttackRow) -> str:
    return next((e.unit for e in row.values.values()), "")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
