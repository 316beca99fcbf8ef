"""What an eraser that does not train hands back, under the names of ``finetune.Finetuned``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """The new handle, numbers the method derived, and warnings; there are no training steps to tell of."""

    model: Any
    derived: Mapping[str, float]
    warnings: tuple[str, ...] = ()
    steps: tuple[Any, ...] = ()
    stopped: str = "closed form"

    @property
    def transcript(self) -> Outcome:
        """Itself: ``transcript.steps`` and ``transcript.stopped`` are what a record reads."""
        return self
