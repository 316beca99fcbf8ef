"""``rasura claims``"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ._output import say


@click.command(
    epilog="""\b
Example:
  rasura claims
  rasura claims --family images
  rasura claims hubble_dose_response --json
  rasura claims --write docs/claims.md"""
)
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option(
    "--family",
    type=click.Choice(["all", "text", "images"]),
    default="all",
    show_default=True,
    help="Only claims about language models (text) or about text-to-image models (images).",
)
@click.option(
    "--write",
    type=click.Path(path_type=Path),
    default=None,
    help="Write the page, its JSON beside it, and the evidence for methods; claims not checked now stay as they were.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def claims(names: tuple[str, ...], family: str, write: Path | None, as_json: bool) -> None:
    """Check the claims of papers on testbeds with planted truth, and print the table.

    Without NAMEs all of them. The first run trains small models for several minutes; finished work is kept in the user's
    cache by content and a second run reads it back.
    """
    from rasura.claims._page import listed

    chosen = _chosen(names, family)
    if write is not None:
        _writable(write)
    verdicts = [_checked(claim) for claim in chosen]
    say(listed(verdicts).rstrip("\n") if as_json else text(verdicts))
    if write is not None:
        for path in _write(sorted([*verdicts, *_others(write, verdicts)], key=lambda v: v.claim), write):
            say(f"wrote {path}", error=True)


def text(verdicts: Sequence[Any]) -> str:
    """The verdicts as a person reads them at the terminal."""
    from ._table import table

    rows = [(v.claim, v.outcome, v.ours, v.threshold) for v in verdicts]
    why = "\n".join(f"{v.claim}: {v.why}" for v in verdicts)
    return f"{table(('claim', 'outcome', 'ours', 'threshold'), rows)}\n\n{why}"


def _chosen(names: Sequence[str], family: str) -> list[Any]:
    """Instances, in the order of their names. Raises UnknownMethod, BadInput."""
    from rasura.core import registry
    from rasura.core.errors import BadInput

    every = [registry.get("claims", name) for name in (sorted(set(names)) or registry.names("claims"))]
    fitting = [cls() for cls in every if family in ("all", registry.modality_of(cls))]
    if not fitting:
        raise BadInput(f"no claim named here is about {family} models: leave --family out")
    return fitting


def _checked(claim: Any) -> Any:
    """The verdict, read back if the same claim was checked by the same code on the same testbed."""
    from rasura.claims._seeds import keys_of
    from rasura.claims._source import code_digest
    from rasura.core.records import read, write
    from rasura.core.store import Store
    from rasura.core.types import digest
    from rasura.testbeds._folder import default_cache

    from ._progress import progress

    key = digest([claim, code_digest(type(claim).__module__), keys_of(claim)])
    kept = default_cache() / "claims" / f"{claim.name}-{key}.json"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write(claim.check(Store(default_cache() / "store"), progress), kept)
    return read(kept)


def _others(page: Path, verdicts: Sequence[Any]) -> list[Any]:
    """What the page beside already says of claims that were not checked now and still exist."""
    import json

    from rasura.core import registry
    from rasura.core.records import from_json

    beside = page.with_suffix(".json")
    if not beside.is_file():
        return []
    bodies = _bodies(beside)
    known = {v.claim for v in verdicts} | ({body["claim"] for body in bodies} - set(registry.names("claims")))
    return [from_json(json.dumps(body), str(beside)) for body in bodies if body["claim"] not in known]


def _bodies(page: Path) -> list[dict[str, Any]]:
    """The verdicts in the JSON beside a page. Raises BadInput for JSON of anything else."""
    import json

    from rasura.core.errors import BadInput
    from rasura.core.records import read_text

    try:
        bodies = json.loads(read_text(page))
    except (ValueError, RecursionError):
        bodies = None
    if not isinstance(bodies, list) or not all(isinstance(b, dict) and isinstance(b.get("claim"), str) for b in bodies):
        raise BadInput(
            f"{page}: is there already and holds no verdicts, so nothing is written over it; choose another --write"
        )
    return bodies


def _writable(page: Path) -> None:
    """Before minutes of work rather than after them."""
    import os

    from rasura.core.errors import BadInput

    if page.suffix == ".json":
        raise BadInput(
            f"{page}: the JSON lies beside the page under this name; choose another --write, such as claims.md"
        )
    if page.is_dir() or not page.parent.is_dir() or not os.access(page if page.exists() else page.parent, os.W_OK):
        raise BadInput(f"{page}: cannot be written; choose another --write")
    if page.with_suffix(".json").exists():
        _bodies(page.with_suffix(".json"))


def _write(verdicts: Sequence[Any], path: Path) -> list[Path]:
    """The page, the verdicts as JSON beside it, and the evidence."""
    from rasura.claims._evidence import write_evidence
    from rasura.claims._page import listed, page

    path.write_text(page(verdicts, "rasura claims --write docs/claims.md"), encoding="utf-8")
    path.with_suffix(".json").write_text(listed(verdicts), encoding="utf-8")
    return [path, path.with_suffix(".json"), write_evidence(verdicts)]
