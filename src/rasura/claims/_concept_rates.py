"""What is drawn before and after closed-form edits, for prompts that name the concept and for everything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask
from ..observations._engine import Engine
from ..observations.generated_images import GeneratedImages
from ..observations.judgements import Judgements
from ._edits import edited, edits

GROUPS = ("forget", "paraphrases", "near", "far")


@dataclass(frozen=True)
class ConceptData:
    """One row a model and prompt."""

    model: np.ndarray  # (n,) str: label of ``_edits``
    group: np.ndarray  # (n,) str: one of GROUPS
    shows: np.ndarray  # (n,) str: the class a picture of the prompt should show
    seen: np.ndarray  # (n, pictures) int64: 1 where the judge sees that class
    sensitivity: np.ndarray  # (n,) of the judge on that class
    specificity: np.ndarray  # (n,)


@dataclass(frozen=True)
class ConceptRates:
    """One seed: edit the target, draw ``pictures`` a prompt from every model, judge them."""

    size: str = "small"
    guide: str = "cross"
    pictures: int = 2
    steps: int = 20
    guidance: float = 4.0

    Data: ClassVar[type] = ConceptData
    testbed: ClassVar[str] = "images"
    modules: ClassVar[tuple[str, ...]] = ()

    @property
    def ticks(self) -> int:
        return 2 + len(edits(self.guide))

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> ConceptData:
        """Every model from the same noises."""
        prompts = {"forget": planted.forget, **{g: planted.more[g] for g in GROUPS[1:]}}
        drawn = GeneratedImages(self.pictures, self.steps, self.guidance, seed)
        rows: list[tuple] = []
        for label, model in edited(planted, edits(self.guide)).items():
            engine = Engine(store=Store())
            for group, samples in prompts.items():
                roles = {"target": model, "judge": planted.judge}
                found = engine.observe(Ask(Judgements(drawn), of="judge"), roles, samples)
                rows += [
                    (label, group, s.shows, found.seen[i].tolist(), found.sensitivity[i], found.specificity[i])
                    for i, s in enumerate(samples)
                    if len(found.seen[i])
                ]
            tick()
        model, group, shows, seen, sensitivity, specificity = zip(*rows, strict=True)
        names = [np.array(column, dtype=object) for column in (model, group, shows)]
        return ConceptData(*names, np.array(seen, dtype=np.int64), np.array(sensitivity), np.array(specificity))
