"""The rules of the house that a machine can see."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rasura.core import registry, status

ROOT = Path(__file__).parent.parent / "src" / "rasura"
FILES = sorted(ROOT.rglob("*.py"))
METHODS = [(family, name) for family in registry.FAMILIES for name in registry.names(family)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_sizes(path: Path):
    text = path.read_text()
    assert text.count("\n") <= 400, "files have at most 400 lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            assert size <= 60, f"{node.name} has {size} lines, functions have at most 60"


@pytest.mark.parametrize("verb", ["audit", "extract", "erase", "verify", "mark"])
def test_verbs_have_at_most_eight_parameters(verb: str):
    function = getattr(importlib.import_module(f"rasura._{verb}"), verb)
    assert len(inspect.signature(function).parameters) <= 8
    assert "Raises" in function.__doc__


@pytest.mark.parametrize(("family", "name"), METHODS, ids=lambda v: v)
def test_a_method_documents_itself(family: str, name: str):
    cls = registry.get(family, name)
    text = cls.__doc__ + (sys.modules[cls.__module__].__doc__ or "")
    assert len(registry.summary(cls)) <= 160
    if cls.paper:
        assert any(year in text for year in map(str, range(1947, 2027))), "name the source: authors, title, year"
    file = Path(inspect.getfile(cls))
    shared = file.with_name("_math.py")  # a kernel that several methods share has its worked number there
    source = file.read_text() + (shared.read_text() if shared.is_file() and "._math import" in file.read_text() else "")
    if family in ("signals", "extraction", "metrics", "erasers.objectives", "provenance"):
        assert ">>>" in source, "one worked number as a doctest"


def test_settings_are_plain_and_defaulted():
    for family, name in METHODS:
        cls = registry.get(family, name)
        assert hash(cls()) is not None and cls() == cls()


def test_evidence_speaks_of_files_as_they_are():
    """A changed method without a new evidence run would silently lose its status: run `make evidence`."""
    for key, entry in status.evidence().items():
        family, _, name = key.rpartition(".")
        if name in registry.names(family):
            assert entry["source"] == status.source_hash(family, name), (
                f"{key} changed since its evidence was made: run `make evidence`"
            )


def test_evidence_is_honest_json():
    for key, entry in status.evidence().items():
        assert set(entry) <= {"source", "conformance", "golden", "claims"}, key
        assert isinstance(json.dumps(entry), str)


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    ).stdout


def test_importing_the_package_loads_nothing_heavy():
    out = run_python(
        "import sys, rasura; print([m for m in ('torch', 'transformers', 'numpy', 'click') if m in sys.modules])"
    )
    assert out.strip() == "[]"


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom rasura.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as e: assert not e.code, e.code\n"
        "print([m for m in ('torch', 'transformers', 'numpy', 'rich', 'pandas') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stderr.strip() == "[]" and "audit" in done.stdout


def test_listing_methods_imports_none():
    code = "import sys\nfrom rasura.core import registry\nregistry.names('signals')\nprint([m for m in sys.modules if m.startswith('rasura.signals')])"
    assert run_python(code).strip() == "[]"
