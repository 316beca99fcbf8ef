"""``rasura report``"""

from __future__ import annotations

from pathlib import Path

import click

from ._output import emit, say


@click.command(epilog="\b\nExample:\n  rasura report runs/a\n  rasura report runs/a --reveal --out private.html")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="The page [default: FOLDER/report.html].")
@click.option("--reveal", is_flag=True, help="Show extracted text unmasked, where the record holds it.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON instead of writing a page.")
def report(folder: Path, out: Path | None, reveal: bool, as_json: bool) -> None:
    """Turn the records in FOLDER into one self-contained page that works offline."""

    from rasura.report import records_in, write_report

    if as_json:
        found = records_in(folder)
        emit(
            [{"record": type(r).__name__, "verdict": getattr(r, "verdict", getattr(r, "outcome", ""))} for r in found],
            True,
        )
        return
    say(str(write_report(folder, out, reveal=reveal)))
