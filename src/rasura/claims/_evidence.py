"""What claims that hold say for methods, kept in the evidence a method's status is computed from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..core import registry
from ..core.errors import BadInput
from ..core.records import Verdict
from ..core.status import EVIDENCE, source_hash
from ._decide import FAILS, HOLDS


def backing(verdicts: Iterable[Verdict]) -> dict[str, list[str]]:
    """Claims that hold, by the method they are evidence for ("metrics.loss_gap").

    A method about which another claim fails here is left out: it is not reproduced while part of its promise is not.
    """
    found: dict[str, list[str]] = {}
    failing: set[str] = set()
    for verdict in verdicts:
        about = registry.get("claims", verdict.claim).about
        if verdict.outcome == FAILS:
            failing.update(about)
        for method in about if verdict.outcome == HOLDS else ():
            found.setdefault(method, []).append(verdict.claim)
    return {method: sorted(claims) for method, claims in found.items() if method not in failing}


def merged(old: Mapping[str, Mapping[str, Any]], verdicts: Iterable[Verdict]) -> dict[str, dict[str, Any]]:
    """The evidence with the claims just checked in place of those it listed; all else stays as it was.

    An entry of a method that no longer exists is dropped, and so is one that nothing speaks for. A method whose file has
    changed since its tests ran keeps the hash of what was tested, so its status stays unproven until they run again.
    """
    claims = backing(verdicts)
    entries = {}
    for method in sorted({*old, *claims}):
        family, _, name = method.rpartition(".")
        if family not in registry.FAMILIES or name not in registry.names(family):
            continue
        new = {"source": source_hash(family, name), "conformance": False, "golden": []}
        entry = {**new, **old.get(method, {}), "claims": claims.get(method, [])}
        if entry["conformance"] or entry["golden"] or entry["claims"]:
            entries[method] = entry
    return entries


def write_evidence(verdicts: Iterable[Verdict], path: Path = EVIDENCE) -> Path:
    """Update the evidence file, whole or not at all. Raises BadInput when it cannot be written."""
    try:
        old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        text = json.dumps(merged(old, verdicts), indent=1, sort_keys=True) + "\n"
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be written ({error.strerror}); --write needs a checkout of the source"
        ) from None
    return path
