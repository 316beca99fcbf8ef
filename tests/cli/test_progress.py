"""A line that moves on a terminal, one line at the end elsewhere, silence for short work."""

from __future__ import annotations

import io
import re
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from rasura.cli import _progress
from rasura.cli._progress import AFTER, Bars, Line, progress, stage
from rasura.core.types import Samples
from rasura.observations._engine import Engine


class Terminal(io.StringIO):
    """A terminal that keeps everything ever written."""

    def isatty(self) -> bool:
        return True

    def shows(self, words: str, seconds: float = 5.0) -> bool:
        end = time.monotonic() + seconds
        while words not in self.plain and time.monotonic() < end:
            time.sleep(0.01)
        return words in self.plain

    @property
    def plain(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue())


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def test_two_seconds_is_the_house_rule():
    assert AFTER == 2.0 and progress.after == 2.0


@pytest.mark.parametrize(
    ("seconds", "told", "said"),
    [
        (2.0, [10], ""),
        (2.1, [10, 5], "loss: done 15 in 2.1 s\n"),
        (75.0, [], "loss: done in 1 min 15 s\n"),
    ],
)
def test_one_line_at_the_end_where_nobody_watches(seconds: float, told: list[int], said: str):
    clock, stream = Clock(), io.StringIO()
    with Bars(stream, clock=clock)("loss", 15) as advance:
        for n in told:
            advance(n)
        clock.now += seconds
        assert stream.getvalue() == ""
    assert stream.getvalue() == said


def test_stages_count_what_they_are_told():
    clock, stream = Clock(), io.StringIO()
    with Bars(stream, clock=clock).stage("training") as step:
        step()
        step(2)
        clock.now += 3
    assert stream.getvalue() == "training: done 3 in 3.0 s\n"


def test_work_that_fails_says_where():
    clock, stream = Clock(), io.StringIO()
    bars = Bars(stream, clock=clock)
    with pytest.raises(KeyError), bars("loss", 15) as advance:
        advance(4)
        clock.now += 5
        raise KeyError
    with pytest.raises(KeyError), bars.stage("loading"):
        clock.now += 5
        raise KeyError
    assert stream.getvalue() == "loss: stopped after 4 of 15 in 5.0 s\nloading: stopped after 0 in 5.0 s\n"


def test_short_work_is_silent_on_a_terminal(terminal: Terminal):
    threads = threading.active_count()
    with Bars(terminal, after=60.0)("loss", 3) as advance:
        advance(3)
    assert terminal.getvalue() == "" and threading.active_count() <= threads + 1


def test_a_line_appears_while_nothing_is_told(terminal: Terminal):
    """The first batch may take a minute, so the line must not wait for it; then it shows count, rate and time left."""
    with Bars(terminal, after=0.05)("token statistics", 40) as advance:
        assert terminal.shows("token statistics") and terminal.shows("0 of 40, 0.")
        advance(10)
        assert terminal.shows("10 of 40, ") and re.search(
            r"10 of 40, [\d.]+ a (second|minute), [\d.]+ s left", terminal.plain
        )
    assert terminal.plain.rstrip().endswith("s") and "token statistics: done 10 in 0." in terminal.plain


def test_a_stage_shows_its_time(terminal: Terminal):
    with Bars(terminal, after=0.05).stage("training") as step:
        assert terminal.shows("training")
        step(3)
        assert terminal.shows("3 done, ")
    assert "training: done 3 in 0." in terminal.plain


def test_open_lines_share_a_display(terminal: Terminal):
    bars = Bars(terminal, after=0.02)
    with bars.stage("outer"):
        assert terminal.shows("outer")
        for name in ("first", "second"):
            with bars(name, 2) as advance:
                assert terminal.shows(name)
                advance(2)
        with pytest.raises(ValueError), bars("third", 2):
            assert terminal.shows("third")
            raise ValueError
        assert bars._display is not None
    assert bars._display is None and bars._shown == []
    said = [line.strip() for line in terminal.plain.splitlines() if ": " in line]
    assert [s.partition(" in ")[0] for s in said] == [
        "first: done 2",
        "second: done 2",
        "third: stopped after 0 of 2",
        "outer: done",
    ]


def test_standard_output_stays_standard_output(terminal: Terminal, capsys: pytest.CaptureFixture[str]):
    """Results may go into a file while the line moves."""
    with Bars(terminal, after=0.02)("loss", 2):
        assert terminal.shows("loss")
        print("result")
    assert capsys.readouterr().out == "result\n" and "result" not in terminal.plain


def test_a_terminal_that_cannot_move_gets_the_plain_line(terminal: Terminal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "dumb")
    with Bars(terminal, after=0.01)("loss", 2) as advance:
        advance(2)
        time.sleep(0.05)
    assert re.fullmatch(r"loss: done 2 in 0\.\d s\n", terminal.getvalue())


def test_closing_wins_against_a_late_timer(terminal: Terminal):
    """A timer that fires when the work is just over must not open a display that nobody closes."""
    bars, line = Bars(terminal, after=60.0), Line("loss", 2, time.monotonic)
    bars._close(line, True)
    bars._show(line)
    assert bars._display is None and terminal.getvalue() == ""


def test_labels_are_cleaned_and_no_markup(terminal: Terminal):
    with Bars(terminal, after=0.02)("a\x1b[2Jb\n[red]c", 1):
        assert terminal.shows("ab [red]c")
    assert "\x1b[2J" not in terminal.getvalue()


def test_standard_error_is_looked_up_each_time(monkeypatch: pytest.MonkeyPatch):
    bars, stream = Bars(after=-1.0), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with bars("loss", 1) as advance:
        advance(1)
    assert stream.getvalue() == "loss: done 1 in 0.0 s\n"


def test_numbers_and_words():
    clock = Clock()
    line = Line("loss", 100, clock, done=3)
    clock.now += 60
    assert line.numbers() == "3 of 100, 3.0 a minute, 32 min 20 s left"
    line.done = 120  # more than was announced: no negative time
    assert line.numbers() == "120 of 100, 2.0 a second, 0.0 s left"
    assert Line("x", None, clock).numbers() == "0.0 s" and Line("x", 0, clock).numbers() == "0.0 s"


def test_rich_is_loaded_late(monkeypatch: pytest.MonkeyPatch):
    made: list[object] = []
    monkeypatch.setattr(_progress, "_display", made.append)
    with Bars(io.StringIO(), after=0.01)("loss", 1):
        time.sleep(0.05)
    assert made == [], "nothing is drawn on a pipe"


def test_the_engine_speaks_through_it():
    """The engine's own calls: one line a pass, named and counted by the engine."""
    stream, rows = io.StringIO(), []

    def measure(label: str, total: int):
        rows.append((label, total))
        return Bars(stream, after=-1.0)(label, total)

    engine = Engine(progress=measure, shard=2)
    data = SimpleNamespace(find=lambda key, kind: SimpleNamespace())
    engine.store = data
    model = SimpleNamespace(fingerprint="f")
    observation = type("TokenThings", (), {"version": 1, "Data": None})()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rasura.observations._engine._store.concatenate", lambda parts: len(parts))
        patch.setattr(Engine, "_question", lambda self, what: "q")
        assert engine._shards(SimpleNamespace(what=observation, of="target"), model, Samples.of("abc")) == 2
    assert rows == [("token things", 3)] and stream.getvalue() == "token things: done 3 in 0.0 s\n"


def test_stage_belongs_to_progress():
    assert stage.__self__ is progress
