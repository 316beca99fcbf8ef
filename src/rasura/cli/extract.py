"""``rasura extract``"""

from __future__ import annotations

from typing import Any

import click

from ._common import (
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
  rasura extract MODEL --records train.jsonl --nonmembers heldout.jsonl --method verbatim --method sampled --set sampled.n=1000 --out runs/e"""
)
@click.argument("model")
@click.option("--records", required=True, help="Records that were (or may have been) trained on.")
@click.option("--nonmembers", default=None, help="Comparable records that were not: the rate of guessing.")
@click.option(
    "--prefix-tokens",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Prompt length (0: to the marked secret, else half).",
)
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
    methods: tuple[str, ...],
    reveal: bool,
    **options: Any,
) -> int:
    """Pull records out of MODEL: prompt with the beginning of each, see whether the rest comes out."""
    from rasura._extract import extract as run

    from ._options import with_settings

    out = prepare_out(options["out"])
    sides = [load_samples(path, options) for path in (records, nonmembers)]
    record = run(
        load_model(model, options),
        sides[0],
        nonmembers=sides[1],
        methods=with_settings("extraction", methods or None, options["settings"]),
        prefix_tokens=prefix_tokens,
        reveal=reveal,
        truncate=options["truncate"],
        engine=engine_for(options["store"]),
    )
    return finish(record, out, "extraction", options, text)


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
    lines += [f"skipped {s.name}: {s.why}" for s in record.skipped]
    lines += [f"warning: {w}" for w in record.warnings]
    return "\n".join(lines)
