"""What a piece of the program says, comments and docstrings left out: finished work of other code is other work."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE, VOCABULARY = "rasura", "core"


@cache
def code_digest(module: str) -> str:
    """Hash of the code of a module and of all modules of this package it imports, directly or not, ``core`` left out.

    ``core`` is the vocabulary and holds no mathematics: a new word in it does not make a number another number.
    """
    known: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in known and _file(name) is not None:
            known[name], imported = _read(name)
            waiting += imported
    text = "\n".join(f"{name} {known[name]}" for name in sorted(known))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _file(name: str) -> Path | None:
    """The file of a module; None for anything else (a name inside a module, another package, a folder)."""
    head, *rest = name.split(".")
    path = ROOT.joinpath(*rest).with_suffix(".py")
    return path if head == PACKAGE and rest and rest[0] != VOCABULARY and path.is_file() else None


@cache
def _read(name: str) -> tuple[str, list[str]]:
    """Hash of one module's code, and the absolute names it imports."""
    path = _file(name)
    assert path is not None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = [found for node in ast.walk(tree) for found in _imports(node, name.split(".")[:-1])]
    return hashlib.blake2b(code_of(tree).encode(), digest_size=16).hexdigest(), imported


def code_of(tree: ast.AST) -> str:
    """The tree as text without docstrings, positions or comments.

    >>> code_of(ast.parse('def f():\\n    "says what"\\n    return 1  # why')) == code_of(ast.parse("def f(): return 1"))
    True
    """
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0] = ast.Pass()
    for node in ast.walk(tree):
        if isinstance(getattr(node, "body", None), list):
            node.body = [child for child in node.body if not isinstance(child, ast.Pass)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _imports(node: ast.AST, package: list[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        return [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return []
