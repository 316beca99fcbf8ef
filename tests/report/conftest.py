"""Records to render, and what a reader of the page can see."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rasura.core.types import Estimate
from rasura.report import render

VOID = {"meta", "br", "img"}


@pytest.fixture(scope="session")
def made() -> ModuleType:
    """The module that makes realistic records."""
    return module_of("report_records", "_records.py")


@pytest.fixture(scope="session")
def pictured(made) -> ModuleType:
    """The same for a text-to-image run."""
    return module_of("report_image_records", "_image_records.py")


def module_of(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def everything(made) -> list[Any]:
    return made.everything()


@pytest.fixture(scope="session")
def page(everything) -> str:
    return render(everything)


@pytest.fixture(scope="session")
def drawn(pictured) -> list[Any]:
    return pictured.everything()


@pytest.fixture(scope="session")
def drawn_page(drawn) -> str:
    return render(drawn)


class Seen(HTMLParser):
    """What is on a page: tags, attributes, ids, visible text, and the numbers in <data> elements."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.numbers: list[tuple[dict[str, str], list[str]]] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "data":
            self.numbers.append(({name: value or "" for name, value in attrs}, []))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)
            if "data" in self.open:
                self.numbers[-1][1].append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def ids(self) -> list[str]:
        return [value for _, name, value in self.attributes if name == "id"]

    @property
    def estimates(self) -> list[tuple[tuple[float, float, float, int], str]]:
        """((value, low, high, n), text shown) of every estimate."""
        return [
            (
                (float(a["value"]), float(a["data-low"]), float(a["data-high"]), int(a["data-n"])),
                " ".join("".join(words).split()),
            )
            for a, words in self.numbers
            if "estimate" in a["class"].split()
        ]


@pytest.fixture(scope="session")
def seen() -> type[Seen]:
    return Seen


def parts(value: Any) -> Iterator[Any]:
    """Every value inside records, depth first."""
    yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from parts(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from parts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from parts(item)


@pytest.fixture(scope="session")
def estimates_in():
    return lambda records: [part for part in parts(list(records)) if isinstance(part, Estimate)]
