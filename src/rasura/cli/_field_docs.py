"""What a method says about its settings: in its docstring, or in the comment beside the field.

In a docstring a setting is described as ````k``: share of tokens.``; several that share their words stand together,
````gamma``, ``alpha``: weights.``, and the words end where the next such marker or the paragraph does. A setting that
is only mentioned, as in "``steps`` steps of AdamW", gets the sentence it is first mentioned in.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Iterable

_NAMES = r"``\w+``(?:(?:, | and |, and )``\w+``)*"
_FOR_TOOLS = re.compile(r"(^|# ?)(noqa|type: ?ignore|fmt:|pyright:).*")
_MARKER = re.compile(rf"({_NAMES})(?: ?\([^)]*\))?:\s")


def field_docs(cls: type, fields: Iterable[str]) -> dict[str, str]:
    """Words by field; a field nothing is said about is missing."""
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__[:-1]):
        docstring = owner.__doc__ or ""
        found = _mentioned(docstring) | found | _comments(owner) | _described(docstring)
    return {name: found[name].replace("``", "") for name in fields if name in found}


def _mentioned(docstring: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        for sentence in re.split(r"(?<=[.;])\s", " ".join(paragraph.split())):
            for name in re.findall(r"``(\w+)``", sentence):
                found.setdefault(name, sentence.rstrip(" .;:"))
    return found


def _described(docstring: str) -> dict[str, str]:
    found = {}
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        markers = list(_MARKER.finditer(paragraph))
        ends = [*(m.start() for m in markers[1:]), len(paragraph)]
        for marker, end in zip(markers, ends, strict=False):
            words = paragraph[marker.end() : end]
            for name in re.findall(r"``(\w+)``", marker.group(1)):
                found[name] = " ".join(words.split()).rstrip(" .;-*")
    return found


def _comments(cls: type) -> dict[str, str]:
    """The comment at the end of a field's line, else the comment lines above it."""
    try:
        source = textwrap.dedent(inspect.getsource(cls))
        body = ast.parse(source).body[0]
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):
        return {}  # defined in a notebook or a frozen program
    if not isinstance(body, ast.ClassDef):
        return {}
    comments = {
        t.start[0]: (_FOR_TOOLS.sub("", t.string.lstrip("#: ")), t.line.lstrip().startswith("#"))
        for t in tokens
        if t.type == tokenize.COMMENT
    }
    found = {}
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            words, alone = comments.get(node.end_lineno or 0, ("", True))
            found[node.target.id] = " ".join((_above(comments, node.lineno) if alone else words).split())
    return {name: words for name, words in found.items() if words}


def _above(comments: dict[int, tuple[str, bool]], line: int) -> str:
    words: list[str] = []
    while comments.get(line - 1, ("", False))[1]:
        line -= 1
        words.insert(0, comments[line][0])
    return " ".join(words)
