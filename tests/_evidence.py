"""Turn a test run into evidence: what `rasura methods` says about a method is computed here and nowhere else.

A method is *implemented* when every test of its family's conformance file that names it passed, *matched* when also
every test of a golden file that lists it in ``BACKS`` passed. Claims that hold are added by `rasura claims --write`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

from rasura.core import registry
from rasura.core.status import source_hash

CONFORMANCE = {
    "test_signals": ("signals",),
    "test_extraction": ("extraction",),
    "test_metrics": ("metrics",),
    "test_attacks": ("attacks",),
    "test_erasers": ("erasers.objectives", "erasers.selections"),
    "test_testbeds": ("testbeds",),
    "test_guards": ("guards",),
    "test_provenance": ("provenance",),
    "test_image_signals": ("signals",),
    "test_image_extraction": ("extraction",),
    "test_image_metrics": ("metrics",),
    "test_image_attacks": ("attacks",),
    "test_image_erasers": (
        "erasers.objectives",
        "erasers.selections",
        "erasers.edits",
        "erasers.pruning",
        "erasers.adapters",
    ),
    "test_image_testbeds": ("testbeds",),
}


class Evidence:
    """Collects outcomes; writes the file when the session ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcomes: dict[str, dict[str, str]] = {"conformance": {}, "golden": {}}
        self.backs: dict[str, tuple[str, ...]] = {}

    def pytest_collection_modifyitems(self, items) -> None:
        for item in items:
            if "golden" in item.nodeid:
                self.backs[item.nodeid] = tuple(getattr(item.module, "BACKS", ()))

    def pytest_runtest_logreport(self, report) -> None:
        kind = next((k for k in self.outcomes if f"tests/{k}/" in report.nodeid), None)
        if kind and (report.when == "call" or report.outcome != "passed"):
            worse = self.outcomes[kind].get(report.nodeid) == "failed"
            self.outcomes[kind][report.nodeid] = "failed" if worse else report.outcome

    def pytest_sessionfinish(self, session) -> None:
        old = json.loads(self.path.read_text()) if self.path.is_file() else {}
        conformance, golden = self._conformance(), self._golden()
        entries = {}
        for family in registry.FAMILIES:
            for name in registry.names(family):
                key = f"{family}.{name}"
                if conformance.get(key) or golden.get(key) or old.get(key, {}).get("claims"):
                    entries[key] = {
                        "source": source_hash(family, name),
                        "conformance": conformance.get(key, False),
                        "golden": golden.get(key, []),
                        "claims": old.get(key, {}).get("claims", []),
                    }
        self.path.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n")

    def _conformance(self) -> dict[str, bool]:
        seen: dict[str, list[bool]] = defaultdict(list)
        for nodeid, outcome in self.outcomes["conformance"].items():
            match = re.search(r"/(test_\w+)\.py::.*?(?:\[(.*)\])?$", nodeid)
            families = CONFORMANCE.get(match.group(1), ()) if match else ()
            words = set(re.split(r"[-,. ]", match.group(2) or "")) if match else set()
            for family in families:
                for name in registry.names(family):
                    if name in words and outcome != "skipped":
                        seen[f"{family}.{name}"].append(outcome == "passed")
        return {key: all(results) for key, results in seen.items()}

    def _golden(self) -> dict[str, list[str]]:
        files: dict[str, list[bool]] = defaultdict(list)
        backs: dict[str, tuple[str, ...]] = {}
        for nodeid, outcome in self.outcomes["golden"].items():
            file = nodeid.split("::")[0]
            files[file].append(outcome == "passed")
            backs[file] = self.backs.get(nodeid, ())
        found: dict[str, list[str]] = defaultdict(list)
        for file, results in files.items():
            for key in backs[file] if all(results) else ():
                found[key].append(Path(file).name)
        return found
