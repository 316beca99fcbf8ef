"""``rasura verify``"""

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
  rasura verify MODEL erased/ --forget forget.jsonl --retain retain.jsonl --retrained RETRAINED --out runs/v
  rasura verify MODEL erased/ --forget f.jsonl --retain r.jsonl --nonmembers n.jsonl --attack relearn --set relearn.steps=50"""
)
@click.argument("before")
@click.argument("after")
@click.option("--forget", required=True, help="Records that were to be forgotten.")
@click.option("--retain", required=True, help="Records that must survive.")
@click.option("--retrained", default=None, help="A model trained without the forget set: the floor of every number.")
@click.option("--nonmembers", default=None, help="Records like the forget set that were never trained on.")
@click.option("--heldout", default=None, help="Records like the rest of the training data, never trained on.")
@click.option("--attack", "attacks", multiple=True, help="A recovery attack; may be repeated [default: all].")
@settings_option
@data_options
@model_options
@run_options
def verify(
    before: str,
    after: str,
    forget: str,
    retain: str,
    retrained: str | None,
    nonmembers: str | None,
    heldout: str | None,
    attacks: tuple[str, ...],
    **options: Any,
) -> int:
    """Compare BEFORE, AFTER and a retrained model, and try to get the erased records back."""
    from rasura._erase import as_request
    from rasura._verify import verify as run

    from ._options import with_settings

    out = prepare_out(options["out"])
    first = load_model(before, options)
    sides = {"nonmembers": load_samples(nonmembers, options), "heldout": load_samples(heldout, options)}
    record = run(
        first,
        load_model(after, options),
        as_request(first, load_samples(forget, options), load_samples(retain, options)),
        retrained=None if retrained is None else load_model(retrained, options),
        comparison={name: side for name, side in sides.items() if side is not None},
        attacks=with_settings("attacks", attacks or None, options["settings"]),
        engine=engine_for(options["store"]),
        seed=options["seed"],
    )
    return finish(record, out, "verification", options, text)


def text(record: Any) -> str:
    """The verification as a person reads it at the terminal."""
    from ._table import table

    roles = [card.role for card in record.models]
    rows = [(m.method.name, m.population, m.better, *(m.values.get(r, "") for r in roles)) for m in record.metrics]
    lines = [record.verdict, "", table(("metric", "records", "better", *roles), rows)]
    attacks = [(a.method.name, a.access, *(a.values.get(r, "") for r in roles), a.gain or "") for a in record.attacks]
    lines += ["", table(("attack", "access", *roles, "after - retrained"), attacks)]
    lines += [f"not tested: {s.name}: {s.why}" for s in record.skipped]
    lines += [f"warning: {w}" for w in record.warnings]
    return "\n".join(lines)
