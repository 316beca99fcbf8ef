"""Where the prompt of a record ends and what must be extracted begins: one rule for generating and for scoring.

With T scored tokens, in this order:

1. ``prefix_tokens`` > 0: after that many scored tokens (at most T);
2. the record's marked ``secret``, else the end of its context ``start``;
3. after half of the scored tokens, floor(T/2).

The prompt is always everything before the cut, tokens that are not scored included.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def cut_of(record: Any, prefix_tokens: int = 0) -> np.ndarray:
    """Index, among the scored tokens, of the first one to be extracted: int64, one a record.

    ``record`` is one ``Encoded`` (the answer is 0-dimensional) or a ``Data`` with ``tokens`` and ``cut`` (n,), such as
    ``TokenData``; a ``cut`` at the end means that nothing is marked.

    Of 9, 9 and 3 scored tokens where the second record's secret begins at token 6:

    >>> from types import SimpleNamespace
    >>> data = SimpleNamespace(tokens=np.array([9, 9, 3]), cut=np.array([9, 6, 3]))
    >>> cut_of(data).tolist(), cut_of(data, prefix_tokens=5).tolist()
    ([4, 6, 1], [5, 5, 3])
    """
    if hasattr(record, "ids"):  # Encoded counts from the first token, scored or not
        tokens = np.int64(record.scored)
        marked = np.clip(record.cut - record.first, 0, tokens)
    else:
        tokens, marked = np.asarray(record.tokens, dtype=np.int64), np.asarray(record.cut, dtype=np.int64)
    if prefix_tokens > 0:
        return np.minimum(tokens, prefix_tokens)
    return np.where(marked < tokens, marked, tokens // 2)
