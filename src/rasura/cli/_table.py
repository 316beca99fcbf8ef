"""Plain aligned tables, as wide as the terminal allows; in a pipe every row is one line."""

from __future__ import annotations

import dataclasses
import io
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ._output import clean

PIPE_WIDTH = 100_000  # columns: no row is ever folded where a program reads


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]], width: int | None = None) -> str:
    """Rows under headers. Numbers stand right, None is empty, everything else is shown by ``str`` and cleaned.

    ``width``: columns to fold long cells into; None takes the terminal's, and no limit when the output is no terminal.

    >>> print(table(("signal", "n"), [("loss", 5), ("min_k", 12)]))
    signal   n
    loss     5
    min_k   12
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0), show_header=any(headers))
    for i, header in enumerate(headers):
        numbers = bool(rows) and all(_is_number(row[i]) or row[i] in (None, "") for row in rows)
        grid.add_column(Text(clean(header)), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell(value)) for value in row))
    out = io.StringIO()
    console = Console(file=out, width=width or _width(), color_system=None, force_terminal=False, legacy_windows=False)
    console.print(grid)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))


def rows_table(rows: Sequence[Any], width: int | None = None) -> str:
    """A table of mappings, named tuples or dataclasses; the columns are their fields, in order of appearance."""
    mappings = [_fields(row) for row in rows]
    headers = list(dict.fromkeys(name for row in mappings for name in row))
    return table(headers, [[row.get(name) for name in headers] for row in mappings], width) if headers else "nothing"


def cell(value: Any) -> str:
    """One value as a table shows it.

    >>> [cell(v) for v in (None, True, 0.123456, float("nan"), 3, (1, 2), "a\\nb")]
    ['', 'yes', '0.123', 'not available', '3', '1, 2', 'a b']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if value == value else "not available"
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(v) for v in value)
    return clean(value)


def _fields(row: Any) -> Mapping[str, Any]:
    if isinstance(row, Mapping):
        return row
    if dataclasses.is_dataclass(row):
        return {f.name: getattr(row, f.name) for f in dataclasses.fields(row)}
    return row._asdict()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _width() -> int:
    if not sys.stdout.isatty():
        return PIPE_WIDTH
    import shutil

    return shutil.get_terminal_size().columns
