"""``rasura verify``"""

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

POPULATIONS = ("nonmembers", "heldout", "paraphrases", "near", "far", "pictures")


@click.command(
    epilog="""\b
Example:
  rasura verify MODEL erased/ --forget forget.jsonl --retain retain.jsonl --retrained RETRAINED --out runs/v
  rasura verify MODEL erased/ --forget f.jsonl --retain r.jsonl --nonmembers n.jsonl --attack relearn --set relearn.steps=50
  rasura verify PIPELINE erased/ --concept ring --forget ring.jsonl --retain rest.jsonl --judge judge/ --near near.jsonl"""
)
@click.argument("before")
@click.argument("after")
@click.option("--forget", default=None, help="Records that were to be forgotten.")
@click.option("--retain", default=None, help="Records that must survive.")
@click.option("--concept", default=None, help="Text-to-image models: the concept that was to be erased.")
@click.option("--judge", default=None, help="A judge by folder: says what a picture shows.")
@click.option("--judge-labels", default=None, help="Labels for a zero-shot (CLIP) judge, separated by commas.")
@click.option("--clip", default=None, help="A CLIP model by folder or hub id, for clip_score.")
@click.option("--guard", default=None, help="A guard to put in front of AFTER (which may be BEFORE).")
@click.option("--retrained", default=None, help="A model trained without the forget set: the floor of every number.")
@click.option("--nonmembers", default=None, help="Records like the forget set that were never trained on.")
@click.option("--heldout", default=None, help="Records like the rest of the training data, never trained on.")
@click.option("--paraphrases", default=None, help="Prompts that mean the concept in other words.")
@click.option("--near", default=None, help="Prompts of the concept's neighbours.")
@click.option("--far", default=None, help="Prompts of everything else.")
@click.option("--pictures", default=None, help="Real captioned pictures, never trained on, to compare with.")
@click.option("--attack", "attacks", multiple=True, help="A recovery attack; may be repeated [default: all].")
@settings_option
@data_options
@model_options
@run_options
def verify(before: str, after: str, attacks: tuple[str, ...], **options: Any) -> int:
    """Compare BEFORE, AFTER and a retrained model, and try to get the erased records back."""
    from rasura._erase import as_request, treatment_of
    from rasura._verify import verify as run
    from rasura.core.errors import BadInput
    from rasura.core.types import Request, Samples

    from ._options import with_settings

    out = prepare_out(options["out"], "verification")
    if options["forget"] is None and options["concept"] is None:
        raise BadInput("nothing to verify: pass --forget FILE, or --concept WORD for a text-to-image model")
    sides = {name: load_samples(options[name], options) for name in ("forget", "retain", *POPULATIONS)}
    first, second = load_model(before, options), load_model(after, options)
    judge = load_judge(options["judge"], options["judge_labels"])
    request = as_request(
        first, Request(sides["forget"] or Samples(), sides["retain"] or Samples(), options["concept"], judge)
    )
    if options["guard"] is not None:
        second = treatment_of(options["guard"]).apply(second, request, seed=options["seed"])
    record = run(
        first,
        second,
        request,
        retrained=None if options["retrained"] is None else load_model(options["retrained"], options),
        comparison={**{n: sides[n] for n in POPULATIONS if sides[n] is not None}, **_instruments(options)},
        attacks=with_settings("attacks", attacks or None, options["settings"]),
        engine=engine_for(options["store"], options["engine"]),
        seed=options["seed"],
    )
    return finish(record, out, "verification", options, text)


def _instruments(options: dict[str, Any]) -> dict[str, Any]:
    if options["clip"] is None:
        return {}
    from rasura.models.image_text import ImageText

    return {"clip": ImageText.load(options["clip"], device=options["device"])}


def text(record: Any) -> str:
    """The verification as a person reads it at the terminal."""
    from ._table import table

    roles = [card.role for card in record.models]
    rows = [(m.method.name, m.population, m.better, *(m.values.get(r, "") for r in roles)) for m in record.metrics]
    lines = [record.verdict, "", table(("metric", "records", "better", *roles), rows)]
    attacks = [(a.method.name, a.access, *(a.values.get(r, "") for r in roles), _beyond(a)) for a in record.attacks]
    lines += ["", table(("attack", "access", *roles, "after, beyond its floor"), attacks)]
    others = ", ".join(a.method.name for a in record.attacks if a.floor is not None)
    lines += [f"{others}: shows that records were treated, and brings none back"] if others else []
    lines += [f"not tested: {s.name}: {s.why}" for s in record.skipped]
    lines += [f"warning: {w}" for w in record.warnings]
    return "\n".join(lines)


def _beyond(attack: Any) -> str:
    """What an attack shows beyond its floor, and which floor that is."""
    if attack.gain is None:
        return ""
    return f"{attack.gain} over {'retrained' if attack.floor is None else f'{attack.floor:g}'}"
