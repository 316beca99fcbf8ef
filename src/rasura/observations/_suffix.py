"""The part of every record that an extraction must produce, cut out of what was observed about its tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.types import Ragged
from ._cut import cut_of

SUFFIX_TOKENS = 50  # as in Carlini et al., "Quantifying memorization across neural language models", 2023


def suffix(data: Any, values: Ragged, prefix_tokens: int = 0, suffix_tokens: int = SUFFIX_TOKENS) -> Ragged:
    """Rows of ``values`` from the cut on, at most ``suffix_tokens`` tokens each (0: all of them).

    ``data`` has ``tokens`` and ``cut`` (n,), ``values`` one entry a scored token; see ``_cut`` for where the cut is. An
    empty row, which reduces to NaN, means that nothing is left to extract.

    Of 5 tokens the last 3 are beyond the half, of 3 tokens the last 2; at most 2 are wanted:

    >>> from types import SimpleNamespace
    >>> rows = Ragged.of([[0, 1, 2, 3, 4], [5, 6, 7]])
    >>> data = SimpleNamespace(tokens=rows.lengths, cut=rows.lengths)
    >>> [row.tolist() for row in suffix(data, rows, suffix_tokens=2)]
    [[2, 3], [6, 7]]
    """
    begin = cut_of(data, prefix_tokens)
    end = np.minimum(data.tokens, begin + suffix_tokens) if suffix_tokens > 0 else data.tokens
    return Ragged.of([row[b:e] for row, b, e in zip(values, begin, end, strict=True)], values.values.dtype)


def verbatim(rank: Ragged) -> np.ndarray:
    """1 where every token of a row has rank 0, so that greedy decoding says exactly this row; else 0; empty: NaN.

    >>> verbatim(Ragged.of([[0, 0], [0, 3], []])).tolist()
    [1.0, 0.0, nan]
    """
    return rank.reduce(lambda row: float(not row.any()))
