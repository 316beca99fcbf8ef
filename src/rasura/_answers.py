"""What an audit observes of many records, held only as long as it is needed.

Records are worked off in windows. What was observed about a window is scored by every signal that looks at records one
by one and then dropped: memory holds one window, whatever the number of records. Windows are whole shards, so shards
and scores are those of one window over everything. Signals that learn from records need all of them at once: what they
ask for is kept, some bytes a token, and memory grows with the records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .core import store
from .core.errors import BadInput
from .core.types import Ask, Plain, Samples
from .observations._engine import Engine

WINDOW = 128  # shards: 8,192 records of the usual 64 a shard


@dataclass
class Answers:
    """What became of the passes: scores of signals that look at records one by one, data for those that learn."""

    reasons: list[str] = field(default_factory=list)  # one a record: why the plainest pass could not score it, or ""
    _scores: dict[Any, list[np.ndarray]] = field(default_factory=dict)
    _failed: dict[Any, BadInput] = field(default_factory=dict)
    _kept: dict[Ask, list[Any]] = field(default_factory=dict)
    _why: dict[Ask, Counter[str]] = field(default_factory=dict)

    def scores(self, signal: Any) -> np.ndarray:
        """(n,) float64. Raises BadInput where the signal refused some of the records."""
        if signal in self._failed:
            raise self._failed[signal]
        return np.concatenate(self._scores[signal])

    def of(self, signal: Any) -> dict[str, Any]:
        """What a learning signal asked for, over all records."""
        for ask in set(signal.needs().values()):
            self._kept[ask] = [store.concatenate(self._kept[ask])] if len(self._kept[ask]) > 1 else self._kept[ask]
        return {key: self._kept[ask][0] for key, ask in signal.needs().items()}

    def why_not(self, signal: Any) -> str:
        """Why no record could be scored: the commonest reason among what the signal looked at."""
        reasons: Counter[str] = Counter()
        for ask in signal.needs().values():
            reasons.update(self._why[ask])
        return f"could score none of the records ({reasons.most_common(1)[0][0] if reasons else 'too short for it'})"

    def add(self, signals: Sequence[Any], observed: Mapping[Ask, Any], records: int, asked_for: bool) -> None:
        """Score a window, and keep of it what is needed later."""
        plainest = next((d for ask, d in observed.items() if ask.of == "target" and isinstance(ask.view, Plain)), None)
        self.reasons += [str(r) for r in getattr(plainest, "reason", [""] * records)]
        for ask, data in observed.items():
            why = self._why.setdefault(ask, Counter())
            why.update(str(r) for r in getattr(data, "reason", ()) if r)
        for ask in dict.fromkeys(ask for s in signals if hasattr(s, "learns") for ask in s.needs().values()):
            self._kept.setdefault(ask, []).append(observed[ask])
        for signal in dict.fromkeys(signals):
            if not hasattr(signal, "learns") and signal not in self._failed:
                self._score(signal, observed, asked_for)

    def _score(self, signal: Any, observed: Mapping[Ask, Any], asked_for: bool) -> None:
        try:
            values = signal.score(**{key: observed[ask] for key, ask in signal.needs().items()})
            self._scores.setdefault(signal, []).append(np.asarray(values, dtype=np.float64))
        except BadInput as error:
            if asked_for:
                raise
            self._failed[signal] = error


def answered(
    signals: Sequence[Any],
    models: Mapping[str, Any],
    samples: Samples,
    engine: Engine,
    *,
    asked_for: bool,
) -> Answers:
    """Every distinct ask of the signals over all samples, window after window. Raises as ``Engine.observe`` does.

    ``asked_for``: a named signal that refuses the records raises BadInput at once; others are told of by ``scores``.
    """
    answers, asks = Answers(), [ask for s in signals for ask in s.needs().values()]
    window = WINDOW * engine.shard
    for at in range(0, max(1, len(samples)), window):
        part = samples if len(samples) <= window else samples.take(range(at, min(at + window, len(samples))))
        answers.add(signals, engine.observe_all(asks, models, part), len(part), asked_for)
    return answers
