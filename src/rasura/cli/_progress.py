"""Progress of whatever takes longer than two seconds: on a terminal a line that moves, elsewhere one line at the end.

``progress(label, total)`` is what the pass engine calls (its ``Progress`` protocol); ``stage(label)`` is the same for
steps whose number is not known. Both give a function that is told how many more are done.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from ._output import clean

AFTER = 2.0  # seconds before anything shows: shorter work needs no words


@dataclass(eq=False)
class Line:
    """One piece of work: how much of it is done, since when."""

    label: str
    total: int | None
    clock: Callable[[], float]
    done: int = 0
    closed: bool = False
    task: Any = None  # its place on the moving display, once it has one
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def elapsed(self) -> float:
        return self.clock() - self.started

    def numbers(self) -> str:
        """Done, rate, time left.

        >>> now = iter([0.0, 10.0])
        >>> Line("loss", 40, lambda: next(now), done=10).numbers()
        '10 of 40, 1.0 a second, 30 s left'
        """
        elapsed = self.elapsed
        if not self.done:
            return f"{f'0 of {self.total}, ' if self.total else ''}{duration(elapsed)}"
        rate = self.done / max(elapsed, 1e-9)
        count = f"{self.done} of {self.total}" if self.total else f"{self.done} done"
        left = f"{duration(max(self.total - self.done, 0) / rate)} left" if self.total else duration(elapsed)
        return f"{count}, {pace(rate)}, {left}"

    def summary(self, finished: bool) -> str:
        """The one line of a run that nobody watches."""
        if not finished:
            count = f" after {self.done}{f' of {self.total}' if self.total else ''}"
            return f"{self.label}: stopped{count} in {duration(self.elapsed)}"
        return f"{self.label}: done{f' {self.done}' if self.done else ''} in {duration(self.elapsed)}"


class Bars:
    """The progress of one process. Lines that are open at the same time share one display.

    ``stream``: None is standard error, looked up each time. ``after``: seconds before a line shows.
    """

    def __init__(
        self, stream: IO[str] | None = None, after: float = AFTER, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stream, self.after, self.clock = stream, after, clock
        self._lock = threading.RLock()
        self._shown: list[Line] = []
        self._display: Any = None

    def __call__(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Work of known size: a bar, the rate and the time left."""
        return self._watch(label, total)

    def stage(self, label: str) -> AbstractContextManager[Callable[..., None]]:
        """Work of unknown size: what is told of is counted, and the time shows that it lives."""
        return self._watch(label, None)

    @contextmanager
    def _watch(self, label: str, total: int | None) -> Iterator[Callable[..., None]]:
        line, finished = Line(clean(label), total, self.clock), False
        timer = threading.Timer(self.after, self._show, [line])
        timer.daemon = True
        if self._moving():
            timer.start()

        def advance(count: int = 1) -> None:
            line.done += count

        try:
            yield advance
            finished = True
        finally:
            timer.cancel()
            self._close(line, finished)

    def _out(self) -> IO[str]:
        return self.stream or sys.stderr

    def _moving(self) -> bool:
        return self._out().isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")

    def _show(self, line: Line) -> None:
        with self._lock:
            if line.closed:
                return
            if self._display is None:
                self._display = _display(self._out())
                self._display.start()
            line.task = self._display.add_task("", total=line.total, line=line)
            self._shown.append(line)

    def _close(self, line: Line, finished: bool) -> None:
        with self._lock:
            line.closed = True
            if line in self._shown:
                self._display.remove_task(line.task)
                self._shown.remove(line)
                if not self._shown:
                    self._display.stop()
                    self._display = None
            if line.elapsed > self.after:
                self._tell(line.summary(finished))

    def _tell(self, text: str) -> None:
        """A lasting line: above the display where other work still moves."""
        if self._display is None:
            print(text, file=self._out(), flush=True)
        else:
            self._display.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _display(stream: IO[str]) -> Any:
    """A display on standard error that leaves standard output alone, because results may go there into a file."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn
    from rich.text import Text

    class Label(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(task.fields["line"].label)

    class Numbers(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(task.fields["line"].numbers())

    class Bar(BarColumn):
        def render(self, task: Any) -> Any:
            task.completed = task.fields["line"].done
            return super().render(task)

    console = Console(file=stream, force_terminal=True)
    return Progress(
        SpinnerColumn(),
        Label(),
        Bar(bar_width=24),
        Numbers(),
        console=console,
        transient=True,
        redirect_stdout=False,
        refresh_per_second=5,
    )


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> [duration(s) for s in (0.04, 3.21, 59.7, 185, 3725)]
    ['0.0 s', '3.2 s', '1 min 0 s', '3 min 5 s', '1 h 2 min']
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def pace(rate: float) -> str:
    """Things a second, or a minute where they are slow.

    >>> pace(1234.5), pace(3.456), pace(0.05)
    ('1234 a second', '3.5 a second', '3.0 a minute')
    """
    if rate < 0.5:
        return f"{60 * rate:.1f} a minute"
    return f"{rate:.1f} a second" if rate < 100 else f"{rate:.0f} a second"


progress = Bars()
stage = progress.stage
