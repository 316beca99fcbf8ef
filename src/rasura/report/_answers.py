"""The first screen's sentences: does it leak, what was erased, did it stay erased.

The sentences are the records' own, passed through ``check_wording``; one that says too much is replaced by the fixed
wording and the reader is told so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rasura.core.records import AttackRow, Audit, Erasure, Extraction, MarkAudit, MetricRow, Verification, Windows
from rasura.core.types import Budget
from rasura.report._format import estimate_text, shorten, thousands, visible
from rasura.report._wording import check_wording

LONGEST_SENTENCE = 600


@dataclass(frozen=True)
class Answer:
    """A question of the first screen with its answer. ``tone`` is "found", "clear", "open", "plain" or "absent"."""

    question: str
    chip: str
    tone: str
    sentences: tuple[str, ...] = ()
    fixed: str = ""  # the same in the fixed vocabulary
    remarks: tuple[tuple[str, str], ...] = ()  # label and line: a sentence replaced, a verdict its numbers dispute


@dataclass
class _Sentences:
    """Collects sentences that pass the check, fixed ones for those that do not, and a remark on each of those."""

    shown: list[str] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)

    def add(self, sentence: str, kind: str, fixed: str) -> None:
        sentence = visible(shorten(sentence.strip(), LONGEST_SENTENCE))
        problem = check_wording(sentence, kind)
        if sentence and problem.allowed:
            self.shown.append(sentence)
            return
        self.shown.append(fixed)
        if sentence:
            why = f"The sentence in the record is not shown, because {problem}. {RIGHTS[kind]}"
            self.remarks.append(("Wording refused.", why))


FIXED_AUDIT = {
    True: "A signal tells members from non-members.",
    False: "No signal told members from non-members in these tests.",
}
FIXED_EXTRACTION = {
    True: "Training records came out of the model.",
    False: "No training record came out in these tests.",
}
FIXED_OWNERSHIP = {
    True: "The owner's test found what chance alone seldom shows.",
    False: "The owner's test found nothing beyond chance.",
}
FIXED_WINDOWS = "The noise levels at which a picture's attributes are decided were measured."
RIGHTS = {
    "audit": "Tests of a model show what was found and what was not; they make no promise.",
    "exact": "An exact method may speak about the training procedure, not about everything the model could say.",
    "approximate": "For an approximate method only the outcomes of tests may be stated.",
    "edit": "For an edit of the weights only the outcomes of tests may be stated.",
    "suppression": "A method that hides content while the weights keep it must be called suppression.",
}


def method_class(erasures: Sequence[Erasure]) -> str:
    """The class that sets the wording: the weakest among the erasures of the page."""
    if any(e.suppression or any("guard" in m.family for m in e.methods) for e in erasures):
        return "suppression"
    edits = [all(m.family.endswith("edits") for m in e.methods) and bool(e.methods) for e in erasures]
    return "edit" if edits and all(edits) else "approximate"


def blind_alerts(audits: Sequence[Audit]) -> tuple[str, ...]:
    """The line that stands above everything when members and non-members differ without any model."""
    return tuple(
        "Members can be told from non-members without the model: a classifier that never saw it reaches AUC "
        f"{estimate_text(a.blind.auc)}. Every membership number above chance may be a difference between the two sets "
        "of records and not memory."
        for a in audits
        if a.blind.separates
    )


def leaks(audits: Sequence[Audit], extractions: Sequence[Extraction]) -> Answer:
    """Does the model leak? The extraction speaks first: what came out is evidence that no data shift explains away."""
    if not audits and not extractions:
        return Answer("Does it leak?", "not tested", "absent", ("No audit and no extraction is among the records.",))
    lines = _Sentences()
    for e in extractions:
        lines.add(e.verdict, "audit", FIXED_EXTRACTION[e.leaks])
    for a in audits:
        lines.add(a.verdict, "audit", FIXED_AUDIT[a.leaks])
    shifted = any(a.blind.separates for a in audits)
    if any(e.leaks for e in extractions) or (any(a.leaks for a in audits) and not shifted):
        chip, tone = "it leaks", "found"
    elif shifted:
        chip, tone = "not resolvable", "open"
    else:
        chip, tone = "no leak found", "clear"
    return Answer("Does it leak?", chip, tone, tuple(lines.shown), "", tuple(lines.remarks))


def erased(erasures: Sequence[Erasure]) -> Answer:
    """What was erased, or only hidden."""
    if not erasures:
        return Answer("What was erased?", "no record", "absent", ("No erasure is among the records.",))
    lines = _Sentences()
    for e in erasures:
        kind = method_class([e])
        lines.add(e.verdict, kind, _fixed_erasure(e, kind))
    kinds = {method_class([e]) for e in erasures}
    chip = {"suppression": "suppressed", "edit": "edited", "approximate": "treated"}[method_class(erasures)]
    fixed = "Suppression: the content is hidden and still in the weights." if "suppression" in kinds else ""
    return Answer(
        "What was erased?", chip, "open" if fixed else "plain", tuple(lines.shown), fixed, tuple(lines.remarks)
    )


def _fixed_erasure(e: Erasure, kind: str) -> str:
    n = next((p.n for p in e.populations if "forget" in p.name.lower()), None)
    records = f"{thousands(n)} records" if n is not None else "the requested records"
    if kind == "suppression":
        return f"The content of {records} was suppressed; it is still in the weights."
    what = "An edit of the weights" if kind == "edit" else "An approximate method"
    return f"{what} was applied to {records}; whether they can be brought back is a question for the verification."


def stayed(verifications: Sequence[Verification], erasures: Sequence[Erasure]) -> Answer:
    """Did it stay erased, under attack?"""
    question, kind = "Did it stay erased?", method_class(erasures)
    if not verifications:
        why = "The erasure was not verified." if erasures else "No verification is among the records."
        return Answer(question, "not tested", "absent", (why,))
    lines = _Sentences()
    for v in verifications:
        lines.add(v.verdict, kind, fixed_words(v, kind))
        if v.erased and standing(v) is False:
            lines.remarks.append(("Disputed by its own numbers.", f"The record says erased, but {against_it(v)}."))
    outcomes = [standing(v) for v in verifications]
    if False in outcomes:
        found = any(recovers(a) for v in verifications for a in v.attacks)
        chip, tone = (
            f"{'suppressed, ' if kind == 'suppression' else ''}{'recoverable' if found else 'still told apart'}",
            "found",
        )
    elif None in outcomes:
        chip, tone = "not resolvable", "open"
    else:
        chip, tone = ("suppressed", "open") if kind == "suppression" else ("not found again", "clear")
    fixed = " ".join(fixed_words(v, kind) for v in verifications)
    return Answer(question, chip, tone, tuple(lines.shown), fixed, tuple(lines.remarks))


def decided(windows: Sequence[Windows]) -> tuple[Answer, ...]:
    """When is what a picture shows decided? Asked only where it was measured."""
    if not windows:
        return ()
    lines = _Sentences()
    for w in windows:
        lines.add(w.verdict, "audit", FIXED_WINDOWS)
    return (Answer("When is a picture decided?", "measured", "plain", tuple(lines.shown), "", tuple(lines.remarks)),)


def owned(ownership: Sequence[MarkAudit]) -> tuple[Answer, ...]:
    """Has the model read somebody's texts? Asked only where an owner did."""
    if not ownership:
        return ()
    lines = _Sentences()
    for o in ownership:
        lines.add(o.verdict, "audit", FIXED_OWNERSHIP[o.leaks])
    found = any(o.leaks for o in ownership)
    chip, tone = ("evidence found", "found") if found else ("no evidence found", "clear")
    return (Answer("Was it trained on the owner's texts?", chip, tone, tuple(lines.shown), "", tuple(lines.remarks)),)


def pictured(record: Any) -> bool:
    """Is the record about a model that draws pictures? Sets nouns only, never an outcome."""
    return (
        isinstance(record, Windows)
        or bool(getattr(record, "grids", ()) or getattr(record, "explanations", ()))
        or any(m.modality == "images" for m in getattr(record, "models", ()))
    )


def fixed_words(v: Verification, kind: str) -> str:
    """The verdict in the fixed vocabulary, with the attacks and budgets it rests on."""
    drawn = pictured(v)
    against = "; ".join(f"{visible(a.method.name)}{_at(a.spent, drawn)}" for a in v.attacks) or "no attack at all"
    hidden, outcome = kind == "suppression", standing(v)
    if outcome is None:
        return f"{'Suppressed; whether it comes back is n' if hidden else 'N'}ot resolvable, against {against}."
    if not outcome:
        by = ", ".join(visible(a.method.name) for a in v.attacks if recovers(a))
        if by:
            return f"{'Suppressed, still' if hidden else 'Still'} recoverable by {by}."
        return f"{'Suppressed; still' if hidden else 'Still'} told apart from a model trained without the records."
    if hidden:
        return f"Suppressed; still in the weights. Not recovered by {against}."
    if any("retrained" in row.values for row in (*v.metrics, *v.attacks)):
        return f"Indistinguishable from a model trained without the records, within the intervals shown, against {against}."
    return f"Not recovered by {against}; no model trained without the records was there to compare with."


def standing(v: Verification) -> bool | None:
    """The record's verdict, unless it says erased where its own intervals say otherwise."""
    return False if v.erased and against_it(v) else v.erased


def against_it(v: Verification) -> str:
    """What in the record speaks against erasure, in words; empty if nothing does."""
    back = [visible(a.method.name) for a in v.attacks if recovers(a)]
    apart = [visible(row.method.name) for row in v.metrics if differs(row)]
    parts = [f"{', '.join(back)} brings back more than the floor"] if back else []
    parts += [f"{', '.join(apart)} tells the model from one trained without the records"] if apart else []
    return " and ".join(parts)


def differs(row: MetricRow) -> bool:
    """Do the intervals of after and retrained lie apart, on what should be forgotten?"""
    after, floor = row.values.get("after"), row.values.get("retrained")
    if not to_forget(row) or after is None or floor is None:
        return False
    return after.low > floor.high or after.high < floor.low  # false where an end is not known


def to_forget(row: MetricRow) -> bool:
    """Is the metric about what should be forgotten? Paraphrases ask for it in other words."""
    return any(word in row.population.lower() for word in ("forget", "paraphrase"))


def recovers(a: AttackRow) -> bool:
    """Did the attack bring back more than a model that never saw the records gives?"""
    if not shows_records(a):
        return False
    if a.gain is not None and a.gain.known:
        return a.gain.low > 0
    after, floor = a.values.get("after"), a.values.get("retrained")
    return after is not None and after.known and after.low > (floor.high if floor is not None and floor.known else 0.0)


def shows_records(a: AttackRow) -> bool:
    """Is the attack's score a share of records brought back?

    An attack that shows something else, say that records were treated at all, names a floor of its own.
    """
    return a.floor is None


def budget_text(spent: Budget, drawn: bool = False) -> str:
    """
    >>> budget_text(Budget(steps=200, samples=1)), budget_text(Budget()), budget_text(Budget(samples=2), drawn=True)
    ('200 steps, 1 generated text', 'nothing counted', '2 generated pictures')
    """
    one, many = ("generated picture", "generated pictures") if drawn else ("generated text", "generated texts")
    parts = [(spent.steps, "step", "steps"), (spent.queries, "query", "queries"), (spent.samples, one, many)]
    return ", ".join(f"{thousands(n)} {one if n == 1 else many}" for n, one, many in parts if n) or "nothing counted"


def _at(spent: Budget, drawn: bool) -> str:
    return f" ({budget_text(spent, drawn)})" if spent != Budget() else ""
