"""The page of claims: for each kind of model a table, then every claim with its numbers.

Rendered from verdicts alone, so it can be redone.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from typing import Any

from ..core import registry
from ..core.records import Verdict, to_json
from ..core.types import plain

HEAD = """# Claims

What published claims become on this package's own testbeds: small models whose training data we planted. Every
threshold was frozen before the run that tested it, and none was moved afterwards. A claim *holds* if each of its
inequalities holds with its whole 95 % interval, *fails here* if one is wrong with its whole interval, and is *not
resolvable* otherwise. "Fails here" is a statement about models of about a million parameters, not about the paper's.
Intervals cover both the records and the trainings (seeds), whichever is wider.
"""
KINDS = {
    "text": "Language models: GPT-NeoX of 0.66 million parameters, trained on documents",
    "images": "Text-to-image models: Stable Diffusion pipelines of 1.1 million parameters, trained on captioned scenes",
}
HEADINGS = ("claim", "paper", "outcome", "ours", "threshold")


def page(verdicts: Sequence[Verdict], command: str) -> str:
    """Markdown. ``command``: what makes this page again."""
    parts = [HEAD, f"Made by `{command}`; do not edit by hand.\n"]
    for kind, title in KINDS.items():
        chosen = [v for v in verdicts if registry.modality_of(registry.get("claims", v.claim)) == kind]
        if chosen:
            parts += [f"## {title}\n", markdown_table([HEADINGS, *map(_row, chosen)]), *map(_section, chosen)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _row(v: Verdict) -> tuple[str, ...]:
    cls = registry.get("claims", v.claim)
    return (f"[{v.claim}](#{v.claim})", _paper(cls), f"**{v.outcome}**", v.ours, v.threshold)


def listed(verdicts: Sequence[Verdict]) -> str:
    """The same as JSON: a list of records."""
    return json.dumps([json.loads(to_json(v)) for v in verdicts], indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Header row first.

    >>> print(markdown_table([("a", "b"), ("1", "x|y")]))
    | a | b |
    | --- | --- |
    | 1 | x\\|y |
    <BLANKLINE>
    """
    head, *body = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)) + "\n"


def _section(v: Verdict) -> str:
    cls = registry.get("claims", v.claim)
    summary, _, text = inspect.cleandoc(cls.__doc__ or "").partition("\n")
    facts = [
        ("outcome", f"**{v.outcome}**"),
        ("ours", v.ours),
        ("theirs", f"{v.theirs} ({_paper(cls)})"),
        ("threshold", v.threshold),
        ("why", v.why),
        ("evidence for", ", ".join(f"`{m}`" for m in cls.about) or "no method of its own"),
        ("settings", f"`{_settings(plain(cls()))}`"),
    ]
    lines = "\n".join(f"- {name}: {said}" for name, said in facts)
    table = f"\n{markdown_table(v.table)}" if v.table else ""
    return f"### {v.claim}\n\n{summary}\n\n{lines}\n{table}\n{text.strip()}\n"


def _paper(cls: type) -> str:
    kind, _, identifier = cls.paper.partition(":")  # type: ignore[attr-defined]
    return f"[{cls.paper}](https://arxiv.org/abs/{identifier})" if kind == "arXiv" else cls.paper  # type: ignore[attr-defined]


def _settings(body: Any) -> str:
    """Fields as a person writes them; a nested dataclass by the name of its class.

    >>> _settings({"class": "a.b.C", "n": 2, "inner": {"class": "a.D", "x": [0, 1]}})
    'n=2, inner=D(x=(0, 1))'
    """
    return ", ".join(f"{name}={_value(value)}" for name, value in body.items() if name != "class")


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['class'].rpartition('.')[2]}({_settings(value)})"
    return repr(tuple(value)) if isinstance(value, list) else repr(value)
