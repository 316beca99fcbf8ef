"""What can be said about a text without a model: how many of its characters lowering would change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.types import Samples
from ..data.views import Lowercase


@dataclass(frozen=True)
class LetterData:
    """One row a sample."""

    capitals: np.ndarray  # (n,) int64: characters that the lowercase view changes
    characters: np.ndarray  # (n,) int64


@dataclass(frozen=True)
class Letters:
    """Counts of characters.

    >>> Letters().measure(None, Samples.of(["The Capital", "1984"])).capitals.tolist()
    [2, 0]
    """

    version: ClassVar[int] = 1
    Data: ClassVar[type] = LetterData
    passes: ClassVar[tuple[int, int]] = (0, 0)

    def measure(self, model: Any, batch: Samples) -> LetterData:
        """No forward pass; ``model`` is not asked."""
        changed = [
            sum(a != b for a, b in zip(s.text, t.text, strict=True))
            for s, t in zip(batch, Lowercase().apply(batch), strict=True)
        ]
        return LetterData(np.array(changed, dtype=np.int64), np.array([len(s.text) for s in batch], dtype=np.int64))

    def blank(self, reason: str, n: int) -> LetterData:
        """Rows that could not be measured."""
        return LetterData(np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64))
