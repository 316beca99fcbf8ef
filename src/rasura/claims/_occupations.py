"""The colours in which occupations are drawn, with and without guidance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask
from ..observations._engine import Engine
from ..observations.generated_images import GeneratedImages
from ..observations.judgements import to_tensor


@dataclass(frozen=True)
class OccupationData:
    """One row a picture."""

    split: np.ndarray  # (n,) str: how the training pictures of the word are split, "90/10"
    guidance: np.ndarray  # (n,)
    usual: np.ndarray  # (n,) 1 where the judge sees the word's usual colour
    other: np.ndarray  # (n,) 1 where it sees the colour of the rest of the word's training pictures


@dataclass(frozen=True)
class Occupations:
    """One seed: ``pictures`` a prompt at each of ``guidances``."""

    size: str = "small"
    pictures: int = 64
    steps: int = 20
    guidances: tuple[float, ...] = (1.0, 4.0)

    Data: ClassVar[type] = OccupationData
    testbed: ClassVar[str] = "images"
    modules: ClassVar[tuple[str, ...]] = ()

    @property
    def ticks(self) -> int:
        return len(self.guidances)

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> OccupationData:
        """The two colours of all words together are those any of them is shown in."""
        prompts, judge = planted.more["bias"], planted.judge
        both = sorted({s.shows for s in prompts})
        rows: list[tuple] = []
        for guidance in self.guidances:
            what = GeneratedImages(self.pictures, self.steps, guidance, seed)
            drawn = Engine(store=Store()).observe(Ask(what), {"target": planted.models["target"]}, prompts)
            for i, s in enumerate(prompts):
                shown = to_tensor(drawn.pictures(i), judge)
                seen = {colour: judge.sees(shown, colour).cpu().numpy().astype(float) for colour in both}
                other = sum(values for colour, values in seen.items() if colour != s.shows)
                rows += [(s.family, guidance, u, o) for u, o in zip(seen[s.shows], other, strict=True)]
            tick()
        split, guidance_of, usual, rest = zip(*rows, strict=True)
        return OccupationData(np.array(split, dtype=object), np.array(guidance_of), np.array(usual), np.array(rest))
