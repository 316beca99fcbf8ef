"""The order in which a model was trained on its texts, as its owner recorded it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.types import Sample, Samples
from ._fields import text_of
from ._json import jsonl_rows
from ._source import Row, bad

LARGEST = 2**53  # up to here float64 tells whole numbers apart


@dataclass(frozen=True)
class Transcript:
    """Training texts with their places. ``block``: what was shuffled as a whole (a batch, a shard); -1: the text itself."""

    samples: Samples
    position: np.ndarray  # (n,) float64: training step, or place in the order
    block: np.ndarray  # (n,) int64


def read_transcript(path: str | Path) -> Transcript:
    """JSON lines with ``text``, ``position`` (or ``step``) and perhaps ``block``, in any order of lines.

    Lines without ``block`` were shuffled one by one; either all lines have one or none. Raises BadInput naming the line.
    """
    path = Path(path)
    if not path.is_file():
        raise bad(path, "", "no such file; expected JSON lines with text, position and perhaps block")
    samples, positions, blocks = [], [], []
    names: dict[Any, int] = {}
    for row in jsonl_rows(path):
        samples.append(Sample(str(len(samples)), text_of(row, "text")))
        positions.append(_position(row))
        blocks.append(_block(row, names))
    if not samples:
        raise bad(path, "", "no records in it")
    if len({b < 0 for b in blocks}) > 1:
        raise bad(path, "", "some lines have a block and some have none; give every line one, or none")
    return Transcript(Samples(samples), np.array(positions, dtype=np.float64), np.array(blocks, dtype=np.int64))


def _position(row: Row) -> float:
    field = "position" if "position" in row.fields else "step"
    value = row.fields.get(field)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
        raise row.bad("expected a number: the training step, or the place in the order", field)
    return float(value)


def _block(row: Row, names: dict[Any, int]) -> int:
    value = row.fields.get("block")
    if value is None:
        return -1
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise row.bad("expected a name or a whole number", "block")
    return names.setdefault(value, len(names))
