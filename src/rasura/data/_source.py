"""Opening what a person pointed at: lines of text with their numbers, and messages that never quote a record."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..core.errors import BadInput

RECORD_LIMIT = 100_000_000  # bytes of one record; a longer line is a file of another kind
FREE = 32_000_000  # bytes a gzip file may unpack to whatever its own size
RATIO = 200  # times its own size it may unpack to beyond that; text takes 3 to 20, and the most there can be is 1032
PIECE = 1 << 24  # bytes read at once where all of a file is wanted
LONG_NAME = 400  # characters of a name that a message shows
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
MAGIC = {
    b"\x1f\x8b": "it is compressed with gzip, so its name must end in .gz",
    b"PAR1": "it is Parquet, so its name must end in .parquet",
    b"PK\x03\x04": "it is a zip archive; unpack it (a spreadsheet: save it as CSV)",
    b"\xff\xfe": "it is UTF-16; save it as UTF-8",
    b"\xfe\xff": "it is UTF-16; save it as UTF-8",
}


@dataclass(frozen=True)
class Row:
    """One record before it is understood: where it stands, its fields, and the names of all fields it could have."""

    source: str | Path
    where: str  # "line 7", "row 7"; empty when the file is the record
    fields: Mapping[str, Any]
    names: Sequence[str]

    @classmethod
    def of(cls, source: str | Path, where: str, fields: Mapping[str, Any]) -> Row:
        return cls(source, where, fields, tuple(fields))

    def bad(self, problem: str, field: str | None = None) -> BadInput:
        where = (self.where, "" if field is None else f"field '{shown(field)}'")
        return bad(self.source, ", ".join(part for part in where if part), problem)


Rows = Iterator[Row]
Reader = Callable[[Path], Rows]


def shown(name: str | Path) -> str:
    """A file name as a message may show it: one line of bounded length, nothing a terminal would act on.

    >>> shown("notes\\n2.txt")
    'notes\\\\n2.txt'
    """
    text = str(name)
    if len(text) > LONG_NAME:
        text = f"{text[: LONG_NAME // 2]}\u2026{text[-LONG_NAME // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def bad(source: str | Path, where: str, problem: str) -> BadInput:
    """The one line a person reads: file, place, what is wrong."""
    return BadInput(": ".join(part for part in (shown(source), where, problem) if part))


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked when its name ends in .gz. A pipe or a device could go on for ever and is refused."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise bad(path, "", "not a regular file")
    try:
        stream: Any = gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")
    except OSError as error:
        raise bad(path, "", f"cannot be read ({error.strerror or type(error).__name__})") from None
    with stream:
        yield stream


def read(path: Path, stream: IO[bytes], size: int, line: bool = True, where: str = "") -> bytes:
    """The next line, or as many as ``size`` bytes; damage becomes a message."""
    try:
        found = stream.readline(size) if line else stream.read(size)
        _check_ratio(path, stream)
        return found
    except DAMAGED:
        raise bad(path, where, "damaged gzip file; get it again") from None
    except OSError as error:
        raise bad(path, where, f"cannot be read ({error.strerror or type(error).__name__})") from None


def _check_ratio(path: Path, stream: IO[bytes]) -> None:
    """A few kilobytes of gzip can unpack to gigabytes of nothing. Raises BadInput long before they are read."""
    if not isinstance(stream, gzip.GzipFile) or (unpacked := stream.tell()) <= FREE:
        return
    if unpacked > RATIO * os.fstat(stream.fileno()).st_size:
        raise bad(path, "", f"unpacks to more than {RATIO} times its size, as no text does; unpack it by hand to look")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1, line ends kept. Only "\\n" ends a line, so U+2028 inside a text is harmless.

    Raises BadInput for a line beyond RECORD_LIMIT, bytes that are not UTF-8, NUL bytes and damaged gzip.
    """
    with opened(path) as stream:
        number = 0
        while raw := read(path, stream, RECORD_LIMIT + 1, where=f"after line {number}" if number else ""):
            number += 1
            if len(raw) > RECORD_LIMIT:
                raise bad(path, f"line {number}", f"longer than {RECORD_LIMIT // 10**6} MB; a record must be shorter")
            yield number, decoded(path, f"line {number}", raw, first=number == 1)


def whole(path: Path, limit: int, advice: str) -> str:
    """All of a file's text. Raises BadInput beyond ``limit`` bytes."""
    raw = bytearray()
    with opened(path) as stream:
        if not isinstance(stream, gzip.GzipFile) and os.fstat(stream.fileno()).st_size > limit:
            raise bad(path, "", f"larger than {limit // 10**6} MB; {advice}")
        while piece := read(path, stream, min(PIECE, limit + 1 - len(raw)), line=False):
            raw += piece
            if len(raw) > limit:
                raise bad(path, "", f"larger than {limit // 10**6} MB; {advice}")
    return decoded(path, "", bytes(raw), first=True)


def first_character(path: Path) -> str:
    """The first character that is not white space, or nothing."""
    with opened(path) as stream:
        return read(path, stream, 4096, line=False).removeprefix(b"\xef\xbb\xbf").lstrip()[:1].decode("latin-1")


def decoded(path: Path, where: str, raw: bytes, first: bool) -> str:
    """UTF-8 text without byte-order mark."""
    if first:
        for magic, advice in MAGIC.items():
            if raw.startswith(magic):
                raise bad(path, "", f"not UTF-8 text: {advice}")
        if b"\0" in raw:
            raise bad(path, where, "a binary file (NUL byte), expected UTF-8 text")
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in raw:
        raise bad(path, where, "NUL byte, expected text")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise bad(path, where, f"not UTF-8 at byte {error.start + 1}; save the file as UTF-8") from None
