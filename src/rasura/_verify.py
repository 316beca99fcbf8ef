"""The verb ``verify``: before, after and (where there is one) retrained, under metrics and recovery attacks.

Every attack runs beside its two anchors: the untreated model is the ceiling, the model that never saw the records the
floor. "Erased" means indistinguishable from the retrained model, not "as bad as possible".
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._cards import model_cards, notes, population, run_card, unproven, used
from ._inputs import as_model, as_samples, choose, named, roles_of, same_kind
from ._pictures import grids, plain_rate
from .core import registry
from .core.errors import BadInput
from .core.records import AttackRow, MetricRow, Skipped, Verification
from .core.types import Budget, Estimate, Request, Samples
from .extraction._dose import rate
from .metrics._population import questions
from .observations._engine import Engine
from .stats.intervals import mean_estimate

ROLES = ("before", "after", "retrained")
SUCCESS = 0.5  # share of a prompt's pictures in which the judge must see the concept


def verify(
    before: Any,
    after: Any,
    request: Request,
    *,
    retrained: Any = None,
    comparison: Mapping[str, Any] | None = None,
    attacks: Sequence[Any] | None = None,
    engine: Engine | None = None,
    seed: int = 0,
) -> Verification:
    """Measure and attack an erasure.

    ``request``: what was to be forgotten and what to survive; for a text-to-image model also the concept, and the judge
    that says what a picture shows. ``retrained``: a model trained without the forget set. ``comparison``: further
    records by population (``nonmembers``, ``heldout``, ``near``, ..., see metrics/_population.py) and further
    instruments by role (``clip``, ``encoder``). ``attacks``: names or instances (None: all).
    What cannot run for want of a model or of records is listed as skipped. Raises BadInput, WrongModality.
    """
    engine = engine or Engine()
    models = {"before": as_model(before), "after": as_model(after)}
    if retrained is not None:
        models["retrained"] = as_model(retrained)
    kind = _check_comparable(models)
    instruments = {name: given for name, given in (comparison or {}).items() if hasattr(given, "modality")}
    if request.judge is not None:
        instruments["judge"] = request.judge
        if request.concept:
            request.judge.attribute_of(request.concept)  # a judge that does not know the concept can verify nothing
    populations = {"forget": request.forget, "retain": request.retain}
    populations |= {n: as_samples(side, n) for n, side in (comparison or {}).items() if n not in instruments}
    populations = {name: models["before"].fit(side) for name, side in populations.items() if side}
    metrics = [m for m in choose("metrics", None, kind) if not (request.concept and _is_about_pictures(m))]
    rows, skipped = _metrics(metrics, models, instruments, populations, engine)
    shown = Request(populations["forget"], populations.get("retain", Samples()), request.concept, request.judge)
    attacked, drawn, impossible = _attacks(attacks, models, shown, engine, seed, kind)
    erased, verdict = _verdict(rows, attacked, "retrained" in models)
    return Verification(
        verdict=verdict,
        erased=erased,
        models=model_cards(models),
        populations=tuple(population(name, side) for name, side in populations.items()),
        metrics=tuple(rows),
        attacks=tuple(attacked),
        skipped=tuple([*skipped, *impossible, *_untested(models, populations)]),
        warnings=(*notes(models), *_warnings(rows, attacked, populations)),
        run=run_card("rasura verify", seed),
        grids=grids(models, populations, drawn, request, engine) if kind == "images" else (),
    )


def _is_about_pictures(method: Any) -> bool:
    """What asks about memorised pictures says nothing of a concept, whose pictures nobody need have trained on."""
    return getattr(method, "about", "") == "pictures"


def _check_comparable(models: Mapping[str, Any]) -> str:
    kind = same_kind(models)
    if len({m.vocabulary_hash for m in models.values()}) > 1:
        sizes = ", ".join(f"{role} {m.vocabulary_size} entries" for role, m in models.items())
        raise BadInput(
            f"verify: the models do not share a vocabulary ({sizes}); compare models with the same tokenizer"
        )
    if models["before"].fingerprint == models["after"].fingerprint:
        raise BadInput(
            f"verify: {models['after'].name} has the same weights as {models['before'].name}: nothing was erased"
        )
    return kind


def _metrics(
    metrics: Sequence[Any],
    models: Mapping[str, Any],
    instruments: Mapping[str, Any],
    populations: Mapping[str, Samples],
    engine: Engine,
) -> tuple[list[MetricRow], list[Skipped]]:
    """Each metric on every model it can be taken of; one that compares with the retrained model skips that model."""
    rows, skipped = [], []
    for metric in metrics:
        asked = questions(metric)
        missing = sorted({p for p, _ in asked.values()} - set(populations))
        wanted = {role for _, ask in asked.values() for role in roles_of(ask)}
        needs_retrained = "retrained" in wanted
        lacking = sorted(wanted - {"target", "retrained", *models, *instruments})
        if lacking:
            skipped.append(Skipped(registry.name_of(metric), f"needs a {lacking[0]}: pass --{lacking[0]}"))
        elif missing:
            skipped.append(Skipped(registry.name_of(metric), f"needs {missing[0]} records: pass --{missing[0]}"))
        elif needs_retrained and "retrained" not in models:
            skipped.append(
                Skipped(registry.name_of(metric), "needs a model retrained without the forget set: pass --retrained")
            )
        else:
            roles = [r for r in models if not (needs_retrained and r == "retrained")]
            known = {**models, **instruments}
            values = {role: _estimate(metric, asked, known, role, populations, engine) for role in roles}
            rows.append(
                MetricRow(
                    used("metrics", metric), metric.better, metric.population, values, getattr(metric, "goal", None)
                )
            )
    return rows, skipped


def _estimate(
    metric: Any,
    asked: Mapping[str, Any],
    models: Mapping[str, Any],
    role: str,
    populations: Mapping[str, Samples],
    engine: Engine,
) -> Estimate:
    roles = {**models, "target": models[role]}
    return metric.estimate(**{key: engine.observe(ask, roles, populations[name]) for key, (name, ask) in asked.items()})


def _attacks(
    attacks: Sequence[Any] | None, models: Mapping[str, Any], request: Request, engine: Engine, seed: int, kind: str
) -> tuple[list[AttackRow], dict[str, Any], list[Skipped]]:
    """Every attack's row, what it drew from the erased model, and the attacks that cannot run on this request."""
    plain = plain_rate(models, request, engine) if kind == "images" else None
    rows, drawn, skipped = [], {}, []
    for attack in choose("attacks", attacks, kind):
        if request.concept and _is_about_pictures(attack) and not named(attacks):
            skipped.append(
                Skipped(registry.name_of(attack), "asks whether one picture is still known; this is a concept")
            )
            continue
        try:
            row, pictures = _attack(attack, models, request, engine, seed, plain)
        except BadInput as error:  # records or a budget this attack cannot work with
            if named(attacks):
                raise
            skipped.append(Skipped(registry.name_of(attack), str(error)))
            continue
        rows.append(row)
        drawn[row.method.name] = pictures
    return rows, drawn, skipped


def _attack(
    attack: Any, models: Mapping[str, Any], request: Request, engine: Engine, seed: int, plain: np.ndarray | None
) -> tuple[AttackRow, Any]:
    """The same attack, seed and budget on every model; the row, and what was drawn from the erased one.

    ``plain``: how often each forget record's own prompt shows the concept on the erased model, where that is known.
    """
    results = {}
    with engine.progress(f"attack {registry.name_of(attack)}", len(models)) as advance:
        for role, model in models.items():
            results[role] = attack.attack(model, request, Budget(), seed=seed, **_second_model(attack, models))
            advance(1)
    scores = {role: np.asarray(r.score, dtype=np.float64) for role, r in results.items()}
    row = AttackRow(
        method=used("attacks", attack),
        access=attack.access,
        values={role: rate(score) for role, score in scores.items()},
        gain=_gain(attack, scores),
        spent=results["after"].spent,
        evidence=results["after"].evidence,
        floor=getattr(attack, "floor", None),
        **_success(scores["after"], plain),
    )
    return row, results["after"].pictures


def _success(attacked: np.ndarray, plain: np.ndarray | None) -> dict[str, Estimate]:
    """Prompts that show the concept in at least half of their pictures: on their own, only under attack, either way."""
    known = ~np.isnan(attacked) if plain is None else ~np.isnan(attacked) & ~np.isnan(plain)
    if plain is None or not known.any():
        return {}
    own, under = plain[known] >= SUCCESS, attacked[known] >= SUCCESS
    return {
        "pre": rate(own.astype(np.float64)),
        "post": rate(under[~own].astype(np.float64)),
        "total": rate((own | under).astype(np.float64)),
    }


def _second_model(attack: Any, models: Mapping[str, Any]) -> dict[str, Any]:
    """The model from before the erasure, for an attacker who holds both."""
    return {"before": models["before"]} if "before" in inspect.signature(attack.attack).parameters else {}


def _gain(attack: Any, scores: Mapping[str, np.ndarray]) -> Estimate | None:
    """What the attack shows beyond its floor: the retrained model, or the number the attack itself names."""
    own = getattr(attack, "floor", None)
    if own is not None:
        return mean_estimate(scores["after"] - own, "share", bounds=(-own, 1.0 - own))
    if "retrained" not in scores:
        return None
    return mean_estimate(scores["after"] - scores["retrained"], "share", bounds=(-1.0, 1.0))  # record by record


def _verdict(rows: Sequence[MetricRow], attacks: Sequence[AttackRow], has_floor: bool) -> tuple[bool | None, str]:
    """The fixed words of the verdict: indistinguishable, suppressed but recoverable, or not resolvable."""
    extraction = next((r for r in rows if _flag(r, "says_extracted") and r.values["after"].known), None)
    came_back = [a for a in attacks if _brings_back(a)]
    start = _extraction_words(extraction)
    if came_back:
        worst = max(came_back, key=lambda a: a.values["after"].value)
        names = ", ".join(a.method.name for a in came_back)
        share = f"{100 * worst.values['after'].value:.0f} % [{100 * worst.values['after'].low:.0f}, {100 * worst.values['after'].high:.0f}]"
        return (
            False,
            f"{start}suppressed, still recoverable by {names} ({worst.method.name} brings back {share} of what it was tested on).",
        )
    if not has_floor:
        return (
            None,
            f"{start}no attack of {len(attacks)} brought records back; without a retrained model it is not resolvable whether they are gone.",
        )
    gaps = [r for r in rows if _flag(r, "says_distinguishable")]
    apart = [r for r in gaps if not _holds(r.values["after"], r.goal or 0.0)]
    if apart:
        told = "; ".join(f"{r.method.name} {_words(r.values['after'])}, {r.goal or 0:g} would be equal" for r in apart)
        return (
            False,
            f"{start}no attack brought back more than from the retrained model, but the model is still distinguishable from one trained without them ({told}).",
        )
    wide = [r for r in gaps if not _within(r)]
    if wide or not gaps:
        told = (
            "; ".join(f"{r.method.name} {_words(r.values['after'])}" for r in wide)
            or "no metric compared the two models"
        )
        return (
            None,
            f"{start}no attack brought back more than from the retrained model; whether the model differs from one trained without them is not resolvable at this size ({told}).",
        )
    margins = ", ".join(f"{r.method.name} within {_flag(r, 'margin'):g}" for r in gaps)
    return True, (
        f"{start}indistinguishable from a model trained without them, {margins}, against "
        f"{', '.join(a.method.name for a in attacks) or 'no attack'}, at the budgets listed."
    )


def _flag(row: MetricRow, flag: str) -> Any:
    """What a metric's class says of itself: verdicts ask for the part a metric plays, never for its name."""
    return getattr(registry.get("metrics", row.method.name), flag, None)


def _holds(estimate: Estimate, value: float) -> bool:
    return not estimate.known or estimate.low <= value <= estimate.high


def _within(row: MetricRow) -> bool:
    """The whole interval lies so close to the goal that the difference would not matter."""
    after, goal, margin = row.values["after"], row.goal or 0.0, _flag(row, "margin") or 0.0
    return after.known and goal - margin <= after.low and after.high <= goal + margin


def _words(e: Estimate) -> str:
    return f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"


def _extraction_words(row: MetricRow | None) -> str:
    if row is None:
        return ""
    before, after = row.values["before"], row.values["after"]
    told = _flag(row, "told") or "Word-for-word extraction"
    return f"{told} fell from {100 * before.value:.0f} % to {100 * after.value:.0f} % of {after.n} records; "


def _brings_back(row: AttackRow) -> bool:
    """More than the floor beyond what chance explains; without a floor, anything at all.

    An attack with a floor of its own shows something else than recovered records and never counts as recovery.
    """
    if row.floor is not None or not row.values["after"].known:
        return False
    if row.gain is not None and row.gain.known:
        return row.gain.low > 0
    return row.values["after"].value > 0


def _untested(models: Mapping[str, Any], populations: Mapping[str, Samples]) -> list[Skipped]:
    found = []
    if "retrained" not in models:
        found.append(
            Skipped("comparison with a retrained model", "none was given (--retrained): no floor for any attack")
        )
    for name, why in (("nonmembers", "membership before and after"), ("heldout", "clean utility")):
        if name not in populations:
            found.append(Skipped(why, f"no {name} records were given (--{name})"))
    return found


def _warnings(
    rows: Sequence[MetricRow], attacks: Sequence[AttackRow], populations: Mapping[str, Samples]
) -> tuple[str, ...]:
    lines = unproven(r.method for r in (*rows, *attacks))
    if len(populations["forget"]) < 20:
        lines.append(f"only {len(populations['forget'])} forget records: intervals are wide")
    return tuple(lines)
