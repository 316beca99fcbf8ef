"""``rasura audit``"""

from __future__ import annotations

from typing import Any

import click

from ._common import (
    data_options,
    engine_for,
    finish,
    load_judge,
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
  rasura audit MODEL --members train.jsonl --nonmembers heldout.jsonl --reference BASE --out runs/a
  rasura audit MODEL --members a.csv --nonmembers b.csv --signal loss --signal min_k --set min_k.k=0.3
  rasura audit PIPELINE --windows --members prompts.jsonl --judge judge/ --out runs/w"""
)
@click.argument("model")
@click.option("--members", required=True, help="Records that were (or may have been) trained on.")
@click.option("--nonmembers", default=None, help="Comparable records that were not.")
@click.option(
    "--windows",
    is_flag=True,
    help="Text-to-image models: when is each attribute of a picture decided? Draws from the texts of --members.",
)
@click.option("--judge", default=None, help="A judge by folder: says what a picture shows (for --windows).")
@click.option("--judge-labels", default=None, help="Labels for a zero-shot (CLIP) judge, separated by commas.")
@click.option("--reference", default=None, help="A model that did not see the members.")
@click.option(
    "--signal", "signals", multiple=True, help="A signal to run; may be repeated [default: all that are possible]."
)
@click.option("--fail-on-leak", is_flag=True, help="Exit with 1 when the audit finds a leak.")
@settings_option
@data_options
@model_options
@run_options
def audit(
    model: str, members: str, nonmembers: str | None, reference: str | None, signals: tuple[str, ...], **options: Any
) -> int:
    """Tell whether MODEL (a folder or hub id) was trained on given records.

    Every signal is scored against records the model did not see, with intervals, Holm's correction over signals, and
    a blind baseline that never sees the model: if that separates the two sides, nothing can be concluded.
    """
    from rasura._audit import audit as run
    from rasura.core.errors import BadInput

    from ._options import with_settings

    out = prepare_out(options["out"])
    if options["windows"]:
        return _windows(model, members, out, options)
    if nonmembers is None:
        raise BadInput("audit needs records that were not trained on: pass --nonmembers FILE")
    chosen = with_settings("signals", signals or None, options["settings"])
    sides = [load_samples(path, options) for path in (members, nonmembers)]  # before the models: a typo costs nothing
    record = run(
        load_model(model, options),
        *sides,
        reference=None if reference is None else load_model(reference, options),
        signals=chosen,
        truncate=options["truncate"],
        engine=engine_for(options["store"]),
        seed=options["seed"],
    )
    return finish(record, out, "audit", options, text)


def _windows(model: str, prompts: str, out: Any, options: dict[str, Any]) -> int:
    from rasura._windows import windows

    samples = load_samples(prompts, options)
    judge = load_judge(options["judge"], options["judge_labels"])
    record = windows(
        load_model(model, options), samples, judge, engine=engine_for(options["store"]), seed=options["seed"]
    )
    return finish(record, out, "windows", options, windows_text)


def windows_text(record: Any) -> str:
    """The windows as a person reads them at the terminal."""
    from ._table import table

    rows = [(r.attribute, r.half, f"{r.starts:.0f}", f"{r.ends:.0f}", f"{r.chance:.2f}") for r in record.rows]
    kept = [(r.attribute, *(f"{e.value:.2f}" for e in r.kept)) for r in record.rows]
    return "\n".join(
        [
            record.verdict,
            "",
            table(("attribute", "half decided at t", "all decided below", "nothing above", "chance"), rows),
            "",
            table(("kept at t =", *map(str, record.times)), kept),
            "",
            table(record.theory[0], record.theory[1:]),
        ]
    )


def text(record: Any) -> str:
    """The audit as a person reads it at the terminal."""
    from ._table import table

    rows = [
        (r.method.name, r.auc, r.tpr["0.01"], f"{r.p_holm:.2g}", r.over_loss or "", str(r.unscorable), r.method.status)
        for r in sorted(record.signals, key=lambda r: -r.auc.value if r.auc.known else 1.0)
    ]
    rows.append(("(blind baseline)", record.blind.auc, "", "", "", "", "never sees the model"))
    lines = [
        record.verdict,
        "",
        table(("signal", "AUC [95 %]", "TPR at 1 % FPR", "p (Holm)", "AUC - loss", "unscorable", "status"), rows),
    ]
    lines += [f"skipped {s.name}: {s.why}" for s in record.skipped]
    lines += [f"warning: {w}" for w in record.warnings]
    return "\n".join(lines)
