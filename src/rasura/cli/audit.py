"""``rasura audit``"""

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
  rasura audit MODEL --members train.jsonl --nonmembers heldout.jsonl --reference BASE --out runs/a
  rasura audit MODEL --members a.csv --nonmembers b.csv --signal loss --signal min_k --set min_k.k=0.3"""
)
@click.argument("model")
@click.option("--members", required=True, help="Records that were (or may have been) trained on.")
@click.option("--nonmembers", required=True, help="Comparable records that were not.")
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
    model: str, members: str, nonmembers: str, reference: str | None, signals: tuple[str, ...], **options: Any
) -> int:
    """Tell whether MODEL (a folder or hub id) was trained on given records.

    Every signal is scored against records the model did not see, with intervals, Holm's correction over signals, and
    a blind baseline that never sees the model: if that separates the two sides, nothing can be concluded.
    """
    from rasura._audit import audit as run

    from ._options import with_settings

    out = prepare_out(options["out"])
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
