"""What an audit costs: the passes planned before it runs, and those it had to compute.

A pass is one trip of one record through one model. Two signals that ask the same question share it, so the bill is
over distinct asks and not over signals; what lay in the store was not computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .core import registry
from .core.records import Cost
from .core.types import Ask, Plain, digest


def passes_of(ask: Ask) -> tuple[int, int]:
    """(forward, backward) passes a record; an observation says so by ``passes``, one forward pass where it does not."""
    forward, backward = getattr(ask.what, "passes", (1, 0))
    return int(forward), int(backward)


def asks_of(signal: Any) -> list[Ask]:
    """What a signal asks, with what its observations look at in turn, each once."""
    found: dict[Ask, None] = {}
    waiting = list(signal.needs().values())
    while waiting:
        ask = waiting.pop(0)
        found[ask] = None
        given = getattr(ask.what, "given", None)
        waiting += [] if given is None else [given]
    return list(found)


def cost_of(signal: Any) -> tuple[int, int]:
    """(forward, backward) passes a record that a signal needs on its own."""
    costs = [passes_of(ask) for ask in asks_of(signal)]
    return sum(f for f, _ in costs), sum(b for _, b in costs)


def planned(signals: Iterable[Any], samples: int) -> tuple[Cost, ...]:
    """The bill: one line a distinct ask."""
    readers: dict[Ask, list[str]] = {}
    for signal in signals:
        for ask in asks_of(signal):
            readers.setdefault(ask, []).append(registry.name_of(signal))
    return tuple(
        Cost(type(a.what).__name__, str(a.of), _view(a), *passes_of(a), samples, tuple(names), _key(a))
        for a, names in readers.items()
    )


def computed(costs: Sequence[Cost], passes: Iterable[Any]) -> list[int]:
    """Records each line was computed for, by the engine's ``passes``; the others were read from the store."""
    done: dict[str, int] = {}
    for one in passes:
        if one.ask is not None:
            done[_key(one.ask)] = done.get(_key(one.ask), 0) + one.computed
    return [done.get(c.key, 0) for c in costs]


def total(costs: Sequence[Cost], records: Sequence[int] | None = None) -> tuple[int, int]:
    """(forward, backward) passes over all records, or over as many of each line as ``records`` says."""
    counts = [c.samples for c in costs] if records is None else records
    return (
        sum(c.forward * n for c, n in zip(costs, counts, strict=True)),
        sum(c.backward * n for c, n in zip(costs, counts, strict=True)),
    )


def _view(ask: Ask) -> str:
    return "" if isinstance(ask.view, Plain) else type(ask.view).__name__


def _key(ask: Ask) -> str:
    return digest([ask.what, str(ask.of), ask.view])[:12]
