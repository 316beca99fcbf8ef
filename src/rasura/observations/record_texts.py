"""The records' own texts, for methods that compare them with what a model says of its own accord.

No forward pass: each record's token ids turned back into text without special tokens, which is how generated texts are
written too, so that the same tokens are the same text on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.types import Samples
from .free_generations import SETTINGS


@dataclass(frozen=True)
class TextData:
    """One row a record."""

    texts: np.ndarray  # (n,) str
    reason: np.ndarray  # (n,) str: why there is no text, empty when there is


@dataclass(frozen=True)
class RecordTexts:
    """Each record as the model's tokenizer writes it."""

    version: ClassVar[int] = 1
    Data: ClassVar[type] = TextData
    passes: ClassVar[tuple[int, int]] = (0, 0)

    def measure(self, model: Any, batch: Samples) -> TextData:
        texts = [model.tokenizer.decode(model.encode(s).ids.tolist(), **SETTINGS) for s in batch]
        return TextData(np.array(texts, dtype=object), np.array([""] * len(texts), dtype=object))

    def blank(self, reason: str, n: int) -> TextData:
        """Rows that could not be read."""
        return TextData(np.array([""] * n, dtype=object), np.array([reason] * n, dtype=object))
