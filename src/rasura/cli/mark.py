"""``rasura mark``"""

from __future__ import annotations

from pathlib import Path

import click

from ._common import settings_option
from ._output import emit, say


@click.command(
    epilog="""\b
Example:
  rasura mark essays/ --out marked/
  rasura mark posts.jsonl --method lexical_mark --out marked/
  rasura audit MODEL --mark marked/mark.json"""
)
@click.argument("source")
@click.option("--method", default="ghost_sentence", show_default=True, help="A provenance method that marks texts.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the marked copies and the key.")
@click.option("--text-field", default="text", show_default=True, help="Field that holds the text.")
@click.option("--seed", type=click.IntRange(0), default=None, help="For a mark made again [default: a secret one].")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@settings_option
def mark(
    source: str, method: str, out: Path, text_field: str, seed: int | None, as_json: bool, settings: tuple[str, ...]
) -> int:
    """Mark the texts of SOURCE (a folder of .txt files, a JSONL or CSV file) before they are published.

    Writes marked copies and mark.json, the key that tells later whether a model has read them. Publish the copies, keep
    the key secret: it is the evidence. The originals are never changed.
    """
    from rasura._mark import mark as run
    from rasura._mark import read_key

    from ._options import with_settings

    chosen = with_settings("provenance", (method,), settings)
    path = run(source, out, chosen[0], text_field=text_field, seed=seed)
    key = read_key(path)
    if as_json:
        emit({"key": str(path), "method": key["method"], "texts": key["texts"], "marked": key["marked"]}, True)
        return 0
    say(f"{key['marked']} of {key['texts']} texts marked by {key['method']}: {out}")
    say(f"key:  {path} (keep it secret and safe; do not publish it with the texts)")
    say(f"next: publish the copies; later: rasura audit MODEL --mark {path}")
    return 0
