"""A method's status, computed from evidence and never declared.

    unproven               no evidence for the file as it stands
    implemented            every conformance test of its family passed
    matched                and a golden file agrees with the authors' own numbers
    ..., reproduced        and a claim about it holds here, and none about it fails

Evidence is written by the test run (``make evidence``) with a hash of the method's source; once the file changes,
the evidence no longer speaks for it and the status falls back to unproven.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from . import registry

EVIDENCE = Path(__file__).parent.parent / "evidence.json"


def status(family: str, name: str) -> str:
    """ "unproven", "implemented" or "matched", the latter two followed by ", reproduced" where a claim holds."""
    entry = evidence().get(f"{family}.{name}", {})
    if not entry.get("conformance") or entry.get("source") != source_hash(family, name):
        return "unproven"
    return ("matched" if entry.get("golden") else "implemented") + (", reproduced" if entry.get("claims") else "")


@cache
def evidence() -> dict[str, dict[str, Any]]:
    """What the last evidence run wrote; empty when there is none."""
    return json.loads(EVIDENCE.read_text()) if EVIDENCE.is_file() else {}


def source_hash(family: str, name: str) -> str:
    """Hash of the method's file, blind to line endings."""
    text = registry.source_of(family, name).read_text(encoding="utf-8").replace("\r\n", "\n")
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
