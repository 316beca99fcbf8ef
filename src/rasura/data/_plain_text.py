"""Text files as rows: the file is the record."""

from __future__ import annotations

from pathlib import Path

from ._source import RECORD_LIMIT, Row, Rows, bad, whole


def text_rows(path: Path, text_field: str) -> Rows:
    """One row: all of the file as it is, final line end included."""
    yield Row.of(path, "", {text_field: whole(path, RECORD_LIMIT, "split it into records")})


def text_files(folder: Path) -> list[Path]:
    """The .txt files directly inside, by name; hidden ones are left out."""
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise bad(folder, "", f"cannot be read ({error.strerror or type(error).__name__})") from None
    found = [p for p in inside if p.suffix.lower() == ".txt" and not p.name.startswith(".") and p.is_file()]
    if not found:
        raise bad(folder, "", "a folder without .txt files directly inside; name a file, or the folder that holds them")
    return found
