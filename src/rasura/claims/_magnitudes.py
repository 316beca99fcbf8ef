"""How hard captions pull at the sampler: planted pictures by dose, captions of their family never trained on, and
captions of ordinary training scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Samples
from ..observations._engine import Engine
from ..signals.guidance_magnitude import GuidanceMagnitude

ORDINARY = -1  # dose of a training scene's caption


@dataclass(frozen=True)
class MagnitudeRows:
    """One row a caption."""

    dose: np.ndarray  # (n,) int64: times its picture was seen; 0 never, same family; ORDINARY
    full: np.ndarray  # (n,) mean over all sampling steps
    first: np.ndarray  # (n,) the first step alone, of what the network puts out
    testbed: np.ndarray  # (n,) with the settings the signal's file names for testbeds


@dataclass(frozen=True)
class Magnitudes:
    """One seed: the signal with the paper's settings, its cheap version of one step, and its settings for testbeds.

    The cheap one reads the network's own output ("output"), as the noise difference of a v network is 0 at the first step.
    """

    size: str = "small"
    ordinary: int = 32

    Data: ClassVar[type] = MagnitudeRows
    testbed: ClassVar[str] = "images"
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 3

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> MagnitudeRows:
        """Three passes over the captions."""
        scenes = planted.more["ordinary"].take(range(min(self.ordinary, len(planted.more["ordinary"]))))
        captions = Samples([*planted.members, *planted.nonmembers, *scenes])
        dose = [s.repeats or 0 for s in (*planted.members, *planted.nonmembers)] + [ORDINARY] * len(scenes)
        engine, scores = Engine(store=Store()), []
        versions = ({}, {"steps": 1, "space": "output"}, getattr(GuidanceMagnitude, "testbed_settings", {}))
        for signal in (GuidanceMagnitude(**settings, seed=seed) for settings in versions):
            seen = {
                k: engine.observe(a, {"target": planted.models["target"]}, captions) for k, a in signal.needs().items()
            }
            scores.append(signal.score(**seen))
            tick()
        return MagnitudeRows(np.array(dose, dtype=np.int64), *scores)
