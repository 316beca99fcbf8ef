"""``rasura erase``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._common import data_options, engine_for, load_model, load_samples, model_options, prepare_out, settings_option
from ._output import emit, say


@click.command(
    epilog="""\b
Example:
  rasura erase MODEL --forget forget.jsonl --retain retain.jsonl --method npo --selection lora --out erased/
  rasura erase MODEL --forget f.jsonl --retain r.jsonl --set npo.beta=0.05 --set loop.steps=100 --out erased/"""
)
@click.argument("model")
@click.option("--forget", required=True, help="Records to forget.")
@click.option("--retain", default=None, help="Records of the training data that must survive.")
@click.option(
    "--method",
    default="npo",
    show_default=True,
    help="What to minimise (see: rasura methods --family erasers.objectives).",
)
@click.option(
    "--selection", default=None, help="Which parameters may move: all, lora, saliency [default: the method's own]."
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder for the erased model and its record."
)
@click.option("--store", default=None, help="Folder or URL of finished passes [default: the user's cache].")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@settings_option
@data_options
@model_options
def erase(
    model: str, forget: str, retain: str | None, method: str, selection: str | None, out: Path, **options: Any
) -> None:
    """Make MODEL forget records: writes a new model and a record, never touches MODEL.

    A killed run goes on where it was when the same command is given again.
    """
    from rasura._erase import erase as run
    from rasura._erase import treatment_of, with_fields
    from rasura.core.records import write

    from ._options import treatment_settings

    folder = prepare_out(out)
    assert folder is not None
    treatment = treatment_of(method, selection)
    treatment = with_fields(treatment, treatment_settings(treatment, options["settings"]))
    sides = [load_samples(path, options) for path in (forget, retain)]
    erased = run(
        load_model(model, options),
        *sides,
        method=treatment,
        checkpoint=folder,
        engine=engine_for(options["store"]),
        seed=options["seed"],
    )
    erased.model.save(str(folder))
    path = write(erased.record, folder / "erasure.json")
    if options["as_json"]:
        emit(erased.record, True)
        return
    say(erased.record.verdict)
    say(f"weights changed: {erased.record.changed_parameters.value:.1%}; stopped by: {erased.record.stopped}")
    for warning in erased.record.warnings:
        say(f"warning: {warning}")
    say(
        f"\nmodel and record: {folder} ({path.name})\nnext: rasura verify {model} {folder} --forget {forget} --retain {retain or '...'}"
    )
