"""Unified concept editing: the phrase's features are answered as another phrase's, preserved phrases as themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from ...core.errors import BadInput
from ...core.registry import method
from ...core.types import Request
from ...observations._engine import Engine, Progress, quiet
from .._outcome import Outcome
from . import _rows
from ._math import Form, check, concept_of, finished, kept_texts, prompts, warnings_of

PAIRS = {"last word": _rows.last_words, "from the last word": _rows.from_the_last_word, "every": _rows.every}


@method(paper="arXiv:2308.14761")
@dataclass(frozen=True)
class Uce:
    """Keys and values of cross-attention say for the concept what they said for the guide (UCE).

        W' = (lambda W + s_e sum_E W g_i c_i^T + s_p sum_P W c_j c_j^T) (lambda I + s_e sum_E c_i c_i^T + s_p sum_P c_j c_j^T)^-1

    which is W T with one T for all layers (models/text_map.py). E: each of ``templates`` filled with the concept (c) and
    with ``guide`` (g), without templates the forget prompts with the concept's words exchanged; P: the distinct retain texts that do not name the concept; s_e = ``erase_scale``, s_p =
    ``preserve_scale``, lambda = ``ridge``. ``positions`` says which rows a text gives:

    - "last word" (the authors' code of 2025, the default here): the last word token of each text, preserved ones too;
    - "from the last word" (their code of 2023): the last word token and all after it, as many as both texts have;
      preserved texts, the empty one always among them, with all positions;
    - "every" (ours): all positions of both texts, aligned word by word; preserved texts likewise.

    ``preserve_scale`` None is 2023's max(.1, 1/n), n preserved texts. ``Uce.presets`` names the settings of the two
    versions; "2025, object" and "2025, art" are the code's expanded prompts. ``form``: "in place"; "adapter", the same
    weights by way of an exact LoRA file, written under ``checkpoint``/adapter where one is given; "prompt hook", weights
    untouched, features multiplied by T.

    Source: Gandikota, Orgad, Belinkov, Materzynska and Bau, "Unified concept editing in diffusion models", WACV 2024.
    Public code (rohitgandikota/unified-concept-editing, 28c81ed of 2025 and bd5fb51 of 2023): inverts M in float32 once a
    layer; reads the empty guide at its start token, as here. Left out: the "tensor" target of 2023, which removes the
    part along W c in each layer by itself and is therefore no map of the text, and the debiasing loop. BadInput without
    a concept and when the guide is the concept.

    By hand, one row c = (1, 0) towards g = (0, 1), s_e = 1, lambda = .5: M = diag(1.5, .5), T = I + (g - c) c^T M^-1.

    >>> import torch
    >>> from rasura.models.text_map import TextMap
    >>> TextMap.of_rows(torch.tensor([[1.0, 0]]), torch.tensor([[0.0, 1]]), 1.0, 0.5).matrix.numpy().round(4).tolist()
    [[0.3333, 0.0], [0.6667, 1.0]]
    """

    guide: str = ""
    templates: tuple[str, ...] = ("{}",)
    positions: Literal["last word", "from the last word", "every"] = "last word"
    erase_scale: float = 1.0
    preserve_scale: float | None = 1.0
    ridge: float = 0.5
    form: Form = "in place"

    modality: ClassVar[str] = "images"
    testbed_settings: ClassVar[Mapping[str, Any]] = {"templates": (), "positions": "every"}
    testbed_reason: ClassVar[str] = (
        "with 64 text dimensions and a text encoder of one or two layers the bare word says little about a whole prompt: "
        "the forget prompts themselves are edited, at every position, since the words after the concept carry it too"
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "2025": {},
        "2025, object": {
            "templates": tuple(
                f"{x}{{}}" for x in ("", *(f"{k} of " for k in "image photo portrait picture painting".split()))
            )
        },
        "2025, art": {
            "guide": "art",
            "templates": ("{}", *(f"{k} by {{}}" for k in "painting art artwork picture".split()), "style of {}"),
        },
        "2023": {"positions": "from the last word", "preserve_scale": None},
    }

    def __post_init__(self) -> None:
        check("uce", self.form, self.templates, erase_scale=self.erase_scale, ridge=self.ridge)
        if self.positions not in PAIRS:
            raise BadInput(f"uce: positions is '{self.positions}'; there are {', '.join(PAIRS)}")
        if self.preserve_scale is not None and not self.preserve_scale >= 0:
            raise BadInput(f"uce: preserve_scale is {self.preserve_scale}, expected a number from 0")

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
        concept = concept_of("uce", request, self.guide)
        rows = _rows.Rows(model)
        pairs = prompts("uce", self.templates, request, concept, self.guide)
        rows.move(PAIRS[self.positions](model, *pair) for pair in pairs)
        rows.kept = self._kept(model, kept_texts(model, request, concept))
        scale = max(0.1, 1 / max(1, len(rows.kept))) if self.preserve_scale is None else self.preserve_scale
        text_map = rows.solve(self.erase_scale, scale, self.ridge)
        warnings = list(warnings_of(model, request, concept, self.guide))
        return finished(model, text_map, self.form, f"{self} of '{concept}'", checkpoint, True, warnings)

    def _kept(self, model: Any, texts: tuple[str, ...]) -> list[tuple[str, tuple[int, ...]]]:
        if self.positions == "last word":
            return [(t, (_rows.last_word(model.tokens(t)),)) for t in texts]
        everything = tuple(range(len(model.tokens("").ids)))
        return [(t, everything) for t in dict.fromkeys(("", *texts))]

    def __str__(self) -> str:
        return f"uce ({self.positions}, towards '{self.guide}', {self.form})"
