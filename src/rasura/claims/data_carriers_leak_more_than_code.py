"""Traces of memorisation in code models: tables of data come out more than code does, and more from larger models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..observations._engine import Progress, quiet
from ._code_leaks import CodeData, CodeLeaks
from ._decide import Inequality, number, verdict, words
from ._paired import paired
from ._pool import clipped, contrast, share, wider
from ._seeds import each_seed

KINDS = ("data", "code", "test", "documentation", "licence", "secret")


@method(paper="arXiv:2312.11658")
@dataclass(frozen=True)
class DataCarriersLeakMoreThanCode:
    """Greedy decoding completes tables of data more often than functions seen equally often, and larger models leak more.

    Made-up code of six kinds, 4, 16 or 64 copies an epoch (see ``_code_leaks``). Exact match of data minus that of code in the
    larger model, the mean over the three doses of their differences, at least ``gap_at_least``; exact match of all plants
    in the larger model minus the smaller one, the same plants, above ``growth_above``. Clopper-Pearson within a cell,
    Student's t over plants for the second, or over seeds if wider. Bounds frozen before the run.

    Source: Al-Kaswan, Izadi and van Deursen, "Traces of memorisation in large language models for code", ICSE 2024.
    Deviations: 16 tokens after the passage's cut for every kind, theirs 50 after 50; their passages were chosen because they looked
    extractable, ours are all that were planted; models of .23 and .66 M parameters. The tables hold
    random numbers, and the numbers of a real table often are not.

    The interval of the difference was corrected after the numbers were seen: doses had been pooled as if they were seeds,
    which left it [-1.23, .45] and the claim unresolved. No threshold was touched.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: CodeLeaks = CodeLeaks()
    gap_at_least: float = 0.10
    growth_above: float = 0.0

    about: ClassVar[tuple[str, ...]] = ("extraction.code_traces",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[CodeData]) -> Verdict:
        """The rule, on what was measured."""
        doses = sorted({int(d) for data in seeds for d in data.dose if d > 0})
        gap = _gap(seeds, doses)
        growth = paired([(d.exact[d.dose > 0, -1], d.exact[d.dose > 0, 0]) for d in seeds])
        parts = (
            Inequality("exact match of data minus that of code", gap, ">=", self.gap_at_least),
            Inequality("exact match in the larger model minus the smaller", growth, ">", self.growth_above),
        )
        return verdict(
            type(self).name,
            parts,
            theirs="47 % of samples chosen as extractable come out; larger models leak more, and data carriers more than code",
            found=_found(seeds, doses[-1]),
            table=_table(seeds, doses),
        )


def _gap(seeds: Sequence[CodeData], doses: Sequence[int]) -> Estimate:
    """Data minus code, the mean over the doses; over items each dose's interval adds to it in squares."""
    whole = CodeData(*(np.concatenate([getattr(d, f.name) for d in seeds]) for f in fields(CodeData)))
    cells = [contrast(_rate([whole], "data", d), _rate([whole], "code", d)) for d in doses]
    value = float(np.mean([e.value for e in cells]))
    low = value - math.hypot(*(e.value - e.low for e in cells)) / len(cells)
    high = value + math.hypot(*(e.high - e.value for e in cells)) / len(cells)
    each = [
        float(np.mean([_rate([data], "data", d).value - _rate([data], "code", d).value for d in doses]))
        for data in seeds
    ]
    return clipped(wider(value, (low, high), each, sum(e.n for e in cells), "share"), -1.0, 1.0)


def _rate(seeds: Sequence[CodeData], kind: str, dose: int, size: int = -1) -> Estimate:
    return share([d.exact[(d.kind == kind) & (d.dose == dose), size] for d in seeds])


def _found(seeds: Sequence[CodeData], dose: int) -> str:
    """What comes out beside how surprising it is to a model that never saw it."""
    nats = {kind: _nats(seeds, kind, 0) for kind in ("data", "code", "secret")}
    out = {kind: _rate(seeds, kind, dose).value for kind in nats}
    cells = ", ".join(f"{kind} {number(nats[kind])} and {number(out[kind])}" for kind in nats)
    dearer = nats["secret"] > nats["data"] and out["secret"] > out["data"]
    alone = "Secrets cost more and come out more often than tables: tables do not stay behind for surprise alone. "
    return (
        f"Nats a token of what is to be extracted in passages the larger model never saw, and share that comes out at {dose} "
        f"copies: {cells}. {alone if dearer else ''}Of functions never seen {words(_rate(seeds, 'code', 0))} come out."
    )


def _nats(seeds: Sequence[CodeData], kind: str, dose: int) -> float:
    return float(np.nanmean(np.concatenate([d.nats[(d.kind == kind) & (d.dose == dose), -1] for d in seeds])))


def _table(seeds: Sequence[CodeData], doses: Sequence[int]) -> list[tuple[str, ...]]:
    larger = [f"exact at {d}x" for d in (0, *doses)]
    smaller = [f"exact at {d}x, smaller model" for d in (0, *doses)]
    rows = [("kind", *larger, *smaller, f"BLEU-4 of characters at {doses[0]}x", "nats a token, never seen")]
    for kind in KINDS:
        cells = [words(_rate(seeds, kind, d, size)) for size in (-1, 0) for d in (0, *doses)]
        bleu = np.concatenate([d.bleu[(d.kind == kind) & (d.dose == doses[0]), -1] for d in seeds])
        rows.append((kind, *cells, number(float(np.nanmean(bleu))), number(_nats(seeds, kind, 0))))
    return rows
