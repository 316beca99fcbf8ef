"""All parameters. Nothing is held back; the student is a full copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...core.protocols import Trainable
from ...core.registry import method
from ...core.types import Request
from ._everything import everything


@method()
@dataclass(frozen=True)
class All:
    """Every parameter may move."""

    def select(self, model: Any, request: Request) -> Trainable:
        """A copy of the model, no masks."""
        return everything(model)
