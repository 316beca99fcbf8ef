"""The verb ``extract``: what can be pulled out of a model word for word, or nearly."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._cards import model_card, model_cards, notes, population, run_card, unproven, used
from ._inputs import as_model, as_samples, check_vocabulary, choose, named, possible, same_kind
from ._pictures import strips
from .core import registry
from .core.errors import BadInput
from .core.records import DoseRow, Example, Extraction, ExtractionResult, Skipped
from .core.types import Ask, Estimate, Sample, Samples
from .data.masking import mask
from .extraction._dose import dose_rows, rate
from .extraction._match import Extracted
from .extraction._measures import measure_rows, size_rows
from .observations._cut import cut_of
from .observations._engine import Engine
from .stats.intervals import more_often

ALPHA = 0.05
EXAMPLES = 12  # strongest extracted records shown in a report


def extract(
    model: Any,
    records: Any,
    *,
    nonmembers: Any = None,
    methods: Sequence[Any] | None = None,
    prefix_tokens: int = 0,
    reveal: bool = False,
    truncate: bool = False,
    engine: Engine | None = None,
) -> Extraction:
    """Prompt the model with the beginning of every record and see whether the rest comes out.

    ``model``: a handle, folder or hub id; a list of them, models of one family of which the largest is reported in full
    and all make the curve over size; or either of these as "target" of a mapping by role, for methods that need
    another model too ({"target": tuned, "base": public}).
    ``records``: what may have been trained on; ``nonmembers``: comparable records that were not, for the rate a model
    reaches on text it never saw. ``prefix_tokens``: length of the prompt (0: up to the marked secret, else half).
    ``reveal``: keep extracted text in the record; without it only a masked form is kept.
    Raises BadInput (no records, records too long, a prefix longer than every record, models that do not go together),
    NeedsRole (a named method lacks its model).
    """
    engine = engine or Engine()
    models, smaller = _models(model)
    sides = {"records": as_samples(records, "records")}
    if nonmembers is not None:
        sides["nonmembers"] = as_samples(nonmembers, "nonmembers")
    for reader in (*models.values(), *smaller):
        sides = {name: reader.fit(side, truncate=truncate) for name, side in sides.items()}
    chosen = [_with_prefix(m, prefix_tokens) for m in choose("extraction", methods, models["target"].modality)]
    ready, lacking = _ready(chosen, models["target"], asked_for=named(methods))
    run, skipped = possible(ready, models, asked_for=named(methods))
    check_vocabulary(run, models)
    found = _all_sides(run, models, sides, engine)
    sizes = [(m.parameters, _all_sides(run, {**models, "target": m}, sides, engine)) for m in smaller]
    sizes += [(models["target"].parameters, found)] if sizes else []
    if all(not np.isfinite(e.success).any() for e in found["records"].values()):
        raise BadInput("extract: no record leaves anything to extract; use a shorter --prefix-tokens or longer records")
    results = tuple(_result(m, found, sides, sizes) for m in run)
    words = next((m for m in run if getattr(m, "word_for_word", False)), run[0])
    came_out = getattr(words, "came_out", "come out word for word")
    leaks, verdict = _verdict(next(r for m, r in zip(run, results, strict=True) if m is words), came_out)
    return Extraction(
        verdict=verdict,
        leaks=leaks,
        models=(*model_cards(models), *(model_card("target, smaller", m) for m in smaller)),
        populations=tuple(population(n, s, list(found[n][words].reason)) for n, s in sides.items()),
        results=results,
        examples=_examples(models["target"], sides["records"], found["records"][words], words, reveal),
        skipped=(*skipped, *lacking),
        warnings=(*notes(models), *_warnings(results)),
        run=run_card("rasura extract", 0),
        grids=strips(models, sides["records"], found["records"][words], words, engine, reveal)
        if models["target"].modality == "images"
        else (),
    )


def _models(model: Any) -> tuple[dict[str, Any], list[Any]]:
    """Models by role, the largest of a family as the target, and the smaller ones, rising."""
    roles = dict(model) if isinstance(model, Mapping) else {"target": model}
    if "target" not in roles:
        raise BadInput(f"extract: models by role need a 'target'; given: {', '.join(map(str, roles)) or 'none'}")
    target = roles.pop("target")
    family = [as_model(m) for m in (target if isinstance(target, (list, tuple)) else [target])]
    if not family:
        raise BadInput("extract: no model given")
    family.sort(key=lambda m: m.parameters)
    models = {"target": family[-1], **{role: as_model(m) for role, m in roles.items()}}
    same_kind(models | {f"target of {m.parameters} parameters": m for m in family})
    if family[-1].modality == "text" and len({m.vocabulary_hash for m in family}) > 1:
        raise BadInput(
            "extract: models of one family must cut text into the same tokens; these do not share a vocabulary"
        )
    return models, family[:-1]


def _ready(chosen: Sequence[Any], target: Any, asked_for: bool) -> tuple[list[Any], list[Skipped]]:
    """Methods that know what to ask; one that lacks something else than a model says what, an error where it was named.

    One that runs ``on_request`` only, or is ``unfit`` for the model, says so itself.
    """
    ready, lacking = [], []
    for method in chosen:
        why = getattr(method, "on_request", "") if not asked_for else ""
        try:
            why = why or (method.unfit(target) if hasattr(method, "unfit") else "")
            if why and asked_for:
                raise BadInput(f"{registry.name_of(method)}: {why}")
            if why:
                lacking.append(Skipped(registry.name_of(method), why))
                continue
            method.needs()
            ready.append(method)
        except BadInput as error:
            if asked_for:
                raise
            lacking.append(Skipped(registry.name_of(method), str(error)))
    return ready, lacking


def _all_sides(
    run: Sequence[Any], models: Mapping[str, Any], sides: Mapping[str, Samples], engine: Engine
) -> dict[str, dict[Any, Extracted]]:
    return {name: _extracted(run, models, side, engine) for name, side in sides.items()}


def _with_prefix(method: Any, prefix_tokens: int) -> Any:
    fields = {f.name for f in dataclasses.fields(method)}
    return (
        dataclasses.replace(method, prefix_tokens=prefix_tokens)
        if prefix_tokens and "prefix_tokens" in fields
        else method
    )


def _extracted(run: Sequence[Any], models: Mapping[str, Any], side: Samples, engine: Engine) -> dict[Any, Extracted]:
    asks: list[Ask] = [ask for method in run for ask in method.needs().values()]
    observed = engine.observe_all(asks, models, side)
    return {m: m.extract(**{key: observed[ask] for key, ask in m.needs().items()}) for m in run}


def _result(
    method: Any,
    found: Mapping[str, Mapping[Any, Extracted]],
    sides: Mapping[str, Samples],
    sizes: Sequence[tuple[int, Mapping[str, Mapping[Any, Extracted]]]],
) -> ExtractionResult:
    mine = found["records"][method]
    never = found["nonmembers"][method] if "nonmembers" in found else None
    mine, never = _calibrated(method, mine, never)
    repeats = [s.repeats for s in sides["records"]]
    doses = tuple(row for row in dose_rows(mine.success, repeats, mine.unit, mine.bounds) if row.estimate.known)
    if never is not None and doses and all(row.repeats > 0 for row in doses):
        doses = (DoseRow(0, _rate(never), "never trained on"), *doses)
    return ExtractionResult(
        method=used("extraction", method),
        rate=_rate(mine),
        floor=None if never is None else _rate(never),
        doses=doses if len(doses) > 1 else (),
        families=_families(mine, sides["records"]),
        note=mine.note,
        measures=(
            *measure_rows(mine, never),
            *(method.measures(mine, sides["records"]) if hasattr(method, "measures") else ()),
            *size_rows([(p, f["records"][method], f.get("nonmembers", {}).get(method)) for p, f in sizes]),
        ),
    )


def _calibrated(method: Any, mine: Extracted, never: Extracted | None) -> tuple[Extracted, Extracted | None]:
    """A method whose threshold comes from records never seen spends them on it; where they are no floor, none is given."""
    if never is not None and hasattr(method, "calibrated"):
        return method.calibrated(mine, never), None
    return mine, never if getattr(method, "reads_memory", True) else None


def _rate(found: Extracted) -> Estimate:
    return rate(found.success, found.unit, found.bounds)


def _families(found: Extracted, side: Samples) -> tuple[DoseRow, ...]:
    """By kind of record, at the highest dose of each kind (all of them where doses are unknown)."""
    rows: list[DoseRow] = []
    for family in dict.fromkeys(s.family for s in side if s.family):
        indices = [i for i, s in enumerate(side) if s.family == family]
        top = max((side[i].repeats or 0 for i in indices), default=0)
        chosen = [i for i in indices if (side[i].repeats or 0) == top]
        row = DoseRow(top, rate(found.success[chosen], found.unit, found.bounds), family)
        rows += [row] if row.estimate.known else []
    return tuple(rows) if len(rows) > 1 else ()


def _verdict(result: ExtractionResult, came_out: str) -> tuple[bool, str]:
    share, floor = result.rate, result.floor
    if not share.value > 0:
        bound = f"at most {share.high:.1%} of such records (95 % interval)"
        return False, f"None of {share.n} records {came_out}; {bound} would."
    came = f"{round(share.value * share.n)} of {share.n} records {came_out} ({_percent(share)})"
    if floor is None:
        return True, f"{came}; without records it never saw, what any model would guess is not subtracted."
    p = more_often(round(share.value * share.n), share.n, round(floor.value * floor.n), floor.n)
    if p < ALPHA:
        return (
            True,
            f"{came}, against {_percent(floor)} of {floor.n} records the model never saw (Fisher's exact p {_p(p)}).",
        )
    return False, (
        f"{came}, but that is not more than of {floor.n} records the model never saw "
        f"({_percent(floor)}, Fisher's exact p {_p(p)})."
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _percent(share: Estimate) -> str:
    return f"{100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def _examples(model: Any, side: Samples, found: Extracted, method: Any, reveal: bool) -> tuple[Example, ...]:
    """Extracted records, the longest and least repeated first: those are the strongest evidence."""
    hits = [i for i in range(len(side)) if found.success[i] == 1]
    hits.sort(key=lambda i: (-int(found.tokens[i]), side[i].repeats or 0, i))
    return tuple(_example(model, side[i], found, i, method, reveal) for i in hits[:EXAMPLES])


def _example(model: Any, sample: Sample, found: Extracted, i: int, method: Any, reveal: bool) -> Example:
    if model.modality == "images":
        text = mask(sample.text)
        return Example(
            sample.id, sample.family, sample.repeats, text, "a picture", np.nan, 0, sample.text if reveal else ""
        )
    encoded = model.encode(sample)
    cut = encoded.first + int(cut_of(encoded, getattr(method, "prefix_tokens", 0)))
    decode = lambda ids: model.tokenizer.decode(ids.tolist(), skip_special_tokens=True)  # noqa: E731
    prompt, output = decode(encoded.ids[:cut]), decode(encoded.ids[cut : cut + int(found.tokens[i])])
    return Example(
        id=sample.id,
        family=sample.family,
        repeats=sample.repeats,
        prompt_masked=mask(prompt),
        output_masked=mask(output),
        log_probability=float(found.log_probability[i]),
        tokens=int(found.tokens[i]),
        prompt=prompt if reveal else "",
        output=output if reveal else "",
    )


def _warnings(results: Sequence[ExtractionResult]) -> tuple[str, ...]:
    lines = unproven(r.method for r in results)
    if all(r.floor is None for r in results):
        lines.append(
            "no records that were never trained on were given (--nonmembers): predictable text counts as extracted"
        )
    return tuple(lines)
