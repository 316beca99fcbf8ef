"""From ``--set method.field=value`` to a method, and from a method to its table of settings."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Optional, Union

import pytest

from rasura.cli import _field_docs
from rasura.cli._options import (
    Setting,
    apply_settings,
    build,
    describe,
    method_help,
    parse_settings,
    treatment_settings,
    with_settings,
)
from rasura.cli._values import show
from rasura.core import registry
from rasura.core.errors import BadInput, UnknownMethod

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Example:
    """A method of every kind of setting.

    ``share``: part of the tokens,
    from 0 to 1. ``low``, ``high`` (nats): the ends.

    Runs ``steps`` steps at most; the rest is described elsewhere.
    """

    share: float = 0.2
    low: float | None = None
    high: Optional[float] = None  # noqa: UP045 - both spellings occur in methods
    steps: int = 10
    # what to do
    # with the rest
    rest: Literal["drop", "keep", 3] = "drop"
    exact: bool = False  # no rounding
    label: str = ""
    rates: tuple[float, ...] = (1e-5, 0.5)  # one run each
    betas: tuple[float, int] = (0.9, 2)
    words: tuple[str, ...] = ("a, b", "c")
    either: Union[int, Literal["auto"]] = "auto"  # noqa: UP007
    where: Path | None = None
    table: dict[str, int] = field(default_factory=dict)
    derived: int = field(init=False, default=3)
    access: ClassVar[str] = "black-box"

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise BadInput("steps: expected 0 or more")
        if self.share > 1:
            raise ValueError(f"share is {self.share}")


@dataclass(frozen=True)
class Child(Example):
    """Another default for an inherited setting, and one more."""

    share: float = 0.3  # of all
    more: int = 1


def test_parse():
    assert parse_settings([]) == {}
    assert parse_settings(["a.x=1", "b.y==z.w", "a.y=", " a . z = 1 "]) == {
        "a": {"x": "1", "y": "", "z": " 1 "},
        "b": {"y": "=z.w"},
    }


@pytest.mark.parametrize(
    "pair", ["", "k", "k=0.3", "min_k.k", ".k=1", "a.=1", "a.b.c=1", "a-b.c=1", "=", "a.b", "1.k=2"]
)
def test_parse_refuses(pair: str):
    with pytest.raises(BadInput) as caught:
        parse_settings([pair])
    assert str(caught.value) == f"--set {pair}: expected METHOD.FIELD=VALUE, such as min_k.k=0.3"


def test_parse_refuses_repetition():
    with pytest.raises(BadInput, match="--set a.x=2: a.x is set twice"):
        parse_settings(["a.x=1", "a.x=2"])


def test_build():
    made = build(
        Example, {"share": "1", "rest": "3", "rates": "1", "betas": "(0.5, 3)", "either": "7", "high": "2"}, "example"
    )
    assert made == Example(share=1.0, rest=3, rates=(1.0,), betas=(0.5, 3), either=7, high=2.0)
    assert type(made.share) is float and build(Example, {}, "example") == Example()


@pytest.mark.parametrize(
    ("field_name", "text", "said"),
    [
        ("share", "many", "--set example.share: expected a number, found 'many'"),
        ("share", "2", "--set example: share is 2.0"),
        ("steps", "-1", "--set example: steps: expected 0 or more"),
        ("where", "/tmp", "--set example.where: cannot be set from the command line, only in Python"),
        ("table", "{}", "--set example.table: cannot be set from the command line, only in Python"),
        ("rest", "drp", "--set example.rest: expected one of drop, keep, 3 (did you mean drop?), found 'drp'"),
    ],
)
def test_build_refuses(field_name: str, text: str, said: str):
    with pytest.raises(BadInput) as caught:
        build(Example, {field_name: text}, "example")
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("typed", "meant"), [("shares", "share"), ("stps", "steps"), ("derived", None), ("access", None)]
)
def test_unknown_setting(typed: str, meant: str | None):
    with pytest.raises(BadInput) as caught:
        build(Example, {typed: "1"}, "example")
    text = str(caught.value)
    assert (
        text.startswith(f"--set example.{typed}: no such setting; ")
        and "share=0.2, low=none, high=none, steps=10" in text
    )
    assert f"did you mean {meant}?" in text if meant else "did you mean" not in text


def test_describe():
    assert describe(Example) == [
        Setting("share", "float", "0.2", "part of the tokens, from 0 to 1"),
        Setting("low", "float | none", "none", "the ends"),
        Setting("high", "float | none", "none", "the ends"),
        Setting("steps", "int", "10", "Runs steps steps at most"),
        Setting("rest", "drop | keep | 3", "drop", "what to do with the rest"),
        Setting("exact", "bool", "false", "no rounding"),
        Setting("label", "str", "(empty)", ""),
        Setting("rates", "float,...", "1e-05,0.5", "one run each"),
        Setting("betas", "float,int", "0.9,2", ""),
        Setting("words", "str,...", '"a, b",c', ""),
        Setting("either", "int | auto", "auto", ""),
        Setting("where", "Path | None", "none", ""),
        Setting("table", "dict", "{}", ""),
    ]
    inherited = {s.field: s for s in describe(Child)}
    assert inherited["share"] == Setting("share", "float", "0.3", "of all")
    assert inherited["rates"].doc == "one run each" and inherited["more"] == Setting("more", "int", "1", "")


def test_long_defaults_are_cut():
    @dataclass(frozen=True)
    class Long:
        words: str = "x" * 100

    assert describe(Long)[0].default == "x" * 59 + "…"


def test_no_source_no_words(monkeypatch: pytest.MonkeyPatch):
    """A class typed into a notebook has a docstring and no file."""

    def no_source(_: type) -> str:
        raise OSError

    monkeypatch.setattr(_field_docs.inspect, "getsource", no_source)
    assert {s.field: s.doc for s in describe(Example) if s.doc} == {
        "share": "part of the tokens, from 0 to 1",
        "low": "the ends",
        "high": "the ends",
        "steps": "Runs steps steps at most",
    }


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> str:
    """A family of two methods that stand in no folder."""
    methods = {"example": Example, "child": Child}

    def get(_: str, name: str) -> type:
        if name not in methods:
            raise UnknownMethod("signals", name, methods)
        return methods[name]

    monkeypatch.setattr(registry, "names", lambda _: tuple(sorted(methods)))
    monkeypatch.setattr(registry, "get", get)
    return "signals"


def test_apply_settings(family: str):
    assert apply_settings(family, "child", {"more": "4"}) == Child(more=4)
    with pytest.raises(UnknownMethod, match="no signals method is called 'childs'; did you mean child?"):
        apply_settings(family, "childs", {})


def test_with_settings(family: str):
    """Chosen methods in their order, each once; settings without a choice mean the whole family."""
    assert with_settings(family, None, []) is None
    assert with_settings(family, ["example", "child", "example"], ["child.more=2"]) == [Example(), Child(more=2)]
    assert with_settings(family, None, ["child.more=2"]) == [Child(more=2), Example()]
    with pytest.raises(BadInput, match=r"^--set child.more: child is not among the signals chosen \(example\)$"):
        with_settings(family, ["example"], ["child.more=2"])
    with pytest.raises(BadInput, match=r"^--set chld.more: no signals method is called 'chld'; did you mean child\?$"):
        with_settings(family, None, ["chld.more=2"])
    with pytest.raises(UnknownMethod):
        with_settings(family, ["none"], [])


@dataclass(frozen=True)
class Loop:
    steps: int = 5


@dataclass(frozen=True)
class Composite:
    objective: Example = field(default_factory=Example)
    selection: Child | None = None
    loop: Loop = field(default_factory=Loop)
    near: float = 0.5

    def __post_init__(self) -> None:
        if self.near > 1:
            raise BadInput("near: expected at most 1")


def test_treatment_settings():
    """Parts are called by their class in lower case, or by their method's name where they have one."""
    assert treatment_settings(
        Composite(), ["example.steps=3", "loop.steps=7", "composite.near=0.1", "example.low=none"]
    ) == {
        "example": {"steps": 3, "low": None},
        "loop": {"steps": 7},
        "composite": {"near": 0.1},
    }
    for pair, said in (
        (
            "child.more=1",
            "--set child.more: this eraser has no part called 'child'; there are: composite, example, loop",
        ),
        ("lop.steps=1", "--set lop.steps: this eraser has no part called 'lop'; did you mean loop?"),
        ("loop.stps=1", "--set loop.stps: no such setting; did you mean steps? loop has steps=5"),
        ("loop.steps=x", "--set loop.steps: expected a whole number, found 'x'"),
        ("example.steps=-1", "--set example: steps: expected 0 or more"),
        ("composite.near=2", "--set composite: near: expected at most 1"),
        ("composite.loop=2", "--set composite.loop: cannot be set from the command line, only in Python"),
    ):
        with pytest.raises(BadInput) as caught:
            treatment_settings(Composite(), [pair])
        assert str(caught.value) == said


def test_method_help(family: str, monkeypatch: pytest.MonkeyPatch):
    lines = method_help(family, "child").splitlines()
    assert lines[:4] == [
        "child: Another default for an inherited setting, and one more",
        "",
        "field   type             default    doc",
        "share   float            0.3        of all",
    ]
    listed = method_help(family).splitlines()
    assert listed[0].split() == ["method", "settings", "what", "it", "is"]
    assert listed[1].startswith("child    share=0.3 low=none") and listed[1].endswith("inherited setting, and one more")
    monkeypatch.setattr(registry, "names", lambda _: ())
    assert method_help(family) == "no signals methods"


@pytest.mark.parametrize("family_name", registry.FAMILIES)
def test_every_registered_method_can_be_described_and_set(family_name: str):
    """The text of each default gives the default back; only a setting that holds another dataclass is for Python alone."""
    for name in registry.names(family_name):
        cls = registry.get(family_name, name)
        for row in describe(cls):
            default = getattr(cls(), row.field)
            if dataclasses.is_dataclass(default):
                continue
            assert apply_settings(family_name, name, {row.field: show(default)}) == cls(), f"{name}.{row.field}"


def test_nothing_heavy_is_imported():
    """The shared parts cost click and the standard library."""
    parts = ["_field_docs", "_options", "_output", "_progress", "_table", "_values"]
    code = (
        f"import {', '.join(f'rasura.cli.{p}' for p in parts)}; import sys;"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'torch', 'transformers', 'numpy', 'rich', 'pandas', 'pyarrow', 'scipy', 'datasets'}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert ran.stdout == "[]\n"
