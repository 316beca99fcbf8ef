"""Records as two cheap passes see them, for tests of methods that compare texts."""

from __future__ import annotations

import numpy as np

from rasura.core.types import Ragged
from rasura.observations.record_texts import TextData
from rasura.observations.token_statistics import TokenData


def objects(values):
    return np.array(values, dtype=object)


def told(texts: list[str]) -> tuple[TextData, TokenData]:
    n = len(texts)
    rows, ranks = Ragged.of([[-1.0] * 8] * n), Ragged.of([[0] * 8] * n, np.int32)
    zeros, none = np.zeros(n, dtype=np.int64), objects([""] * n)
    return TextData(objects(texts), none), TokenData(rows, rows, rows, ranks, rows.lengths, zeros, zeros, none)
