"""Undo a closed-form edit: read the text map off the weights and feed the model T^-1 c."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.errors import BadInput, NeedsRole
from ..core.registry import method
from ..core.types import Budget, Recovered, Request
from ..models.text_map import TextMap
from ._drawing import draw_each, judged, need_judge, plan, shown_line

ROUNDING = 1e-6  # singular values of T below this share of the largest are float32 noise of the weights


@method(paper="arXiv:2407.12383")
@dataclass(frozen=True)
class TextMapInverse:
    """What an attacker draws who may feed features: c' = T^-1 c undoes any edit of the form W' = W T.

        T = argmin_T sum_l || W_l T - W'_l ||_F^2 = W^+ W',      c' = T^+ c

    with W_l, W'_l the key and value matrices of cross-attention before and after, W all of them stacked (its columns
    are independent), ^+ the pseudo-inverse. c is what the old text encoders say for each forget prompt. The edited
    model gets c' in place of c, the unconditional branch likewise, and as W' c' = W c draws what the old model drew, however
    the edit chose its rows: TIME, UCE, RECE and every other edit that is one map of the text are undone without training.
    Guards are left out, since whoever feeds features holds the model: an edit hung on as a prompt hook leaves T = I.

    score_i = share of ``pictures`` drawn for forget prompt i that show its ``shows`` to the judge; evidence says how far
    the weights are from W T at all (0: exactly; near 1: no map of the text made them), how far T is from I, and T's
    smallest singular value over its largest. What T shrinks below 1e-6 of the largest is rounding in float32 weights
    and is left alone.

    Needs ``before`` (NeedsRole otherwise) and a judge (BadInput). ``budget.queries`` counts latents through the U-Net,
    ``budget.samples`` pictures. Two models trained apart have no map between them: then c' is noise.

    Source: a corollary of the shared map (models/text_map.py). RECE (Gong, Chen, Wei, Chen and Jiang, 2024) finds the same
    features by regularised least squares in the layers' outputs and erases them; its lambda -> 0 is T^-1 c.

    By hand, one layer: W = (1, 2), T = diag(2, 1): W' = (2, 2), and c = (1, 1) becomes c' = (.5, 1): W' c' = 3 = W c.

    >>> import torch
    >>> undone = TextMap.of_matrix(torch.diag(torch.tensor([2.0, 1.0]))).inverse
    >>> undone.of_features(torch.tensor([1.0, 1.0])).tolist()
    [0.5, 1.0]
    """

    pictures: int = 4
    steps: int = 20
    guidance: float = 4.0

    modality: ClassVar[str] = "images"
    access: ClassVar[str] = "white-box"
    leaves_guards_out: ClassVar[str] = "whoever feeds features holds the model, and runs it without its guards"

    def __post_init__(self) -> None:
        if self.pictures < 1 or self.steps < 1:
            raise BadInput(
                f"text_map_inverse: pictures and steps must be at least 1; got {self.pictures}, {self.steps}"
            )

    def attack(self, model: Any, request: Request, budget: Budget, *, seed: int = 0, before: Any = None) -> Recovered:
        """Least squares once, then ``pictures`` drawn a prompt."""
        import torch

        if before is None:
            raise NeedsRole("text_map_inverse", "before")
        need_judge(request)
        count = len(request.forget)
        naked = type(model)(model.pipeline, name=model.name, treatments=model.treatments)
        a_picture = (1 if self.guidance == 1 else 2) * self.steps
        pictures = plan(budget, count, pictures=self.pictures, a_picture=a_picture).pictures
        text_map, off = TextMap.between(before, naked)
        undone = text_map.inverse_above(ROUNDING).hook(naked, "inverse text map") if text_map.distance else naked
        with torch.no_grad():
            embedded = undone.guarded(before.encode_prompts(request.forget.texts))
        drawn = draw_each(
            undone, embedded, request.forget, pictures, seed=seed, steps=self.steps, guidance=self.guidance
        )
        score = judged(request, request.forget, drawn)
        lines = (
            shown_line(score, pictures),
            f"W T misses the new weights by {off:.3f} of their change; |T - I| {text_map.distance:.3f}, weakest direction {text_map.weakest:.1e}",
        )
        spent = Budget(queries=count * pictures * a_picture, samples=count * pictures)
        return Recovered(score, lines, spent, drawn)
