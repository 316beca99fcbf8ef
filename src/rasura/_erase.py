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
from ._inputs import as_model, as_samples
from .core import registry
from .core.errors import BadInput, UnknownMethod
from .core.records import Erasure
from .core.types import Estimate, Request, Samples
from .data.checks import check_disjoint
from .observations._engine import Engine

OBJECTIVES, SELECTIONS = "erasers.objectives", "erasers.selections"


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
    method: Any = "npo",
    selection: Any = None,
    checkpoint: Path | None = None,
    engine: Engine | None = None,
    seed: int = 0,
) -> Erased:
    """Make a model forget records, as far as the method can.

    ``method``: the name of an objective (its authors' recipe), or a treatment such as ``Finetune(NPO(), Lora(), Loop())``.
    ``selection``: name or instance, in place of the recipe's. ``checkpoint``: a folder; a killed run goes on from it.
    The caller's handle is never changed. Raises BadInput (no forget records, no retain records where needed, records
    in both sets, a record too long), UnknownMethod, TrainingDiverged.
    """
    engine = engine or Engine()
    before = as_model(model)
    request = as_request(before, forget, retain)
    treatment = treatment_of(method, selection)
    result = treatment.run(before, request, seed=seed, engine=engine, checkpoint=checkpoint, progress=engine.progress)
    return Erased(result.model, _record(before, result, treatment, request, seed))


def as_request(model: Any, forget: Any, retain: Any) -> Request:
    """What to erase and what must survive, readable by the model and free of overlap."""
    gone = as_samples(forget, "forget")
    kept = Samples() if retain is None else as_samples(retain, "retain")
    if kept:
        check_disjoint(gone, kept, names=("forget", "retain"))
    return Request(model.fit(gone), model.fit(kept))


def treatment_of(method: Any, selection: Any = None) -> Any:
    """A treatment from a name (its recipe), with another selection where one is given."""
    if not isinstance(method, str):
        treatment = method
    elif method in registry.names(OBJECTIVES):
        treatment = registry.module_of(OBJECTIVES, method).recipe()
    else:
        raise UnknownMethod("eraser", method, registry.names(OBJECTIVES))
    if selection is None:
        return treatment
    return dataclasses.replace(treatment, selection=registry.make(SELECTIONS, selection))


def with_fields(treatment: Any, settings: Mapping[str, Mapping[str, Any]]) -> Any:
    """A treatment with settings applied: ``{"npo": {...}, "lora": {...}, "loop": {...}, "finetune": {...}}``."""
    for name, fields in settings.items():
        if name == "finetune":
            treatment = dataclasses.replace(treatment, **fields)
            continue
        part = next((p for p in ("objective", "selection", "loop") if _is_called(getattr(treatment, p), name)), None)
        if part is None:
            raise BadInput(
                f"--set {name}: this eraser has no part called '{name}'; it has {', '.join(_parts(treatment))}"
            )
        treatment = dataclasses.replace(treatment, **{part: dataclasses.replace(getattr(treatment, part), **fields)})
    return treatment


def _is_called(part: Any, name: str) -> bool:
    return part is not None and name in (registry.name_of(part), type(part).__name__.lower())


def _parts(treatment: Any) -> list[str]:
    parts = [treatment.objective, treatment.selection]
    return [*(registry.name_of(p) for p in parts if p is not None), "loop", "finetune"]


def _record(before: Any, result: Any, treatment: Any, request: Request, seed: int) -> Erasure:
    after, suppression = result.model, bool(getattr(treatment.objective, "suppression", False))
    methods = [used(OBJECTIVES, treatment.objective)]
    if treatment.selection is not None:
        methods.append(used(SELECTIONS, treatment.selection))
    methods.append(used("training", treatment.loop))
    what = f"{registry.name_of(treatment.objective)}, {len(result.transcript.steps)} steps"
    verdict = (
        f"{len(request.forget)} records were {'suppressed (they are still in the weights)' if suppression else 'trained against'} "
        f"with {what}; whether they can still be recovered is for a verification to say."
    )
    return Erasure(
        verdict=verdict,
        models=model_cards({"before": before, "after": after}),
        populations=(population("forget", request.forget), population("retain", request.retain)),
        methods=tuple(methods),
        changed_parameters=changed_share(before, after),
        transcript=result.transcript.steps,
        stopped=result.stopped,
        derived=dict(result.derived),
        suppression=suppression,
        warnings=result.warnings,
        run=run_card("rasura erase", seed),
    )


def changed_share(before: Any, after: Any) -> Estimate:
    """Share of weights whose value differs: a count over all of them, so the interval is the value itself."""
    old, new = dict(before.base.named_parameters()), dict(after.base.named_parameters())
    total = sum(p.numel() for p in old.values())
    same = sum(
        int((p == new[n].to(p.device, p.dtype)).sum()) for n, p in old.items() if n in new and new[n].shape == p.shape
    )
    share = 1 - same / total
    return Estimate(share, share, share, total, "share of weights", note="all weights counted")
