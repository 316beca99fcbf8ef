"""Where texts lie in the space of an embedding model (role "encoder"): records, or what a model said.

The texts come from another pass (``given``), whose data has a column ``texts``: the records themselves, or draws.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..core.types import Ask, Ragged, Samples
from .record_texts import RecordTexts

BATCH = 32  # texts a forward pass: draws may be longer than what the engine knows of them


@dataclass(frozen=True)
class EmbeddingData:
    """One row a text."""

    texts: np.ndarray  # (n,) str: as they came
    vectors: Ragged  # float32, length 1; an empty row where there is no text
    reason: np.ndarray  # (n,) str: why there is none, empty when there is

    def matrix(self) -> np.ndarray:
        """(n, d) float32; zeros where there is no text."""
        widths = self.vectors.lengths
        out = np.zeros((len(widths), int(widths.max(initial=0))), dtype=np.float32)
        for i, row in enumerate(self.vectors):
            out[i, : len(row)] = row
        return out


@dataclass(frozen=True)
class TextEmbeddings:
    """Vectors of the texts that ``source`` observes; asked of an embedding model, on the same view as the source."""

    source: Ask = field(default_factory=lambda: Ask(RecordTexts()))

    version: ClassVar[int] = 1
    Data: ClassVar[type] = EmbeddingData

    @property
    def given(self) -> Ask:
        return self.source

    def measure(self, encoder: Any, batch: Samples, given: Any) -> EmbeddingData:
        """Vectors of the texts of ``given``; texts without a letter have none."""
        texts = [str(t) for t in given.texts]
        kept = [i for i, text in enumerate(texts) if text.strip() and not given.reason[i]]
        rows: list[np.ndarray] = [np.zeros(0, dtype=np.float32)] * len(texts)
        for at in range(0, len(kept), BATCH):
            part = kept[at : at + BATCH]
            vectors = encoder.embed([texts[i] for i in part]).cpu().numpy()
            for i, vector in zip(part, vectors, strict=True):
                rows[i] = vector
        reasons = [str(why) or ("" if len(row) else "no text") for why, row in zip(given.reason, rows, strict=True)]
        return EmbeddingData(given.texts, Ragged.of(rows, np.float32), np.array(reasons, dtype=object))

    def blank(self, reason: str, n: int) -> EmbeddingData:
        """Rows that could not be read."""
        none = np.array([""] * n, dtype=object)
        return EmbeddingData(none, Ragged.of([[]] * n, np.float32), np.array([reason] * n, dtype=object))
