"""``rasura erase``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._common import (
    SEED,
    data_options,
    engine_for,
    engine_option,
    load_model,
    load_samples,
    model_options,
    prepare_out,
    settings_option,
)
from ._output import emit, say


@click.command(
    epilog="""\b
Example:
  rasura erase MODEL --forget forget.jsonl --retain retain.jsonl --method npo --selection lora --out erased/
  rasura erase MODEL --forget f.jsonl --retain r.jsonl --set npo.beta=0.05 --set loop.steps=100 --out erased/
  rasura erase PIPELINE --concept "van gogh" --retain prompts.jsonl --method uce --set uce.guide=painting --out erased/"""
)
@click.argument("model")
@click.option("--forget", default=None, help="Records to forget.")
@click.option("--concept", default=None, help="Text-to-image models: the word or phrase to erase.")
@click.option("--retain", default=None, help="Records of the training data that must survive.")
@click.option(
    "--method",
    default=None,
    help="How (see: rasura methods) [default: npo for a language model, uce for a text-to-image model].",
)
@click.option(
    "--selection",
    default=None,
    help="Which parameters may move: all, lora, saliency, cross_attention [default: the method's own].",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder for the erased model and its record."
)
@click.option("--store", default=None, help="Folder or URL of finished passes [default: the user's cache].")
@engine_option
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@settings_option
@data_options
@model_options
def erase(
    model: str,
    forget: str | None,
    retain: str | None,
    concept: str | None,
    method: str | None,
    selection: str | None,
    out: Path,
    **options: Any,
) -> None:
    """Make MODEL forget records, or a concept: writes a new model and a record, never touches MODEL.

    A killed run goes on where it was when the same command is given again.
    """
    from rasura._erase import DEFAULT, treatment_of, with_fields
    from rasura._erase import erase as run
    from rasura.core.errors import BadInput
    from rasura.core.types import Request, Samples
    from rasura.observations._engine_processes import first

    from ._model_folder import alone, publish
    from ._options import treatment_settings

    folder = _place(out, model)
    if first():
        click.get_current_context().with_resource(alone(folder))
    if forget is None and concept is None:
        raise BadInput("nothing to erase: pass --forget FILE, or --concept WORD for a text-to-image model")
    sides = [load_samples(path, options) or Samples() for path in (forget, retain)]
    named = treatment_of(method, selection) if method else None  # a typo costs no loading of models
    handle = load_model(model, options)
    treatment = named or treatment_of(DEFAULT[handle.modality], selection)
    treatment = with_fields(treatment, treatment_settings(treatment, options["settings"]))
    if getattr(treatment, "suppression", False) and hasattr(handle, "guards"):
        raise BadInput(
            f"{method} is a guard: it changes no weights, so there is no model to write; "
            f"test it with: rasura verify {model} {model} --guard {method}"
        )
    erased = run(
        handle,
        Request(*sides, concept=concept),
        method=treatment,
        checkpoint=folder,
        engine=engine_for(options["store"], options["engine"]),
        seed=options["seed"],
    )
    if not first():
        return  # one process writes for all
    path = publish(erased.model, erased.record, folder)
    if options["as_json"]:
        emit(erased.record, True)
        return
    asked = f"--concept '{concept}'" if forget is None else f"--forget {forget}"
    _tell(erased.record, f"model and record: {folder} ({path.name})")
    say(f"next: rasura verify {model} {folder} {asked} --retain {retain or '...'}")


def _tell(record: Any, where: str) -> None:
    """The erasure as a person reads it at the terminal."""
    say(record.verdict)
    say(f"weights changed: {record.changed_parameters.value:.1%}; stopped by: {record.stopped}")
    for warning in record.warnings:
        say(f"warning: {warning}")
    for name, value in record.derived.items():
        say(f"{name.replace('_', ' ')}: {value:.4g}")
    say(f"\n{where}")


def _place(out: Path, model: str) -> Path:
    """The output folder; the folder of the model that is read, by whatever name, is none."""
    from rasura.core.errors import BadInput

    source = Path(model).expanduser()
    if out.exists() and source.exists() and out.samefile(source):
        raise BadInput(f"{out}: the model itself lies there and is never changed; choose another --out")
    folder = prepare_out(out, "erasure")
    assert folder is not None
    return folder
