"""``rasura extract``"""

from __future__ import annotations

from typing import Any

import click

from ._common import (
    LARGEST_COUNT,
    data_options,
    engine_for,
    finish,
    load_model,
    load_samples,
    model_options,
    prepare_out,
    run_options,
    settings_option,
)


@click.command(
    epilog="""\b
Example:
  rasura extract MODEL --records train.jsonl --prefix-tokens 50
  rasura extract BIG --models SMALL,MIDDLE --records train.jsonl --nonmembers heldout.jsonl --context-lengths 8,16,32
  rasura extract TUNED --base PUBLIC --records finetuning.jsonl --method fine_tuning
  rasura extract MODEL --records train.jsonl --nonmembers heldout.jsonl --method verbatim --method sampled --set sampled.n=1000 --out runs/e"""
)
@click.argument("model")
@click.option("--records", required=True, help="Records that were (or may have been) trained on.")
@click.option("--nonmembers", default=None, help="Comparable records that were not: the rate of guessing.")
@click.option(
    "--prefix-tokens",
    type=click.IntRange(0, LARGEST_COUNT),
    default=0,
    show_default=True,
    help="Prompt length (0: to the marked secret, else half).",
)
@click.option("--context-lengths", default=None, metavar="K,K,...", help="Several prompt lengths in tokens: a curve.")
@click.option(
    "--models", default=None, metavar="A,B,...", help="Smaller and larger models of the family: a curve over size."
)
@click.option("--base", default=None, help="The model from before fine-tuning.")
@click.option("--encoder", default=None, help="An embedding model by folder, to match by meaning.")
@click.option("--known-members", default=None, help="Other records known to be in the training data, to learn from.")
@click.option("--method", "methods", multiple=True, help="A way to extract; may be repeated [default: all].")
@click.option(
    "--reveal", is_flag=True, help="Keep extracted text in the record; by default only a masked form is kept."
)
@click.option("--fail-on-leak", is_flag=True, help="Exit with 1 when records come out.")
@settings_option
@data_options
@model_options
@run_options
def extract(
    model: str,
    records: str,
    nonmembers: str | None,
    prefix_tokens: int,
    context_lengths: str | None,
    models: str | None,
    base: str | None,
    encoder: str | None,
    known_members: str | None,
    methods: tuple[str, ...],
    reveal: bool,
    **options: Any,
) -> int:
    """Pull records out of MODEL: prompt with the beginning of each, see whether the rest comes out."""
    from rasura._extract import extract as run

    from ._options import with_settings

    lengths = _lengths(context_lengths)
    out = prepare_out(options["out"], "extraction")
    sides = [load_samples(path, options) for path in (records, nonmembers, known_members)]
    family = [model, *(name.strip() for name in (models or "").split(",") if name.strip())]
    loaded = [load_model(path, options) for path in dict.fromkeys(family)]
    chosen = with_settings("extraction", methods or None, options["settings"])
    record = run(
        {"target": loaded, **_others(base, encoder, options)},
        sides[0],
        nonmembers=sides[1],
        methods=_told(chosen, lengths, sides[2], encoder is not None),
        prefix_tokens=prefix_tokens,
        reveal=reveal,
        truncate=options["truncate"],
        engine=engine_for(options["store"], options["engine"]),
    )
    return finish(record, out, "extraction", options, text)


def _lengths(text: str | None) -> tuple[int, ...]:
    """Numbers separated by commas. Raises BadInput."""
    from rasura.core.errors import BadInput

    try:
        lengths = tuple(sorted({int(k) for k in text.split(",")})) if text is not None else ()
        if all(1 <= k <= LARGEST_COUNT for k in lengths):
            return lengths
        raise ValueError
    except ValueError:
        raise BadInput(f"--context-lengths {text}: expected numbers of tokens such as 8,16,32") from None


def _others(base: str | None, encoder: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Models beside the target, by role."""
    found = {} if base is None else {"base": load_model(base, options)}
    if encoder is not None:
        from rasura.models.text_encoder import TextEncoder

        keys = ("device", "dtype", "allow_pickle")
        found["encoder"] = TextEncoder.load(encoder, **{key: options[key] for key in keys})
    return found


def _told(chosen: list[Any] | None, lengths: tuple[int, ...], known: Any, encoder: bool = False) -> list[Any] | None:
    """The methods with what they are told: prompt lengths, known records, an encoder. BadInput where none takes it."""
    import dataclasses

    from rasura._inputs import Everything
    from rasura.core import registry
    from rasura.core.errors import BadInput

    if not lengths and known is None and not encoder:
        return chosen
    made = (
        Everything(registry.get("extraction", n)() for n in registry.names("extraction")) if chosen is None else chosen
    )
    takes_lengths = [m for m in made if any(f.name == "context_lengths" for f in dataclasses.fields(m))]
    learns = [m for m in made if hasattr(m, "tuned_on")]
    reads = [m for m in made if any(f.name == "encoder" for f in dataclasses.fields(m))]
    asked = (
        ("--context-lengths", lengths, takes_lengths),
        ("--known-members", known, learns),
        ("--encoder", encoder, reads),
    )
    for option, given, takers in asked:
        if given and not takers:
            raise BadInput(f"{option}: none of the methods chosen takes it; see rasura methods extraction")
    told = [dataclasses.replace(m, context_lengths=lengths) if lengths and m in takes_lengths else m for m in made]
    told = [dataclasses.replace(m, encoder=True) if encoder and m in reads else m for m in told]
    told = [m.tuned_on(known) if known is not None and hasattr(m, "tuned_on") else m for m in told]
    return type(made)(told)


def text(record: Any) -> str:
    """The extraction as a person reads it at the terminal."""
    from ._table import table

    rows = [(r.method.name, r.rate, r.floor or "", r.rate.unit, r.method.status) for r in record.results]
    lines = [record.verdict, "", table(("method", "extracted [95 %]", "never seen", "unit", "status"), rows)]
    first = record.results[0]
    doses = {r.method.name: {row.repeats: row.estimate for row in r.doses} for r in record.results if r.doses}
    if doses:
        levels = sorted({d for rows_ in doses.values() for d in rows_})
        lines += [
            "",
            table(("copies", *doses), [(str(d), *(rows_.get(d, "") for rows_ in doses.values())) for d in levels]),
        ]
    if first.families:
        lines += [
            "",
            table(
                ("kind", "copies", first.method.name), [(r.label, str(r.repeats), r.estimate) for r in first.families]
            ),
        ]
    rows = [row for result in record.results for row in _curves(result)]
    if rows:
        lines += ["", table(("measure", "by", "value (intervals of curves: --json, or the page)", "never seen"), rows)]
    lines += [f"skipped {s.name}: {s.why}" for s in record.skipped]
    lines += [f"warning: {w}" for w in record.warnings]
    return "\n".join(lines)


def _curves(result: Any) -> list[tuple[str, str, str, str]]:
    """One row a measure: a number with its interval, a curve as its points."""
    curves: dict[tuple[str, str], list[Any]] = {}
    for row in result.measures:
        curves.setdefault((row.name, row.axis), []).append(row)
    rows = []
    for (name, axis), points in curves.items():
        value = [(p.x, p.estimate) for p in points]
        floor = [(p.x, p.floor) for p in points if p.floor is not None]
        rows.append((f"{result.method.name}: {name}", axis, _points(value, axis), _points(floor, axis)))
    return rows


def _points(points: list[tuple[float, Any]], axis: str) -> str:
    if not axis:
        return " ".join(str(estimate) for _, estimate in points)
    return ", ".join(f"{_place(x)}: {e.value:.3f}" if e.known else f"{_place(x)}: -" for x, e in points)


def _place(x: float) -> str:
    return f"{x:,.0f}" if x == round(x) else f"{x:g}"
