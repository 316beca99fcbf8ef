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

    def like(self, samples: Samples) -> Samples:
        """The twins of these members: same generator, same length, never seen."""
        by_id = {s.id: s for s in self.nonmembers}
        return Samples(by_id[self.twins[s.id]] for s in samples if self.twins.get(s.id) in by_id)
