"""Whatever a model or a data set puts into a record stays text."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.core.types import Estimate
from rasura.report import render
from rasura.report._format import visible

NASTY = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</style></svg><iframe src='https://example.org'></iframe>",
    "a\x00b\x1b[31mred\x1b]0;title\x07\x7f\x9b",
    "\u202etxet desrever\u2066\u200b\ufeff\u2028\ud800\uffff",
    "{{ 7 * 7 }} {% raw %} $x^2$ \\alpha %s {0}",
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def poisoned(value: Any, text: str) -> Any:
    """The record with ``text`` in place of every string, keys of mappings included."""
    if isinstance(value, str):
        return text
    if isinstance(value, Estimate):
        return dataclasses.replace(value, unit=text, note=text)
    if dataclasses.is_dataclass(value):
        return dataclasses.replace(
            value, **{f.name: poisoned(getattr(value, f.name), text) for f in dataclasses.fields(value)}
        )
    if isinstance(value, Mapping):
        return {f"{text} {k}": poisoned(v, text) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(poisoned(v, text) for v in value)
    return value


@pytest.mark.parametrize("kind", ["language", "pictures"])
@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_foreign_text_stays_text(everything, drawn, page, drawn_page, seen, text, kind):
    records, page = (everything, page) if kind == "language" else (drawn, drawn_page)
    html = render(poisoned(records, text), reveal=True, title=text)
    dirty, clean = seen(html), seen(page)
    assert dirty.tags <= clean.tags | {"br"}
    assert {name for _, name, _ in dirty.attributes} <= {name for _, name, _ in clean.attributes}
    assert "script" not in dirty.tags and "iframe" not in dirty.tags
    shown = "".join(dirty.words)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl") and c not in "\n\t\u200c\u200d"]
    assert visible(text)[:30] in shown
    html.encode("utf-8")
    drawings = ["<svg" + part.partition("</svg>")[0] + "</svg>" for part in html.split("<svg")[1:]]
    assert len(drawings) > (10 if kind == "language" else 5)
    for drawing in drawings:
        ElementTree.fromstring(drawing)


@pytest.mark.parametrize("kind", ["page", "drawn_page"])
def test_the_page_loads_nothing(request, kind, seen):
    page = request.getfixturevalue(kind)
    view = seen(page)
    assert ("meta", "content", POLICY) in view.attributes
    references = [
        (tag, value)
        for tag, name, value in view.attributes
        if name in ("href", "src", "xlink:href", "action", "background")
    ]
    pictures = [value for tag, value in references if tag == "img"]
    assert all(re.fullmatch(r"data:image/png;base64,[A-Za-z0-9+/=]+", value) for value in pictures)
    assert bool(pictures) == (kind == "drawn_page")
    assert references and all(value.startswith("#") for tag, value in references if tag != "img")
    assert not view.tags & {"script", "link", "iframe", "object", "embed", "form", "base"}
    assert not [name for _, name, _ in view.attributes if name.startswith("on")]
    styles = "".join(page.split("<style>")[1:]) + "".join(
        value for _, name, value in view.attributes if name == "style"
    )
    styles = styles.partition("</style>")[0] if pictures else styles
    assert (
        "@import" not in styles
        and "http" not in styles.replace("http://www.w3.org", "")
        and "url(" not in styles.replace("url(#", "")
    )


@pytest.mark.parametrize("kind", ["page", "drawn_page"])
def test_references_inside_the_page_exist(request, kind, seen):
    view = seen(request.getfixturevalue(kind))
    assert len(view.ids) == len(set(view.ids))
    inside = {value[1:] for _, name, value in view.attributes if name == "href"}
    clips = {value[5:-1] for _, name, value in view.attributes if name == "clip-path"}
    assert inside | clips <= set(view.ids)


def test_huge_strings_are_cut_and_say_so(made, seen):
    huge = "x" * 200_000
    html = render([poisoned(made.extraction(), huge), poisoned(made.erasure(), huge)], reveal=True)
    assert len(html) < 400_000
    assert "more characters" in seen(html).text


def test_extracted_text_shows_only_where_asked(made, seen):
    record = made.extraction()
    masked, revealed = seen(render([record])), seen(render([record], reveal=True))
    for example in record.examples:
        assert example.output not in masked.text and example.prompt not in masked.text
        assert example.output in revealed.text and example.prompt in revealed.text
    assert revealed.text.count(" revealed ") == len(record.examples)
    assert "unmasked" in revealed.text and "unmasked" not in masked.text


def test_nothing_to_reveal_stays_masked(made, seen):
    bare = tuple(dataclasses.replace(e, prompt="", output="") for e in made.extraction().examples)
    view = seen(render([made.extraction(examples=bare)], reveal=True))
    assert all(" ".join(e.output_masked.split()) in view.text for e in bare)


@given(st.text())
def test_visible_leaves_nothing_hidden(text):
    shown = visible(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or c in "\n\t\u200c\u200d" for c in shown)
    shown.encode("utf-8")
    assert visible(shown) == shown


@given(st.text(st.characters(categories=("L", "N", "P", "S"))))
def test_visible_leaves_ordinary_text_alone(text):
    assert visible(text) == text
