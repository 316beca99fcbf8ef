"""What an extraction found, record by record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NOTHING_LEFT = "nothing is left to extract after the prompt"


@dataclass(frozen=True)
class Curve:
    """One measure of every record at several settings, such as lengths of the prompt; averaged by the verb.

    A measure that belongs to no axis has one column, ``axis`` "" and x = (0,).
    """

    name: str  # what is measured: "word for word"
    axis: str  # what is varied, with its unit: "tokens of context"
    x: tuple[float, ...]
    values: np.ndarray  # (n, len(x)) float64, NaN where a record cannot be judged
    unit: str = "share"
    bounds: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Ranking:
    """An attacker's guesses with how sure he is of each: average precision and recall at 100 errors come from it."""

    name: str  # what sorts the guesses: "loss ratio"
    correct: np.ndarray  # (n,) float64: 1 right, 0 wrong, NaN not judged
    confidence: np.ndarray  # (n,) float64, larger = surer; NaN: last


@dataclass(frozen=True)
class Extracted:
    """One row a record.

    ``success``: 1 extracted, 0 not, between for partial success; with another ``unit`` than "share", a number in that
    unit, larger = more exposed. It lies within ``bounds``. NaN where a record cannot be judged, and then ``reason``
    says why.
    """

    success: np.ndarray  # (n,) float64
    log_probability: np.ndarray  # (n,) float64, nats: of the exact continuation under the sampler
    tokens: np.ndarray  # (n,) int64: length of the exact continuation
    hits: np.ndarray  # (n,) float64: share of its tokens that come out right, NaN where not observed
    reason: np.ndarray  # (n,) str: why a record could not be judged, empty when it was
    unit: str = "share"
    bounds: tuple[float, float] = (0.0, 1.0)
    note: str = ""  # numbers only, never text
    curves: tuple[Curve, ...] = ()  # the same question at other settings, and other measures of the same answer
    rankings: tuple[Ranking, ...] = ()


def reasons(observed: np.ndarray, success: np.ndarray, otherwise: str = NOTHING_LEFT) -> np.ndarray:
    """Why records are NaN: what the observation says, else ``otherwise``; empty where ``success`` is a number.

    >>> reasons(np.array(["out of memory", "", ""], dtype=object), np.array([np.nan, np.nan, 1.0]), "too short").tolist()
    ['out of memory', 'too short', '']
    """
    told = [str(why) or otherwise for why in observed]
    return np.array([why if absent else "" for why, absent in zip(told, np.isnan(success), strict=True)], dtype=object)
