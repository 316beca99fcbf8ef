"""What a testbed hands over: models by role and the truth about every record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.types import Samples


@dataclass(frozen=True)
class Planted:
    """Models with planted truth.

    ``models`` by role: ``target`` (trained on everything), ``retrained`` (the same training without the forget set),
    ``reference`` (never saw any plant).
    """

    models: Mapping[str, Any]
    members: Samples  # plants that were trained on, with ``repeats`` (copies an epoch) and ``family``
    nonmembers: Samples  # twins of the members, never trained on; repeats = 0
    forget: Samples  # the part of the members an erasure is asked for
    retain: Samples  # records of the training data that must survive: the other memorised plants, then background
    heldout: Samples  # background records never trained on: the clean measure of utility
    twins: Mapping[str, str] = field(default_factory=dict)  # member id -> id of its twin
    more: Mapping[str, Samples] = field(default_factory=dict)  # further populations by name (metrics/_population.py)
    concept: str = ""  # pictures: the planted concept that ``forget`` asks to erase
    judge: Any = None  # pictures: the testbed's own judge

    def like(self, samples: Samples) -> Samples:
        """The twins of these members, each once: same generator, nearly the same length, never seen.

        Two members can share a twin, so there may be fewer of them.
        """
        by_id = {s.id: s for s in self.nonmembers}
        twins = dict.fromkeys(self.twins.get(s.id) for s in samples)
        return Samples(by_id[twin] for twin in twins if twin in by_id)
