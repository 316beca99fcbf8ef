"""What attacks read off a model, and what they may spend on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ask, Samples
from ..observations._engine import Engine
from ..observations._suffix import suffix, verbatim
from ..observations.token_statistics import TokenData, TokenStatistics


def observed(model: Any, samples: Samples, what: Any = None) -> Any:
    """``what`` (TokenStatistics unless said) of ``samples``; nothing is kept, because the model is often a passing one."""
    engine = Engine()
    try:
        return engine.observe(Ask(what or TokenStatistics()), {"target": model}, samples)
    finally:
        engine.store.files.rm(engine.store.base, recursive=True)


def recovered(data: TokenData) -> np.ndarray:
    """1 where greedy decoding says the rest of the record word for word, else 0, NaN where it cannot be judged."""
    return verbatim(suffix(data, data.rank))


def within(queries: int, needed: int) -> None:
    """Raises BadInput when a budget of ``queries`` (0: any number) does not cover what an attack needs at least."""
    if 0 < queries < needed:
        raise BadInput(
            f"a budget of {queries} queries is too small: this attack needs at least {needed} for these records"
        )


def share_line(what: str, score: np.ndarray) -> str:
    """One line of evidence.

    >>> share_line("recovered", np.array([1.0, 0.0, np.nan]))
    'recovered 1 of 2 records'
    """
    known = score[~np.isnan(score)]
    return f"{what} {int(known.sum())} of {len(known)} records"
