"""Pruning the feed-forward weights that fire for what is to be forgotten (Chavhan, Li and Hospedales 2024, ConceptPrune;
Chavhan, Bohdal, Zong, Li and Hospedales 2024, "Memorized images in diffusion models share a subspace").

For every second feed-forward matrix W (out, in) and each of the first tau sampling steps, with a_j the column norm of the
layer's input (observations/neuron_activations.py) and the Wanda score of Sun, Liu, Bair and Kolter (2023):

    S_ij = |W_ij| a_j              flagged:  S_ij in the top s of its output row i   and   S_ij(forget) > S_ij(base)

A weight flagged in more than votes * tau of those steps is set to zero. Nothing is trained. Two uses: prompts whose
pictures were memorised, against the empty prompt; and a concept, against the same prompts without it.

Norms are those of the average prompt, so sets of different size can be compared. In a small network s of a row is less than one
weight: at least one is taken. Pruned weights stay reachable by an optimised embedding, so attack the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ...core.errors import BadInput
from ...core.registry import method
from ...core.types import Ask, Request, Samples
from ...observations._engine import Engine, Progress, quiet
from ...observations.neuron_activations import NeuronActivations
from ...training.partners import drawn
from .._outcome import Outcome

if TYPE_CHECKING:
    import torch


@method(paper="arXiv:2405.19237")
@dataclass(frozen=True)
class Wanda:
    """Set to zero the few feed-forward weights that fire more for the forgotten prompts than for others.

    ``share``: s. ``tau``: sampling steps looked at, of ``steps``. ``votes``: share of them a weight must be flagged in more
    than; 0: any of them. ``base``: what is compared with: "empty" the empty prompt, "without" the forgotten prompts with
    the concept left out, "retain" the retained prompts; "auto": "without" when the request names a concept, else "empty".
    ``kind``: which layers. ``prompts``: at most so many a side. ``pictures``: a prompt, from the same noises on both sides.

    >>> import torch
    >>> w = torch.tensor([[1.0, -2.0, 0.5, 0.1]])  # S forget: 2, 2, 2, .1;  S base: 1, 4, 1, .1
    >>> flagged(w, torch.tensor([2.0, 1.0, 4.0, 1.0]), torch.tensor([1.0, 2.0, 2.0, 1.0]), 0.75).tolist()
    [[True, False, True, False]]
    """

    share: float = 0.01
    tau: int = 10
    steps: int = 50
    votes: float = 0.0
    base: Literal["auto", "empty", "without", "retain"] = "auto"
    kind: str = "feed_forward.out"
    guidance: float = 7.5
    pictures: int = 1
    prompts: int = 32
    seed: int = 0

    modality: ClassVar[str] = "images"
    testbed_settings: ClassVar[Mapping[str, Any]] = {"share": 0.05, "tau": 10, "steps": 20, "guidance": 4.0}
    testbed_reason: ClassVar[str] = (
        "a hundredth of a row of 128 weights is one weight; published rows are ten times as long"
    )
    erases_little: ClassVar[str] = (
        "a colour that every layer of a network this small takes part in is not kept by a few feed-forward weights: with a "
        "twentieth of each row looked at it was drawn as often as before, with a fifth in .77 and .96 of two models' pictures"
    )
    needs_no_concept: ClassVar[str] = "prompts are compared with the empty prompt where no concept is named"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise BadInput(f"share is {self.share}: expected more than 0, at most 1")
        if not 1 <= self.tau <= self.steps:
            raise BadInput(f"tau is {self.tau}: expected 1 to steps, which is {self.steps}")
        if not 0 <= self.votes < 1:
            raise BadInput(f"votes is {self.votes}: expected at least 0, less than 1")

    def apply(self, model: Any, request: Request, *, seed: int = 0) -> Any:
        """A new handle. Raises BadInput as ``run`` does."""
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
        """Prune and say how much. Raises BadInput when the forget set, or what it is compared with, is empty.

        Nothing is drawn from ``seed`` but which prompts are looked at where there are too many.
        """
        masks = self.masks(model, request, engine=engine, seed=seed)
        pruned = zeroed(model, masks).with_treatment(f"{self}, seed {seed}")
        removed, layers = sum(int(m.sum()) for m in masks.values()), sum(m.numel() for m in masks.values())
        derived = {
            "weights removed": float(removed),
            "share of the layers' weights removed": removed / layers,
            "share of all weights removed": removed / model.parameters,
        }
        warnings = () if removed else ("no weight fires more for the forgotten prompts: nothing was pruned",)
        return Outcome(pruned, derived, warnings, stopped="pruned")

    def masks(
        self, model: Any, request: Request, *, engine: Engine | None = None, seed: int = 0
    ) -> dict[str, torch.Tensor]:
        """Which weights would go: layer name to boolean tensor of its weight's shape."""
        forget, base = self._prompts(request, seed)
        engine = engine or Engine()
        ask = Ask(NeuronActivations(self.kind, self.pictures, self.steps, self.tau, self.guidance, self.seed))
        target, other = (
            np.sqrt(engine.observe(ask, {"target": model}, part).mean()).reshape(self.tau, -1)
            for part in (forget, base)
        )
        return self._voted(model, target, other)

    def _voted(self, model: Any, target: np.ndarray, other: np.ndarray) -> dict[str, torch.Tensor]:
        """From column norms, (tau, inputs of all layers), to masks."""
        import torch

        masks, at = {}, 0
        for site in model.sites(self.kind):
            weight = model.module.get_submodule(site.name).weight.detach().float()
            a, b = (
                torch.from_numpy(n[:, at : at + weight.shape[1]]).float().to(weight.device) for n in (target, other)
            )
            votes = sum(flagged(weight, a[i], b[i], self.share).int() for i in range(self.tau))
            masks[site.name] = votes > self.votes * self.tau
            at += weight.shape[1]
        return masks

    def _prompts(self, request: Request, seed: int) -> tuple[Samples, Samples]:
        """(to forget, to compare with)."""
        if not request.forget:
            raise BadInput("the forget set is empty: nothing to erase")
        forget, how = self._some(request.forget.texts, seed), self.base
        if how == "auto":
            how = "without" if request.concept else "empty"
        if how == "empty":
            return forget, Samples.of([""])
        if how == "retain":
            if not request.retain:
                raise BadInput("wanda compares with retained prompts: give a retain set (--retain), or base=empty")
            return forget, self._some(request.retain.texts, seed)
        return forget, Samples.of(without(forget.texts, request.concept or ""))

    def _some(self, texts: list[str], seed: int) -> Samples:
        unique = list(dict.fromkeys(texts))
        chosen = sorted(drawn(len(unique), min(self.prompts, len(unique)), 0, seed, "wanda"))
        return Samples.of(unique[i] for i in chosen)

    def __str__(self) -> str:
        return f"wanda ({self.share:g} of each row, first {self.tau} of {self.steps} steps)"


def without(texts: list[str], concept: str) -> list[str]:
    """The same prompts with the concept left out. Raises BadInput when none of them names it.

    >>> without(["a red ring", "red"], "red")
    ['a ring', '']
    """
    found = [" ".join(t.replace(concept, " ").split()) if concept else t for t in texts]
    if all(a.split() == b.split() for a, b in zip(found, texts, strict=True)):
        raise BadInput(
            f"no forget prompt names the concept '{concept}', so there is nothing to leave out; set base=empty"
        )
    return found


def flagged(weight: torch.Tensor, forget: torch.Tensor, base: torch.Tensor, share: float) -> torch.Tensor:
    """Entries of W (out, in) in the top ``share`` of their row under the forgotten prompts' norms (in,) and above base."""
    import torch

    score = weight.abs() * forget
    keep = max(1, round(share * weight.shape[1]))
    top = torch.zeros_like(score, dtype=torch.bool).scatter_(1, score.topk(keep, dim=1).indices, True)
    return top & (score > weight.abs() * base)


def zeroed(model: Any, masks: Mapping[str, torch.Tensor]) -> Any:
    """A copy with the masked weights at 0."""
    import torch

    pruned = model.clone()
    with torch.no_grad():
        for name, mask in masks.items():
            pruned.module.get_submodule(name).weight.masked_fill_(mask, 0.0)
    pruned.weights_changed()
    return pruned


def overlap(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> float:
    """Intersection over union of two masks, all layers together; NaN when both are empty.

    >>> import torch
    >>> overlap({"x": torch.tensor([True, True, False])}, {"x": torch.tensor([False, True, True])}) == 1 / 3
    True
    """
    both, either = (sum(int(join(a[n], b[n]).sum()) for n in a) for join in (_and, _or))
    return both / either if either else float("nan")


def _and(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a & b


def _or(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a | b
