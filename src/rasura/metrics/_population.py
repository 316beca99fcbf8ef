"""Which records an ask of a metric is about.

Most metrics look at one set of records and name it in their class attribute ``population``. One that compares two
sets wraps the ask about the other set: ``On("nonmembers", Ask(TokenStatistics()))``. The names are

- ``forget``: the records an erasure was asked for;
- ``retain``: records that must survive it;
- ``heldout``: records like the background, never trained on;
- ``nonmembers``: records of the same kind as ``forget``, never trained on (their twins on a testbed);

and for text-to-image models, whose records are prompts with what a judge should see in the picture (``Sample.shows``):

- ``paraphrases``: prompts that mean the erased concept in words no eraser was given;
- ``near``: prompts of the concept's neighbours (other shapes, for a shape); ``far``: of everything else;
- ``pictures``: real captioned pictures never trained on, which distributions are compared with.

Whoever runs a metric reads both from ``questions`` and need not know which form was used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.types import Ask

POPULATIONS = ("forget", "retain", "heldout", "nonmembers", "paraphrases", "near", "far", "pictures")


@dataclass(frozen=True)
class On:
    """An ask about another population than the metric's own."""

    population: str
    ask: Ask


def questions(metric: Any) -> dict[str, tuple[str, Ask]]:
    """What a metric needs: argument name of ``estimate`` to (population, ask).

    >>> from types import SimpleNamespace
    >>> metric = SimpleNamespace(population="forget", needs=lambda: {"a": Ask("pass"), "b": On("retain", Ask("pass"))})
    >>> [(name, population) for name, (population, _) in questions(metric).items()]
    [('a', 'forget'), ('b', 'retain')]
    """
    return {
        name: (need.population, need.ask) if isinstance(need, On) else (metric.population, need)
        for name, need in metric.needs().items()
    }
