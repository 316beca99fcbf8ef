"""What the command line prints, and how a command ends.

Whatever comes from data, models or file names passes ``clean`` first, so that no record can move the cursor, recolour
the terminal or pretend to be another line. Errors are one line and an exit code:

    0    done               1    a finding above the threshold the user set (a command returns 1)
    2    misuse, bad input  130  interrupted        141  the reader of the pipe is gone        70  a bug

RASURA_DEBUG=1 adds the traceback.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from ..core.errors import RasuraError
from ..observations._engine_processes import Processes, launched

MISUSE, BUG, INTERRUPTED, PIPE_CLOSED = 2, 70, 130, 141
SEVERAL = launched()  # processes, all running this same command
RANK = int(os.environ.get("RANK", "0") or 0) if SEVERAL else 0
LONGEST = 500  # characters of an error nobody foresaw
JOINERS = "\u200c\u200d"  # join letters in Persian, in Indic scripts and in emoji; they move nothing
ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor movements
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # titles, links, device strings
    r"|\x1b[ -/]*[0-~]?"
)


def clean(text: Any) -> str:
    """The text as one line without terminal escapes, control characters and characters that reorder a line.

    >>> clean("a\\x1b[31mb\\x1b[0m\\tc\\nd\\u202ee\\x9b2J")
    'ab c de'
    """
    line = ESCAPES.sub("", str(text))
    if line.isascii() and line.isprintable():
        return line
    return "".join(_safe(c) for c in line)


def clean_lines(text: Any) -> str:
    """The same for text of several lines: only "\\n" ends one."""
    return "\n".join(clean(line) for line in str(text).split("\n"))


def _safe(character: str) -> str:
    if character.isprintable() or character in JOINERS:
        return character
    if unicodedata.category(character) == "Cs":
        return "\ufffd"
    return " " if character.isspace() else ""


def say(text: Any = "", *, error: bool = False) -> None:
    """Print lines, cleaned; what the terminal cannot encode becomes a question mark."""
    stream = sys.stderr if error else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write((clean_lines(text) + "\n").encode(encoding, "replace").decode(encoding))


def emit(record_or_rows: Any, as_json: bool = False) -> None:
    """Print a record, rows (mappings or dataclasses) or one mapping, as JSON or as a person reads it.

    As text a record is its verdict, what was skipped and the warnings; rows are a table.
    """
    if as_json:
        text, encoding = json_text(record_or_rows), getattr(sys.stdout, "encoding", None) or "utf-8"
        exact = text.encode(encoding, "ignore").decode(encoding) == text
        sys.stdout.write(text if exact else "".join(c if c.isascii() else _escaped(c) for c in text))
    else:
        say(_as_text(record_or_rows))


def json_text(value: Any) -> str:
    """JSON of a record or plain data. Invisible and reordering characters are escaped, so it is the same data."""
    from ..core import records

    if type(value).__name__ in records.RECORDS and type(value) is records.RECORDS[type(value).__name__]:
        text = records.to_json(value)
    else:
        text = json.dumps(_jsonable(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return "".join(c if c == "\n" or c.isprintable() or c in JOINERS else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1]


def _jsonable(value: Any) -> Any:
    """Plain data as records hold it: named fields by name, NaN and infinities as text."""
    import dataclasses
    import math

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return _jsonable(value._asdict())
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(v) for v in value]
    if hasattr(value, "tolist"):
        return _jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _as_text(value: Any) -> str:
    from ._table import rows_table, table

    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return table(("", ""), list(value.items()))
    if isinstance(value, Sequence):
        return rows_table(value)
    skipped = [f"skipped {s.name}: {s.why}" for s in getattr(value, "skipped", ())]
    warnings = [f"warning: {w}" for w in getattr(value, "warnings", ())]
    return "\n".join([str(getattr(value, "verdict", value)), *skipped, *warnings])


def complain(problem: Any) -> None:
    """One line on standard error; of several processes with one trouble, the first says it."""
    if RANK and _said_by_the_first(clean(problem)):
        return
    if not RANK:
        part(clean(problem))
    say(f"rasura: {f'process {RANK}: ' if RANK else ''}{clean(problem)}", error=True)


def part(message: str = "") -> int:
    """Tell the other processes of this run how this one ended; 2 when one of them failed and nobody said so yet."""
    if not SEVERAL:
        return 0
    ends = Processes.current.end(message) if Processes.current is not None else None
    trouble = [(rank, text) for rank, text in enumerate(ends or []) if text]
    if trouble and not message and not RANK:
        say(f"rasura: process {trouble[0][0]}: {trouble[0][1]}", error=True)
    return MISUSE if trouble else 0


def leave(code: int) -> NoReturn:
    """End here and now: taking connections to dead processes apart in good order can abort the interpreter."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed at the other end, or here
            stream.flush()
    os._exit(code)


def _said_by_the_first(message: str) -> bool:
    return Processes.current is not None and Processes.current.end(message) is not None


def fail(error: Any) -> NoReturn:
    """One line on standard error, exit code 2."""
    complain(error)
    raise SystemExit(MISUSE)


def run(command: click.Command, argv: Sequence[str] | None = None, prog_name: str = "rasura") -> int:
    """Run a command and return the exit code: what the command returned when it is a whole number, else 0."""
    if f"_{prog_name.upper()}_COMPLETE" in os.environ:
        command.main(args=argv, prog_name=prog_name)  # the shell asks for completions; click answers and exits
    try:
        with command.make_context(prog_name, list(sys.argv[1:] if argv is None else argv)) as context:
            value = command.invoke(context)
        sys.stdout.flush()
        return value if type(value) is int else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except BrokenPipeError:
        return _pipe_closed()
    except (KeyboardInterrupt, EOFError, click.Abort):
        complain("interrupted; finished work is kept")
        return INTERRUPTED
    except (RasuraError, click.ClickException) as error:
        _trace()
        return _misuse(error, prog_name)
    except Exception as error:  # the last stop: a person sees one line, a developer asks for more
        _trace()
        message = clean(error)[:LONGEST]
        complain(f"unexpected error: {type(error).__name__}: {message} (set RASURA_DEBUG=1 for the traceback)")
        return BUG


def _misuse(error: Exception, prog_name: str) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        say(error.format_message(), error=True)  # type: ignore[attr-defined]
    elif isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else prog_name
        complain(error.format_message() + (f" (see: {path} --help)" if isinstance(error, click.UsageError) else ""))
    else:
        complain(error)
    return MISUSE


def _trace() -> None:
    if os.environ.get("RASURA_DEBUG") == "1":
        say(traceback.format_exc(), error=True)


def _pipe_closed() -> int:
    """Nobody reads on; without this the interpreter would complain once more on its way out."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # not a real file, as under a test runner
    return PIPE_CLOSED


class _OneLine(click.Command):
    """A command whose every end is an exit code and at most one line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *rest: Any,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode or f"_{(prog_name or 'rasura').upper()}_COMPLETE" in os.environ:
            return super().main(args, prog_name, *rest, standalone_mode=standalone_mode, **extra)
        raise SystemExit(run(self, args, prog_name or "rasura"))


class OneLineCommand(_OneLine):
    """For ``@click.command(cls=OneLineCommand)``."""


class OneLine(_OneLine, click.Group):
    """For ``@click.group(cls=OneLine)``; its commands are of the same kind."""

    command_class = OneLineCommand
    group_class = type
