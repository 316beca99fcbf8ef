"""``rasura testbed``"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from ._common import SEED, Share
from ._output import emit, say


@click.group()
def testbed() -> None:
    """Build small models with planted truth."""


@testbed.command(
    epilog="""\b
Example:
  rasura testbed build language --size small --out runs/testbed
  rasura testbed build images --size small --out runs/pictures
  rasura testbed build language --text notes.jsonl --member-fraction 0.5 --out runs/calibration"""
)
@click.argument("name")
@click.option("--size", type=click.Choice(["tiny", "small", "base"]), default="small", show_default=True)
@click.option("--variant", default=None, help="images: scenes or digits [default: scenes].")
@click.option("--text", default=None, help="Your own records: members are drawn from them at random.")
@click.option("--text-field", default="text", show_default=True)
@click.option(
    "--member-fraction",
    type=Share(0.05, 0.9),
    default=0.5,
    show_default=True,
    help="Share of records trained on (with --text).",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="Folder to build in [default: the user's cache]."
)
@click.option("--json", "as_json", is_flag=True)
def build(
    name: str,
    size: str,
    variant: str | None,
    text: str | None,
    text_field: str,
    member_fraction: float,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Train the testbed NAME (language, images) and write its models and records to a folder.

    With --text the same architecture is trained on your own records, members chosen at random: a calibration of what
    the signals can show on that kind of text.
    """

    from rasura.core import registry
    from rasura.core.errors import BadInput
    from rasura.testbeds._folder import default_cache

    from ._common import prepare_out
    from ._progress import progress

    own = {"text": text, "text_field": text_field, "member_fraction": member_fraction} if text else {}
    settings = {"size": size, **own, **({"variant": variant} if variant else {})}
    known = {f.name for f in dataclasses.fields(registry.get("testbeds", name))}
    for setting in settings:
        if setting not in known:
            raise BadInput(f"--{setting}: the testbed {name} has no such setting; it has {', '.join(sorted(known))}")
    testbed = registry.make("testbeds", name, settings)
    folder = prepare_out(out) or default_cache() / "testbeds" / testbed.key(seed)
    planted = testbed.build(seed, folder=folder, progress=progress)
    parts = {p: len(getattr(planted, p)) for p in ("members", "nonmembers", "forget", "retain", "heldout")}
    parts |= {p: len(samples) for p, samples in planted.more.items()}
    if as_json:
        emit({"folder": str(folder), "models": sorted(planted.models), **parts}, True)
        return
    say(f"{folder}")
    say(
        "  models:  " + ", ".join(f"{role} ({model.parameters:,} parameters)" for role, model in planted.models.items())
    )
    say("  records: " + ", ".join(f"{p}.jsonl ({n})" for p, n in parts.items()))
    reference = f" --reference {folder}/reference" if "reference" in planted.models else ""
    say(
        f"next: rasura audit {folder}/target --members {folder}/members.jsonl --nonmembers {folder}/nonmembers.jsonl{reference}"
    )
