"""What is printed cannot act on a terminal, and every command ends in an exit code and at most one line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import unicodedata
from dataclasses import dataclass, field
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from rasura.cli._output import OneLine, OneLineCommand, clean, clean_lines, emit, fail, json_text, run, say
from rasura.core import records
from rasura.core.errors import BadInput, NeedsRole, TrainingDiverged
from rasura.core.types import Estimate

DANGEROUS = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]8;;http://x\x1b\\link \x9b2J\x1bc\r\b\u202eevil\u2066 \x00\x7f"


@given(st.text() | st.text("\x1b[]0;m\x07\x9b\x9c\\a 2J\n\u202e"))
@example(DANGEROUS)
@example("\x1b")
@example("\x1b\x1b[31m")
def test_clean_is_one_harmless_line(text: str):
    out = clean(text)
    assert not any(
        unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
        or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"
        for c in out
    )
    assert clean(out) == out and out.encode("utf-8").decode() == out


def test_clean_keeps_what_is_text():
    assert clean(DANGEROUS) == "red link  evil "
    for text in ("naïve 名前 🙂", "a [31m b", "می\u200cخواهم", "👩\u200d🔬", "• ▁ ½"):
        assert clean(text) == text
    assert clean("a\tb\r\nc\u00a0d\u2028e\ud800f") == "a b  c d e\ufffdf"
    assert clean_lines("a\x1b[1m\nb\r\n\u2028c") == "a\nb \n c"
    assert clean(17) == "17"


def test_say(capsys: pytest.CaptureFixture[str]):
    say("a\nb\x1b[2J")
    say("c", error=True)
    assert capsys.readouterr() == ("a\nb\n", "c\n")


def test_terminals_that_know_few_characters(monkeypatch: pytest.MonkeyPatch):
    """Text gets question marks; JSON stays exact."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    say("naïve 🙂")
    emit({"a": "naïve 🙂"}, as_json=True)
    stream.seek(0)
    first, rest = stream.read().split("\n", 1)
    assert first == "na?ve ?" and json.loads(rest) == {"a": "naïve 🙂"}


@dataclass(frozen=True)
class Point:
    x: int
    label: str


class Named(NamedTuple):
    x: int
    y: float


def test_emit_rows(capsys: pytest.CaptureFixture[str]):
    rows = [{"name": "loss", "n": 5}, {"name": "min_k", "p": None}]
    emit(rows)
    assert capsys.readouterr().out == "name   n  p\nloss   5\nmin_k\n"
    emit(rows, as_json=True)
    assert json.loads(capsys.readouterr().out) == rows
    emit([Point(1, "a"), Point(2, "b")])
    assert capsys.readouterr().out == "x  label\n1  a\n2  b\n"
    emit([Named(1, float("nan"))], as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"x": 1, "y": "NaN"}]
    emit([])
    emit([], as_json=True)
    emit({"folder": "x", "n": 3})
    emit("plain \x1b[1mwords")
    assert capsys.readouterr().out == "nothing\n[]\nfolder  x\nn       3\nplain words\n"


def test_emit_record(capsys: pytest.CaptureFixture[str]):
    verdict = records.Verdict("claim \u202e", "holds", "1", "2", "because \x9b2J", "3")
    emit(verdict, as_json=True)
    out = capsys.readouterr().out
    assert records.from_json(out) == verdict
    assert "\u202e" not in out and "\x9b" not in out

    @dataclass(frozen=True)
    class Found:
        verdict: str = "It leaks."
        skipped: tuple = (records.Skipped("reference", "needs\na model"),)
        warnings: tuple = ("repeated\x1b[1m texts",)

    emit(Found())
    assert capsys.readouterr().out == "It leaks.\nskipped reference: needs\na model\nwarning: repeated texts\n"


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_json_is_the_same_data_and_harmless(value: object):
    text = json_text(value)
    assert json.loads(text) == value
    assert all(c == "\n" or c.isprintable() or c in "\u200c\u200d" for c in text)


def test_json_of_what_is_not_plain():
    import numpy as np

    value = {
        "e": Estimate(0.5, float("nan"), float("inf"), 3, "AUC"),
        "a": np.arange(2),
        "f": np.float32(0.5),
        3: (1, -float("inf")),
        "o": Point,
    }
    assert json.loads(json_text(value)) == {
        "e": {"value": 0.5, "low": "NaN", "high": "Infinity", "n": 3, "unit": "AUC", "level": 0.95, "note": ""},
        "a": [0, 1],
        "f": 0.5,
        "3": [1, "-Infinity"],
        "o": str(Point),
    }


def test_fail(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        fail(BadInput("a.csv: line 3\x1b[2J is\nwrong"))
    assert stop.value.code == 2 and capsys.readouterr() == ("", "rasura: a.csv: line 3 is wrong\n")


@dataclass
class Ends:
    """What a command does, chosen by a test."""

    how: object = None
    printed: str = field(default="")

    def group(self) -> click.Group:
        @click.group(cls=OneLine)
        def top() -> None:
            """The program."""

        @top.command()
        @click.option("--count", type=int)
        def go(count: int | None) -> object:
            """Go."""
            if isinstance(self.how, BaseException):
                raise self.how
            return self.how

        return top


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        (None, 0, ""),
        (0, 0, ""),
        (1, 1, ""),
        (True, 0, ""),
        ("text", 0, ""),
        (BadInput("a.csv: wrong"), 2, "rasura: a.csv: wrong\n"),
        (BadInput("several\nlines\x1b[2J"), 2, "rasura: several lines\n"),
        (
            NeedsRole("lira", "reference"),
            2,
            "rasura: lira needs a reference model: pass --reference (in Python: reference=...)\n",
        ),
        (TrainingDiverged("loss is NaN at step 3"), 2, "rasura: loss is NaN at step 3\n"),
        (click.UsageError("no\ngood"), 2, "rasura: no good (see: rasura go --help)\n"),
        (click.FileError("f", "gone"), 2, "rasura: Could not open file 'f': gone\n"),
        (click.exceptions.Exit(3), 3, ""),
        (KeyboardInterrupt(), 130, "rasura: interrupted; finished work is kept\n"),
        (click.Abort(), 130, "rasura: interrupted; finished work is kept\n"),
        (BrokenPipeError(), 141, ""),
        (
            ZeroDivisionError("a\nb"),
            70,
            "rasura: unexpected error: ZeroDivisionError: a b (set RASURA_DEBUG=1 for the traceback)\n",
        ),
        (
            KeyError("k" * 9000),
            70,
            f"rasura: unexpected error: KeyError: '{'k' * 499} (set RASURA_DEBUG=1 for the traceback)\n",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_end(
    how: object, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("RASURA_DEBUG", raising=False)
    assert run(Ends(how).group(), ["go"]) == code
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    "argv",
    [["go", "--cont", "3"], ["go", "--count", "x\x1b[2J"], ["goo"], ["--what"], ["go", "a", "b"], ["go", "--count"]],
)
def test_usage_errors_are_one_line(argv: list[str], capsys: pytest.CaptureFixture[str]):
    assert run(Ends().group(), argv) == 2
    out, err = capsys.readouterr()
    assert (
        out == ""
        and err.startswith("rasura: ")
        and err.endswith("--help)\n")
        and err.count("\n") == 1
        and "\x1b" not in err
    )


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]):
    assert run(Ends().group(), ["--help"]) == 0
    assert "Usage: rasura [OPTIONS] COMMAND" in capsys.readouterr().out
    run(Ends().group(), [])
    assert "The program." in "".join(capsys.readouterr())


def test_debug_adds_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("RASURA_DEBUG", "1")
    for error, code in ((ZeroDivisionError("x"), 70), (BadInput("y"), 2)):
        assert run(Ends(error).group(), ["go"]) == code
        err = capsys.readouterr().err
        assert err.startswith("Traceback (most recent call last)") and "raise self.how" in err


def test_the_class_alone_ends_the_same_way():
    """Under click's test runner, with and without ``standalone_mode``, and for a single command."""
    result = CliRunner().invoke(Ends(BadInput("wrong")).group(), ["go"])
    assert result.exit_code == 2 and "rasura: wrong" in result.output and "Traceback" not in result.output
    assert CliRunner().invoke(Ends(1).group(), ["go"]).exit_code == 1
    with pytest.raises(BadInput):
        Ends(BadInput("wrong")).group().main(["go"], standalone_mode=False)

    @click.command(cls=OneLineCommand)
    def alone() -> int:
        raise BadInput("wrong")

    assert CliRunner().invoke(alone, []).exit_code == 2
    assert isinstance(Ends().group().commands["go"], OneLineCommand)


PROGRAM = """
import sys, click
from rasura.cli._output import run
@click.command()
def many():
    for i in range(100000):
        click.echo("line")
sys.exit(run(many, []))
"""


def test_a_closed_pipe_is_quiet_and_no_finding():
    """``rasura ... | head -1`` must not end with 1, which means a finding."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )
    assert child.stdout and child.stderr
    assert child.stdout.readline() == b"line\n"
    child.stdout.close()
    assert (child.stderr.read(), child.wait(20)) == (b"", 141)
    child.stderr.close()
