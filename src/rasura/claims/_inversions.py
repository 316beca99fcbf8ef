"""Attacks in embedding space on edited models, on the untouched one (the ceiling) and on the one retrained without the
concept (the floor)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..attacks._drawing import draw_each, judged
from ..attacks.text_map_inverse import TextMapInverse
from ..attacks.textual_inversion import TextualInversion
from ..core.types import Budget
from ..erasers.edits.rece import Seen
from ..models.text_map import TextMap, gram
from ._edits import BEFORE, GUIDED, RECE, RETRAINED, UCE, edited, edits, request_of

WORD, INVERSE, DERIVED = "textual inversion", "closed-form inverse", "RECE's own embedding"
MODELS = (BEFORE, RETRAINED, UCE, GUIDED, RECE)


@dataclass(frozen=True)
class InversionData:
    """One row a model, attack and forget prompt."""

    model: np.ndarray  # (n,) str: label of ``_edits``
    attack: np.ndarray  # (n,) str
    prompt: np.ndarray  # (n,) int64: its place in the forget set
    shown: np.ndarray  # (n,) share of pictures in which the judge sees the concept; NaN: given to the attacker

    def of(self, model: str, attack: str) -> np.ndarray:
        """(prompts,) in their order."""
        rows = np.flatnonzero((self.model == model) & (self.attack == attack))
        return self.shown[rows[np.argsort(self.prompt[rows])]]


@dataclass(frozen=True)
class Inversions:
    """One seed: a learned word, T^-1 c, and RECE's regularised c' (penalty ``penalty``) against each model."""

    size: str = "small"
    guide: str = "cross"
    pictures: int = 4
    steps: int = 20
    guidance: float = 4.0
    penalty: float = 0.1

    Data: ClassVar[type] = InversionData
    testbed: ClassVar[str] = "images"
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = len(MODELS)

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> InversionData:
        """Every attack on every model."""
        chosen = {label: edit for label, edit in edits(self.guide).items() if label in MODELS}
        models, request = edited(planted, chosen), request_of(planted)
        word = TextualInversion(**TextualInversion.testbed_settings)
        inverse = TextMapInverse(self.pictures, self.steps, self.guidance)
        rows: list[tuple] = []
        for label in MODELS:
            model, more = models[label], {"seed": seed, "before": models[BEFORE]}
            found = {
                WORD: word.attack(model, request, Budget(), **more).score,
                INVERSE: inverse.attack(model, request, Budget(), **more).score,
                DERIVED: self._derived(models[BEFORE], model, request, seed),
            }
            rows += [(label, attack, i, v) for attack, scores in found.items() for i, v in enumerate(scores)]
            tick()
        model, attack, prompt, shown = zip(*rows, strict=True)
        names = [np.array(column, dtype=object) for column in (model, attack)]
        return InversionData(*names, np.array(prompt, dtype=np.int64), np.array(shown, dtype=np.float64))

    def _derived(self, before: Any, model: Any, request: Any, seed: int) -> np.ndarray:
        """c' = (T^T K T + penalty I)^-1 T^T K c, all positions, in place of c: what RECE derives and then erases."""
        import torch

        text_map, base = TextMap.between(before, model)[0], gram(before)
        eye = torch.eye(text_map.width, dtype=torch.float64)
        rows = Seen.by(text_map, base).adversarial(eye, self.penalty)
        attacked = TextMap.of_matrix(rows.T).hook(model, "derived embedding")
        with torch.no_grad():
            embedded = attacked.guarded(before.encode_prompts(request.forget.texts))
        settings = {"seed": seed, "steps": self.steps, "guidance": self.guidance}
        return judged(request, request.forget, draw_each(attacked, embedded, request.forget, self.pictures, **settings))
