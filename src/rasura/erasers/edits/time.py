"""Editing an assumption: every position of a vague prompt says what a more explicit prompt says there (TIME)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ...core.registry import method
from ...core.types import Request
from ...observations._engine import Engine, Progress, quiet
from .._outcome import Outcome
from . import _rows
from ._math import Form, check, concept_of, finished, prompts, warnings_of


@method(paper="arXiv:2303.08084")
@dataclass(frozen=True)
class Time:
    """What a phrase is taken to mean becomes what another, longer phrase says ("ring" as if "blue ring") (TIME).

        W' = (lambda W + sum_p W c*_{a(p)} c_p^T) (lambda I + sum_p c_p c_p^T)^-1 = W T

    over all positions p of each of ``templates`` filled with the concept (without templates: of the forget prompts that
    name it); c* the same with ``guide`` in its place;
    a(p) the position of the same word there, inserted words skipped and "an" read as "a", the end token on the end token
    and padding after it in order, the last position where it runs out. lambda = ``ridge``; values alone with ``keys`` off.
    The authors' augmented prompts are the templates "{}", "A photo of {}", "An image of {}", "A picture of {}".

    Start and padding positions are shared by all prompts: the edit reaches those too, the more the smaller lambda is.
    Nothing is preserved: retain texts take no part. BadInput without a concept, when the guide is the concept, and for
    a prompt hook with ``keys`` off, as a hook reaches both.

    Source: Orgad, Kawar and Belinkov, "Editing implicit assumptions in text-to-image diffusion models", ICCV 2023. Public
    code (bahjat-kawar/time-diffusion, 1d6784a): values alone unless its flag is set (the command in its comments sets
    it), lower-cases a leading "A" behind the added words, and finds no layer in current diffusers, which it searches by a
    class name of old. Deviation: where the guide does not hold the concept's words (the authors' code then fails), the
    stretch that differs stands against the other one, word by word, the last word repeated; so a concept can be
    exchanged or, with the default guide "", taken out.

    By hand: "red ring" against "a red big ring" in 8 positions.

    >>> _rows.aligned(["red", "ring"], ["a", "red", "big", "ring"], 8)
    (0, 2, 4, 5, 6, 7, 7, 7)
    """

    guide: str = ""
    templates: tuple[str, ...] = ("{}",)
    ridge: float = 0.1
    keys: bool = True
    form: Form = "in place"

    modality: ClassVar[str] = "images"
    testbed_settings: ClassVar[Mapping[str, Any]] = {"templates": ()}
    testbed_reason: ClassVar[str] = (
        "with 64 text dimensions and a text encoder of one or two layers the bare word says little about a whole prompt: "
        "the forget prompts themselves are edited"
    )
    breaks_utility: ClassVar[str] = (
        "nothing is preserved: start and padding positions, which all prompts share, are moved with the concept's"
    )

    def __post_init__(self) -> None:
        check("time", self.form, self.templates, ridge=self.ridge)

    @property
    def suppression(self) -> bool:
        """A hook leaves the concept in the weights."""
        return self.form == "prompt hook"

    def apply(self, model: Any, request: Request, *, seed: int = 0) -> Any:
        """A new handle; nothing is drawn, so ``seed`` has no effect. Raises BadInput."""
        return self.run(model, request, seed=seed).model

    def run(
        self,
        model: Any,
        request: Request,
        *,
        seed: int = 0,
        engine: Engine | None = None,
        checkpoint: Path | None = None,
        progress: Progress = quiet,
    ) -> Outcome:
        """As ``apply``, with T's rank, condition number and distance from the identity, and warnings."""
        concept = concept_of("time", request, self.guide)
        rows = _rows.Rows(model)
        pairs = prompts("time", self.templates, request, concept, self.guide)
        rows.move(_rows.every(model, *pair) for pair in pairs)
        text_map = rows.solve(1.0, 0.0, self.ridge)
        warnings = [w for w in warnings_of(model, request, concept, self.guide) if "retain" not in w]
        return finished(model, text_map, self.form, f"{self} of '{concept}'", checkpoint, self.keys, warnings)

    def __str__(self) -> str:
        return f"time (towards '{self.guide}', {'keys and values' if self.keys else 'values'}, {self.form})"
