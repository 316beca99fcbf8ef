"""The verb ``erase``: apply a treatment to a request; a new model, and the record of what was done.

The record says what was applied. Whether the content is gone is the business of ``verify``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._cards import model_cards, population, run_card, used
from ._inputs import as_model, as_samples, check_modality
from .core import registry
from .core.errors import BadInput, UnknownMethod, WrongModality
from .core.records import Erasure
from .core.types import Estimate, Request, Sample, Samples
from .data.checks import check_disjoint
from .observations._engine import Engine

OBJECTIVES, SELECTIONS = "erasers.objectives", "erasers.selections"
WHOLE = ("erasers.edits", "erasers.pruning", "erasers.adapters", "guards")  # treatments that are one method
DEFAULT = {"text": "npo", "images": "uce"}
TEMPLATES = ("{}", "a {}", "a picture of a {}", "an image of a {}")


@dataclass(frozen=True)
class Erased:
    """The new handle and the record."""

    model: Any
    record: Erasure


def erase(
    model: Any,
    forget: Any,
    retain: Any = None,
    *,
    method: Any = None,
    selection: Any = None,
    checkpoint: Path | None = None,
    engine: Engine | None = None,
    seed: int = 0,
) -> Erased:
    """Make a model forget records, or a text-to-image model a concept, as far as the method can.

    ``forget``: records, or a whole ``Request``: ``Request(concept="ring")`` is enough for a closed-form edit.
    ``method``: the name of an objective (its authors' recipe), an edit, a pruning, an adapter or a guard, or a treatment
    such as ``Finetune(NPO(), Lora(), Loop())``; None: npo for a language model, uce for a text-to-image model.
    ``selection``: name or instance, in place of the recipe's. ``checkpoint``: a folder; a killed run goes on from it.
    The file stays there for whoever saves the model to remove: a kill while saving then costs no training.
    The caller's handle is never changed. Raises BadInput (no forget records, no retain records where needed, records
    in both sets, a record too long), UnknownMethod, WrongModality, TrainingDiverged.
    """
    engine = engine or Engine()
    before = as_model(model)
    request = as_request(before, forget, retain)
    treatment = treatment_of(method or DEFAULT[before.modality], selection)
    for part in parts_of(treatment).values():
        check_modality(part, before.modality)
    result = treatment.run(before, request, seed=seed, engine=engine, checkpoint=checkpoint, progress=engine.progress)
    return Erased(result.model, _record(before, result, treatment, request, seed))


def as_request(model: Any, forget: Any, retain: Any = None) -> Request:
    """What to erase and what must survive, readable by the model and free of overlap.

    A request that names a concept and no records asks for plain prompts of it.
    """
    given = forget if isinstance(forget, Request) else Request()
    if given.concept and model.modality == "text":
        raise WrongModality(
            "a concept is erased from a text-to-image model; a language model forgets records (--forget)"
        )
    if isinstance(forget, Request):
        forget = given.forget or (_prompts_of(model, given.concept) if given.concept else given.forget)
        retain = given.retain if retain is None else retain
    gone = as_samples(forget, "forget")
    kept = Samples() if retain is None else as_samples(retain, "retain", 0)
    if kept:
        check_disjoint(gone, kept, names=("forget", "retain"))
    return Request(model.fit(gone), model.fit(kept), given.concept, given.judge)


def _prompts_of(model: Any, concept: str) -> Samples:
    """Plain prompts of a concept, those the text encoder can read whole."""
    made = (Sample(f"concept-{i}", t.format(concept), shows=concept) for i, t in enumerate(TEMPLATES))
    fitting, first = [], None
    for sample in made:
        try:
            fitting += list(model.fit(Samples([sample])))
        except BadInput as error:
            first = first or error
    if not fitting:
        raise first or BadInput(f"no prompt of '{concept}' can be read")
    return Samples(fitting)


def treatment_of(method: Any, selection: Any = None) -> Any:
    """A treatment from a name (its recipe), with another selection where one is given."""
    if not isinstance(method, str):
        treatment = method
    elif method in registry.names(OBJECTIVES):
        treatment = registry.module_of(OBJECTIVES, method).recipe()
    else:
        family = next((f for f in WHOLE if method in registry.names(f)), None)
        if family is None:
            raise UnknownMethod("eraser", method, [n for f in (OBJECTIVES, *WHOLE) for n in registry.names(f)])
        treatment = registry.make(family, method)
    if selection is None:
        return treatment
    if not hasattr(treatment, "selection"):
        raise BadInput(f"{registry.name_of(treatment)} trains nothing, so no selection applies to it")
    return dataclasses.replace(treatment, selection=registry.make(SELECTIONS, selection))


def parts_of(treatment: Any) -> dict[str, Any]:
    """What a treatment is made of, by the name a setting calls it: its methods, its loop, and itself."""
    inside = [getattr(treatment, field.name) for field in dataclasses.fields(treatment)]
    return {_called(part): part for part in (treatment, *inside) if dataclasses.is_dataclass(part)}


def _called(part: Any) -> str:
    return registry.name_of(part) if hasattr(type(part), "is_method") else type(part).__name__.lower()


def with_fields(treatment: Any, settings: Mapping[str, Mapping[str, Any]]) -> Any:
    """A treatment with settings applied: ``{"npo": {...}, "lora": {...}, "loop": {...}, "finetune": {...}}``."""
    for name, fields in settings.items():
        parts = parts_of(treatment)
        if name not in parts:
            raise BadInput(f"--set {name}: this eraser has no part called '{name}'; it has {', '.join(parts)}")
        changed = dataclasses.replace(parts[name], **fields)
        field = next(
            (f for f in ("objective", "selection", "loop") if getattr(treatment, f, None) is parts[name]), None
        )
        treatment = changed if field is None else dataclasses.replace(treatment, **{field: changed})
    return treatment


def _record(before: Any, result: Any, treatment: Any, request: Request, seed: int) -> Erasure:
    after = result.model
    every = parts_of(treatment)
    inside = {name: part for name, part in every.items() if part is not treatment}
    parts = every if hasattr(type(treatment), "is_method") else inside or every
    suppression = any(getattr(part, "suppression", False) for part in parts.values())
    steps = len(result.transcript.steps)
    what = f"{next(iter(parts))}, {steps} steps" if steps else f"{next(iter(parts))}, {result.stopped}"
    target = f"the concept '{request.concept}'" if request.concept else f"{len(request.forget)} records"
    done = "suppressed (still in the weights)" if suppression else "treated" if not steps else "trained against"
    plural = "was" if request.concept else "were"
    verdict = (
        f"{target[0].upper()}{target[1:]} {plural} {done} with {what}; "
        f"whether {'it' if request.concept else 'they'} can still be recovered is for a verification to say."
    )
    return Erasure(
        verdict=verdict,
        models=model_cards({"before": before, "after": after}),
        populations=tuple(population(n, side) for n, side in (("forget", request.forget), ("retain", request.retain))),
        methods=tuple(used(_family(part), part) for part in parts.values()),
        changed_parameters=changed_share(before, after),
        transcript=tuple(result.transcript.steps),
        stopped=result.stopped,
        derived=dict(result.derived),
        suppression=suppression,
        warnings=tuple(result.warnings),
        run=run_card("rasura erase", seed),
    )


def _family(part: Any) -> str:
    """Where a method lives: its module without the package and its own name."""
    return type(part).__module__.removeprefix("rasura.").rpartition(".")[0]


def changed_share(before: Any, after: Any) -> Estimate:
    """Share of weights whose value differs: a count over all of them, so the interval is the value itself."""
    old, new = dict(before.named_parameters()), dict(after.named_parameters())
    total = sum(p.numel() for p in old.values())
    same = sum(
        int((p == new[n].to(p.device, p.dtype)).sum()) for n, p in old.items() if n in new and new[n].shape == p.shape
    )
    share = 1 - same / total
    return Estimate(share, share, share, total, "share of weights", note="all weights counted")
