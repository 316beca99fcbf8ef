"""From numbers with intervals to an outcome, by one rule for every claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.records import Verdict
from ..core.types import Estimate

HOLDS, FAILS, UNRESOLVED = "holds", "fails here", "not resolvable"


@dataclass(frozen=True)
class Inequality:
    """One checkable part of a claim: a number with its interval against a threshold.

    >>> Inequality("AUC", Estimate(0.97, 0.96, 0.98, 100, "AUC"), ">=", 0.95).outcome
    'holds'
    >>> Inequality("AUC", Estimate(0.95, 0.94, 0.96, 100, "AUC"), ">=", 0.95).outcome
    'not resolvable'
    >>> Inequality("AUC", Estimate(0.93, 0.92, 0.94, 100, "AUC"), ">=", 0.95).outcome
    'fails here'
    """

    what: str
    ours: Estimate
    relation: Literal[">=", "<=", ">", "<"]
    bound: float

    @property
    def outcome(self) -> str:
        """By the whole interval; an absent number (NaN) decides nothing."""
        low, high = self.ours.low, self.ours.high
        strict = len(self.relation) == 1
        if self.relation.startswith("<"):  # turn it round, so that larger is always what is claimed
            low, high, bound = -high, -low, -self.bound
        else:
            bound = self.bound
        if low > bound or (low == bound and not strict):
            return HOLDS
        if high < bound or (high == bound and strict):
            return FAILS
        return UNRESOLVED

    @property
    def threshold(self) -> str:
        return f"{self.what} {self.relation} {number(self.bound)}"

    def __str__(self) -> str:
        return f"{self.what}: {words(self.ours)}"


def together(parts: Sequence[Inequality]) -> str:
    """All must hold; one that fails is enough to fail."""
    outcomes = [part.outcome for part in parts]
    if all(o == HOLDS for o in outcomes):
        return HOLDS
    return FAILS if FAILS in outcomes else UNRESOLVED


def verdict(
    claim: str, parts: Sequence[Inequality], theirs: str, found: str, table: Sequence[Sequence[str]] = ()
) -> Verdict:
    """The record. ``found``: what the numbers show, in a sentence or two, whatever the outcome."""
    return Verdict(
        claim=claim,
        outcome=together(parts),
        ours="; ".join(map(str, parts)),
        theirs=theirs,
        why=f"{_because(parts)} {found}".strip(),
        threshold="; ".join(part.threshold for part in parts),
        table=tuple(tuple(row) for row in table),
    )


def _because(parts: Sequence[Inequality]) -> str:
    failing = [p.what for p in parts if p.outcome == FAILS]
    open_ = [p.what for p in parts if p.outcome == UNRESOLVED]
    if failing:
        return f"The whole interval is on the wrong side of the threshold for: {', '.join(failing)}."
    if open_:
        return f"The interval includes the threshold, or there is no number, for: {', '.join(open_)}."
    return "Every inequality holds with its whole interval."


def words(e: Estimate) -> str:
    """A number and its interval, three significant digits.

    >>> words(Estimate(0.98765, 0.97, 1.0, 20, "AUC")), words(Estimate(float("nan"), 0, 0, 0, "AUC", note="no seed"))
    ('0.988 [0.97, 1]', 'no seed')
    """
    if not e.known:
        return e.note or "not available"
    return f"{number(e.value)} [{number(e.low)}, {number(e.high)}]"


def number(x: float) -> str:
    """Three significant digits, and as many as it takes where they would round to 1 what is less than 1.

    >>> number(0.5), number(0.9994), number(-0.00001234), number(20.0), number(0.0)
    ('0.5', '0.999', '-1.23e-05', '20', '0')
    >>> number(0.99987), number(0.9999987), number(1.0)
    ('0.9999', '0.999999', '1')
    """
    digits = 3
    while x < 1 and float(f"{x:.{digits}g}") == 1 and digits < 15:
        digits += 1
    return f"{x:.{digits}g}"
