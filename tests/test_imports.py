"""Who may import whom: downward only, methods never each other, heavy libraries only where they live."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "rasura"
FILES = sorted(p for p in ROOT.rglob("*.py"))
LAYER = {
    "core": 0, "data": 1, "stats": 1, "models": 2, "observations": 3, "training": 3,
    "signals": 4, "extraction": 4, "metrics": 4, "erasers": 4, "guards": 4, "attacks": 4, "provenance": 4, "testbeds": 4,
    "report": 5, "_audit": 5, "_answers": 5, "_audit_verdict": 5, "_extract": 5, "_erase": 5, "_verify": 5, "_cards": 5, "_inputs": 5, "_pictures": 5, "_windows": 5, "_guided": 5, "_mark": 5, "_costs": 5, "_decisions": 5, "_pools": 5, "cli": 6, "claims": 6, "__main__": 6,
}  # fmt: skip
FAMILIES = ("signals", "extraction", "metrics", "erasers", "guards", "attacks", "provenance", "testbeds")
NUMPY_ONLY = ("signals", "metrics", "stats", "extraction", "provenance")


def imports(path: Path) -> list[str]:
    """Absolute names of what a file imports, also inside functions, but not under TYPE_CHECKING."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(n)
        for i in ast.walk(tree)
        if isinstance(i, ast.If) and "TYPE_CHECKING" in ast.dump(i.test)
        for n in ast.walk(i)
    }
    package = ["rasura", *path.relative_to(ROOT).parts[:-1]]
    found = []
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [module] + [f"{module}.{alias.name}" for alias in node.names]
    return found


def part(name: str) -> str | None:
    """The room of the house an absolute module name belongs to."""
    pieces = name.split(".")
    return pieces[1] if pieces[0] == "rasura" and len(pieces) > 1 else None


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downward(path: Path):
    mine = room(path)
    if mine == "__init__":
        return
    for name in imports(path):
        other = part(name)
        if other in LAYER and other != mine:
            assert LAYER[other] <= LAYER[mine], f"{path.relative_to(ROOT)} imports {name}, which stands above it"
            both = (mine, other)
            assert not (mine in FAMILIES and other in FAMILIES and not allowed(both)), (
                f"{mine} imports its neighbour {other}"
            )
    if mine == "report":
        assert {part(n) for n in imports(path)} - {None} <= {"core", "report"}


def allowed(pair: tuple[str, str]) -> bool:
    """Attacks and metrics read what an extraction counts as a match: shared vocabulary, no method."""
    return False


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_stay_where_they_live(path: Path):
    mine, names = room(path), {n.split(".")[0] for n in imports(path)}
    if mine != "models":
        assert not names & {"transformers", "diffusers", "peft"}, "only models/ imports model libraries"
    if mine in NUMPY_ONLY:
        assert "torch" not in names, f"{mine}/ is numpy and scipy only"


def methods() -> list[Path]:
    from rasura.core.registry import FAMILIES as registered

    folders = [ROOT.joinpath(*family.split(".")) for family in registered]
    return [p for folder in folders for p in sorted(folder.glob("*.py")) if not p.stem.startswith("_")]


@pytest.mark.parametrize("path", methods(), ids=lambda p: f"{p.parent.name}.{p.stem}")
def test_a_method_imports_no_sibling(path: Path):
    siblings = {p.stem for p in path.parent.glob("*.py") if not p.stem.startswith("_")} - {path.stem}
    package = ".".join(["rasura", *path.relative_to(ROOT).parts[:-1]])
    for name in imports(path):
        assert name not in {f"{package}.{s}" for s in siblings}, (
            f"{path.stem} imports {name}: move what they share to _math.py"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_comparison_with_a_methods_name(path: Path):
    names = {p.stem for p in methods()} - {
        "all",
        "loss",
        "exposure",
        "probability",
        "sampling",
        "language",
        "images",
        "reference",
    }  # words of their own
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare):
            strings = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
            assert not strings & (names - {path.stem}), (
                f"{path.relative_to(ROOT)}:{node.lineno} asks for a method by name"
            )
