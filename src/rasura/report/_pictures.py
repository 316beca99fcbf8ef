"""Pictures of a record as the page may show them. A record is untrusted: what is no small PNG file is shown as text."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rasura.core.records import Extraction, Grid, GridRow
from rasura.report._format import shorten, thousands

URI = "data:image/png;base64,"
PNG = re.compile(re.escape(URI) + r"([A-Za-z0-9+/]+={0,2})")
SIGNATURE, HEADER = b"\x89PNG\r\n\x1a\n", b"IHDR"
LONGEST = 100_000  # characters of one picture: 128 x 128 pixels that do not compress take 66 000
LARGEST_SIDE = 1024  # pixels; a small file can name a size that stops a browser
COARSE_SIDE = 96  # up to here the pixels are shown as they are, above it smoothed
MOST_GRIDS, MOST_ROWS, MOST_COLUMNS = 12, 40, 16
BUDGET = 16_000_000  # characters of pictures one record may put on the page
LONGEST_LABEL = 80
TILES = 4  # of a mosaic, a side


@dataclass(frozen=True)
class Cell:
    """One place in a grid: a picture with its alternative text, or the text that stands where there is none."""

    uri: str
    alt: str
    coarse: bool = False
    text: str = ""


@dataclass(frozen=True)
class Shown:
    """A grid as the page shows it; every row has one cell a column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    notes: tuple[str, ...]


def shown(grids: Sequence[Grid]) -> list[Shown]:
    """The grids of one record, cut to what a page should hold; what is left out is counted in the notes."""
    left, found = BUDGET, []
    for grid in grids[:MOST_GRIDS]:
        one, used = _shown(grid, left)
        left -= used
        found.append(one)
    if len(grids) > MOST_GRIDS:
        note = f"{thousands(len(grids) - MOST_GRIDS)} more grids stand in the record."
        found.append(Shown("", (), (), (note,)))
    return found


def strips(extraction: Extraction, reveal: bool) -> list[Shown]:
    """The strips of memorised pictures; without ``reveal`` as mosaics, whatever the record holds.

    A record made with its contents revealed also names captions, so their place is taken by a number.
    """
    if reveal:
        return shown(extraction.grids)
    named = any(e.prompt or e.output for e in extraction.examples)
    return shown([_hidden(grid, i, named) for i, grid in enumerate(extraction.grids)])


def common_note(list_: Sequence[Shown]) -> str:
    """The note that all of several grids carry, to be said once."""
    notes = {grid.notes for grid in list_}
    return next(iter(notes))[0] if len(list_) > 1 and len(notes) == 1 and notes != {()} else ""


def _hidden(grid: Grid, i: int, named: bool) -> Grid:
    rows = tuple(GridRow(row.label, tuple(mosaic(uri) for uri in row.cells[:MOST_COLUMNS])) for row in grid.rows)
    if not named:
        return dataclasses.replace(grid, rows=rows)
    return Grid(
        f"Memorised picture {i + 1}", rows, (), "Shown as mosaics; a page made with --reveal shows the pictures."
    )


def mosaic(uri: str) -> str:
    """The picture as 4 x 4 tiles (2 x 2 where it is small); a mosaic stays as it is, and no picture stays none."""
    if side_of(uri) is None:
        return uri
    from PIL import Image

    try:
        with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])), formats=["PNG"]) as image:
            size, image = image.size, image.convert("RGB")
    except (OSError, ValueError, SyntaxError):  # the decoder's ways of saying that a file is damaged
        return "a damaged picture"
    tiles = min(TILES, max(2, min(size) // TILES))
    image = image.resize((tiles, tiles), Image.Resampling.BOX).resize(size, Image.Resampling.NEAREST)
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return URI + base64.b64encode(stream.getvalue()).decode()


def _shown(grid: Grid, left: int) -> tuple[Shown, int]:
    kept = grid.rows[:MOST_ROWS]
    width = min(MOST_COLUMNS, max((len(row.cells) for row in kept), default=0))
    columns = tuple(shorten(c, LONGEST_LABEL) for c in grid.columns[:width])
    rows, used, skipped = [], 0, sum(len(row.cells) for row in grid.rows[MOST_ROWS:])
    for row in kept:
        label, cells = shorten(row.label, LONGEST_LABEL), []
        for i, uri in enumerate(row.cells[:width]):
            fits = len(uri) > LONGEST or used + len(uri) <= left  # what is too long alone says so in its own cell
            skipped += not fits
            cell = _cell(uri if fits else "", label, _place(columns, i, len(row.cells)))
            used += len(cell.uri)
            cells.append(cell)
        skipped += len(row.cells) - len(cells)
        rows.append((label, (*cells, *[Cell("", "")] * (width - len(cells)))))
    notes = [grid.note] if grid.note else []
    notes += [f"{thousands(skipped)} more pictures stand in the record."] if skipped else []
    return Shown(grid.title, columns, tuple(rows), tuple(notes)), used


def _place(columns: Sequence[str], i: int, n: int) -> str:
    """What tells one picture of a row from the next: the column's caption, or its number."""
    if i < len(columns) and columns[i]:
        return columns[i]
    return f"picture {i + 1} of {n}" if n > 1 else ""


def _cell(uri: str, label: str, place: str) -> Cell:
    if not uri:
        return Cell("", "")
    side = side_of(uri)
    if side is None:
        return Cell("", "", text=f"not a small PNG picture: {shorten(uri, 40)}")
    return Cell(uri, ", ".join(part for part in (label, place) if part) or "picture", side <= COARSE_SIDE)


def side_of(uri: Any) -> int | None:
    """The longer side in pixels of a PNG file as a data URI; None for everything else.

    >>> side_of("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAQCAIAAAA=")
    16
    >>> side_of("data:image/svg+xml;base64,iVBORw0KGgo="), side_of("javascript:alert(1)"), side_of("x\\n")
    (None, None, None)
    """
    found = PNG.fullmatch(uri) if len(uri) <= LONGEST else None
    if found is None or len(found[1]) % 4 or len(found[1]) < 32:
        return None
    head = base64.b64decode(found[1][:32])  # 24 bytes: signature, chunk length, "IHDR", width, height
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    fits = head[:8] == SIGNATURE and head[12:16] == HEADER and 1 <= min(width, height)
    return max(width, height) if fits and max(width, height) <= LARGEST_SIDE else None
