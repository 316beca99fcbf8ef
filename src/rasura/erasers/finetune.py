"""Objective x selection x loop: the one composite behind every eraser that trains.

The caller's handle is never changed: the selection makes the student (a copy, or an adapter over shared tensors), the
handle stays as the frozen reference, and the result stands alone. Batches are drawn by seed and step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..core.errors import BadInput
from ..core.protocols import Loss
from ..core.registry import name_of
from ..core.types import Request, Samples, digest
from ..observations._engine import Engine, Progress, quiet
from ..training.kinds import kind_of
from ..training.loop import Loop, Transcript, pinned_threads, train
from ..training.partners import Partners
from .selections._everything import everything

PROBE = 32  # retained records a budget is watched on


@dataclass(frozen=True)
class Finetuned:
    """What came out: the new handle, what happened on the way, numbers an objective derived, and warnings."""

    model: Any
    transcript: Transcript
    derived: Mapping[str, float]
    warnings: tuple[str, ...]

    @property
    def stopped(self) -> str:
        """Why training ended: "steps", "retain budget at step k" or "diverged at step k"."""
        return self.transcript.stopped


@dataclass(frozen=True)
class Finetune:
    """Erase by training: minimise an objective over a selection of parameters.

    ``selection``: None takes the objective's own (such as RMU's few matrices), otherwise every parameter.
    ``forget_batch``, ``retain_batch``: records of each kind a step. ``near``: share of a retain batch drawn from
    retained records of the forget set's own families, where both kinds exist; they are what is lost first.
    """

    objective: Any
    selection: Any = None
    loop: Loop = field(default_factory=Loop)
    forget_batch: int = 4
    retain_batch: int = 8
    near: float = 0.5

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
    ) -> Finetuned:
        """Train and keep the story. ``checkpoint``: a folder; a run that was killed goes on from it exactly.

        Raises BadInput on an empty forget set or a missing retain set, TrainingDiverged when the first loss is not
        finite.
        """
        request, warnings = self._usable(model, request)
        frozen = kind_of(model)(model, engine, request, seed)
        forget = Partners(request.forget, self.forget_batch, seed, "forget")
        retain = self._retain_draws(request, seed)
        with pinned_threads(self.loop.threads):
            trainable = self._selection.select(model, request)
        student = trainable.model

        def step_loss(k: int) -> Loss:
            frozen.step = k
            return self.objective.loss(student, frozen, forget.batch(k), retain(k))

        transcript = train(
            student,
            step_loss,
            self.loop,
            masks=trainable.masks,
            checkpoint=None if checkpoint is None else Path(checkpoint) / self._file(model, request, seed),
            progress=progress,
            probe=_probe(student, request.retain, seed) if request.retain else None,
            processes=_processes(engine, model),
        )
        finished = trainable.finish(student).with_treatment(f"{self}, seed {seed}")
        return Finetuned(finished, transcript, frozen.derived, (*warnings, *_warnings(transcript)))

    def __str__(self) -> str:
        return f"{name_of(self.objective)} ({name_of(self._selection)}, {self.loop.steps} steps at {self.loop.learning_rate:g})"

    @property
    def _selection(self) -> Any:
        if self.selection is not None:
            return self.selection
        return self.objective if hasattr(self.objective, "select") else _Everything()

    def _usable(self, model: Any, request: Request) -> tuple[Request, tuple[str, ...]]:
        """The request without records that training can do nothing with, such as texts without a token to score."""
        kind = kind_of(model)
        if not request.forget:
            raise BadInput("the forget set is empty: nothing to erase")
        if self.objective.needs_retain and not request.retain:
            raise BadInput(f"{name_of(self.objective)} needs records that must survive: give a retain set (--retain)")
        forget, retain = (part.where(lambda s: kind.usable(model, s)) for part in (request.forget, request.retain))
        if not forget:
            raise BadInput(f"no record of the forget set {kind.unusable}")
        if request.retain and not retain and self.objective.needs_retain:
            raise BadInput(f"no record of the retain set {kind.unusable}")
        dropped = len(request.forget) - len(forget)
        warnings = (f"{dropped} of {len(request.forget)} forget records {kind.left_out} and were not trained on",)
        return replace(request, forget=forget, retain=retain), warnings if dropped else ()

    def _retain_draws(self, request: Request, seed: int) -> Callable[[int], Samples]:
        families = {s.family for s in request.forget}
        near = request.retain.where(lambda s: s.family in families)
        far = request.retain.where(lambda s: s.family not in families)
        share = round(self.near * self.retain_batch)
        if not near or not far or not 0 < share < self.retain_batch:
            return Partners(request.retain, self.retain_batch, seed, "retain").batch
        kin = Partners(near, share, seed, "near")
        rest = Partners(far, self.retain_batch - share, seed, "far")
        return lambda k: Samples([*kin.batch(k), *rest.batch(k)])

    def _file(self, model: Any, request: Request, seed: int) -> str:
        """Named by all the run depends on, so that no other run is ever resumed from it."""
        depends = [self, seed, model.fingerprint, request.forget.digest, request.retain.digest]
        return f"training-{digest([*depends, *([request.concept] if request.concept else [])])}.safetensors"


class _Everything:
    """What moves when nobody says."""

    name = "all"

    def select(self, model: Any, request: Request) -> Any:
        return everything(model)


def _processes(engine: Engine | None, model: Any) -> Any:
    """Those that share the training of a language model; a text-to-image model is trained by each alike."""
    return getattr(getattr(engine, "crew", None), "processes", None) if model.modality == "text" else None


def _probe(student: Any, retain: Samples, seed: int) -> Callable[[], float]:
    """Mean loss of a fixed batch of retained records under the student as it is."""
    batch = Partners(retain, min(PROBE, len(retain)), seed, "probe").batch(0)
    return lambda: float(kind_of(student).loss(student, batch))


def _warnings(transcript: Transcript) -> tuple[str, ...]:
    if transcript.stopped == "steps":
        return ()
    kept = f"the weights after {transcript.kept} updates were kept"
    if transcript.diverged:
        return (f"training {transcript.stopped}: the loss was no longer finite; {kept}; try a smaller learning rate",)
    return (f"stopped by the {transcript.stopped}: the loss on retained records rose above it; {kept}",)
