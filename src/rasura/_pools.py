"""Who is learned from and who is judged: pools of records that never overlap.

A signal that learns (a classifier, a calibration) is told the truth about some records and judged on others; a signal
that puts unseen texts in front of a record takes them from records no signal is judged on. Both are arranged here, so
that no method can be judged on what it was shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .core import registry
from .core.errors import BadInput
from .core.records import Skipped
from .core.types import Known, Samples
from .data.checks import check_disjoint
from .stats.calibration import split_halves

EMPTY = Samples()
FEWEST = 8  # known records a side below which nothing is learned


@dataclass(frozen=True)
class Pools:
    """All records an audit looks at. Rows of ``everyone``: members, non-members, then what was given to learn from."""

    members: Samples
    nonmembers: Samples
    known_members: Samples = Samples()  # given to learn from; empty: half of either side is held back instead
    known_nonmembers: Samples = Samples()
    prefixes: Samples = Samples()
    trained: Mapping[str, frozenset[str]] = field(default_factory=dict)  # shadow role -> ids of what it saw

    @property
    def everyone(self) -> Samples:
        return Samples([*self.members, *self.nonmembers, *self.known_members, *self.known_nonmembers])

    def known(self, seed: int) -> Known:
        """Rows a learning signal is told the truth about. Raises BadInput when they are too few."""
        m, n = len(self.members), len(self.nonmembers)
        if self.known_members or self.known_nonmembers:
            told = m + n + np.arange(len(self.known_members) + len(self.known_nonmembers))
            rows = told[: len(self.known_members)], told[len(self.known_members) :]
        else:
            rows = split_halves(m, seed)[1], m + split_halves(n, seed + 1)[1]
        if len(rows[1]) < FEWEST:
            raise BadInput(
                f"signals that learn need at least {FEWEST} known non-members and have {len(rows[1])}: pass more "
                "--nonmembers, or --known-nonmembers FILE"
            )
        return Known(*rows)

    def told(self, learns: str, seed: int) -> tuple[Known, np.ndarray]:
        """What a signal that learns from "nonmembers", "both" or "shadows" is told, and the rows it is not judged on."""
        if learns == "shadows":  # of the model under audit it is told nothing
            none, everyone = np.zeros(0, dtype=np.int64), self.everyone
            trained = {r: np.array([s.id in seen for s in everyone], dtype=bool) for r, seen in self.trained.items()}
            return Known(none, none, trained), none
        known = self.known(seed)
        return known, known.nonmembers if learns == "nonmembers" else np.concatenate([known.members, known.nonmembers])


def pools(
    members: Samples,
    nonmembers: Samples,
    known: tuple[Samples, Samples] = (EMPTY, EMPTY),
    prefixes: Samples = EMPTY,
    trained: Mapping[str, frozenset[str]] | None = None,
) -> Pools:
    """The pools, proven disjoint. Raises BadInput naming a record that stands in two of them."""
    named = {
        "members": members,
        "nonmembers": nonmembers,
        "known members": known[0],
        "known nonmembers": known[1],
        "prefixes": prefixes,
    }
    sides = [(name, side) for name, side in named.items() if side]
    for i, (name, side) in enumerate(sides):
        for other, against in sides[i + 1 :]:
            check_disjoint(side, against, names=(name, other))
    twice = set(members.ids) & set(nonmembers.ids) if trained else set()
    if twice:
        raise BadInput(
            f"shadow models are told apart by record ids, and {len(twice)} ids stand among members and non-members "
            f"(first: '{min(twice)}'): give every record an id of its own"
        )
    return Pools(members, nonmembers, *known, prefixes, trained or {})


def prefixed(
    signals: Sequence[Any], found: Pools, seed: int, asked_for: bool
) -> tuple[list[Any], Pools, list[Skipped]]:
    """Give the signals that need them unseen texts to put in front of records; these are then judged by no signal.

    Without a pool of their own they are drawn from the non-members, of which at least three quarters stay.
    """
    wanting = [s for s in signals if hasattr(s, "prefixed_by")]
    if not wanting:
        return list(signals), found, []
    shots = max(s.shots for s in wanting)
    if not found.prefixes and len(found.nonmembers) < 4 * shots:
        why = f"needs {shots} non-members to put in front of records: pass --prefixes FILE"
        if asked_for:
            raise BadInput(f"{registry.name_of(wanting[0])} {why}")
        return (
            [s for s in signals if s not in wanting],
            found,
            [Skipped(registry.name_of(s), why) for s in wanting],
        )
    if not found.prefixes:
        order = np.random.default_rng([seed, 7]).permutation(len(found.nonmembers))
        drawn, kept = order[:shots], np.sort(order[shots:])
        found = replace(found, prefixes=found.nonmembers.take(drawn), nonmembers=found.nonmembers.take(kept))
    return [s.prefixed_by(found.prefixes) if s in wanting else s for s in signals], found, []
