"""The verb ``extract``: what can be pulled out of a model word for word, or nearly."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._cards import model_cards, notes, population, run_card, unproven, used
from ._inputs import as_model, as_samples, check_vocabulary, choose, named, possible
from ._pictures import strips
from .core.errors import BadInput
from .core.records import DoseRow, Example, Extraction, ExtractionResult
from .core.types import Ask, Estimate, Sample, Samples
from .data.masking import mask
from .extraction._dose import dose_rows, rate
from .extraction._match import Extracted
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

    ``records``: what may have been trained on; ``nonmembers``: comparable records that were not, for the rate a model
    reaches on text it never saw. ``prefix_tokens``: length of the prompt (0: up to the marked secret, else half).
    ``reveal``: keep extracted text in the record; without it only a masked form is kept.
    Raises BadInput (no records, records too long, a prefix longer than every record).
    """
    engine = engine or Engine()
    models = {"target": as_model(model)}
    sides = {"records": as_samples(records, "records")}
    if nonmembers is not None:
        sides["nonmembers"] = as_samples(nonmembers, "nonmembers")
    sides = {name: models["target"].fit(side, truncate=truncate) for name, side in sides.items()}
    chosen = [_with_prefix(m, prefix_tokens) for m in choose("extraction", methods, models["target"].modality)]
    run, skipped = possible(chosen, models, asked_for=named(methods))
    check_vocabulary(run, models)
    found = {name: _extracted(run, models, side, engine) for name, side in sides.items()}
    if all(not np.isfinite(e.success).any() for e in found["records"].values()):
        raise BadInput("extract: no record leaves anything to extract; use a shorter --prefix-tokens or longer records")
    results = tuple(_result(m, found, sides) for m in run)
    words = next((m for m in run if getattr(m, "word_for_word", False)), run[0])
    came_out = getattr(words, "came_out", "come out word for word")
    leaks, verdict = _verdict(next(r for m, r in zip(run, results, strict=True) if m is words), came_out)
    return Extraction(
        verdict=verdict,
        leaks=leaks,
        models=model_cards(models),
        populations=tuple(population(n, s, list(found[n][words].reason)) for n, s in sides.items()),
        results=results,
        examples=_examples(models["target"], sides["records"], found["records"][words], words, reveal),
        skipped=tuple(skipped),
        warnings=(*notes(models), *_warnings(results)),
        run=run_card("rasura extract", 0),
        grids=strips(models, sides["records"], found["records"][words], words, engine, reveal)
        if models["target"].modality == "images"
        else (),
    )


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
    method: Any, found: Mapping[str, Mapping[Any, Extracted]], sides: Mapping[str, Samples]
) -> ExtractionResult:
    mine = found["records"][method]
    never = found["nonmembers"][method] if "nonmembers" in found else None
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
    )


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
