"""``rasura demo``: the whole loop on a testbed, ending in a report."""

from __future__ import annotations

from pathlib import Path

import click

from ._common import SEED, prepare_out
from ._output import emit, say


@click.command(epilog="\b\nExample:\n  rasura demo\n  rasura demo --images\n  rasura demo --size tiny --out runs/tiny")
@click.option("--images", is_flag=True, help="On a text-to-image model instead of a language model.")
@click.option("--size", type=click.Choice(["tiny", "small"]), default="small", show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the testbed and everything after.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder for records, models and the page  [default: runs/demo, with --images runs/demo-images].",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def demo(images: bool, size: str, seed: int, out: Path | None, as_json: bool) -> None:
    """Build a testbed, audit it, extract from it, erase what was planted, attack the result, write a report.

    Finished work is kept in the user's cache by content, so a second run computes nothing again.
    """

    from rasura.core.records import write
    from rasura.report import write_report

    from ._demo import Loop
    from ._progress import progress

    folder = prepare_out(out or Path("runs/demo-images" if images else "runs/demo"))
    assert folder is not None
    records = Loop("images" if images else "language", size, seed, progress).records(folder)
    for name, record in records.items():
        write(record, folder / f"{name}.json")
    page = write_report(folder, reveal=images)  # the pictures are rendered and nobody's
    if as_json:
        emit({"report": str(page), "verdicts": {n: r.verdict for n, r in records.items()}}, True)
        return
    for name, record in records.items():
        if name != "erasure":
            say(f"{name}: {record.verdict}\n")
    say(f"report: {page}")
