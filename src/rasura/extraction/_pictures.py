"""What an extraction of pictures found, record by record."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ._match import Extracted, reasons

NOT_JUDGED = "no picture could be compared"


@dataclass(frozen=True)
class ExtractedPictures(Extracted):
    """``hits`` is the share of what was asked for that was found; there are no tokens, and no log-probability.

    ``distance``: the number held against the threshold, smaller = more alike. ``drawn``: which of the record's generated
    pictures shows it best, for a page to put beside the original; -1 where none was drawn.
    """

    distance: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (n,) float64
    drawn: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # (n,) int64


def found_pictures(
    success: list[float], hits: list[float], distance: list[float], drawn: list[int], observed: np.ndarray, note: str
) -> ExtractedPictures:
    """One row a record; ``observed`` says why a row is NaN."""
    values = np.array(success, dtype=np.float64)
    return ExtractedPictures(
        success=values,
        log_probability=np.full(len(values), np.nan),
        tokens=np.zeros(len(values), dtype=np.int64),
        hits=np.array(hits, dtype=np.float64),
        reason=reasons(observed, values, NOT_JUDGED),
        note=note,
        distance=np.array(distance, dtype=np.float64),
        drawn=np.array(drawn, dtype=np.int64),
    )
