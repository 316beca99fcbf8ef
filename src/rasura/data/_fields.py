"""Which field of a row is what, and the checks a record passes before it becomes a sample."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import BadInput
from ..core.types import Picture, Sample
from ._json import kind
from ._source import RECORD_LIMIT, Row, shown
from .pictures import read_picture

MARK = "rasura"  # a line with this field was written by write_samples: its positions can be trusted
MARK_VERSION = 1
NAME = re.compile(r"[A-Za-z_][\w.\-]{0,31}", re.ASCII)
LISTED = 12
COMPARED = 1000  # names a wrong one is compared with; a row can have a million


@dataclass(frozen=True)
class Fields:
    """The names of the fields to read."""

    text: str = "text"
    prompt: str | None = None
    id: str | None = "id"
    repeats: str | None = None
    picture: str | None = None  # a picture's path, from the folder of the file it stands in
    shows: str | None = None

    @property
    def wanted(self) -> set[str]:
        names = (self.text, self.prompt, self.id, self.repeats, self.picture, self.shows)
        return {name for name in names if name is not None}

    def sample(self, row: Row, otherwise: str) -> Sample:
        """The row as a sample; ``otherwise`` is its id when it has none. Raises BadInput."""
        prompt = "" if self.prompt is None else text_of(row, self.prompt)
        text = prompt + text_of(row, self.text)
        extra = _marked(row, len(text) - len(prompt)) if type(row.fields.get(MARK)) is int else {}
        repeats = _count(row, self.repeats) if self.repeats is not None else extra.get("repeats")
        secret = extra.get("secret")
        return Sample(
            id=self._id(row) or otherwise,
            text=text,
            start=len(prompt) + extra.get("start", 0),
            secret=None if secret is None else len(prompt) + secret,
            repeats=repeats,
            family=extra.get("family", ""),
            picture=_picture(row, self.picture) if self.picture is not None else extra.get("picture"),
            shows=text_of(row, self.shows) if self.shows is not None else extra.get("shows", ""),
        )

    def _id(self, row: Row) -> str:
        if self.id is None or (self.id == "id" and "id" not in row.fields):
            return ""
        value = _value(row, self.id)
        if isinstance(value, str):
            return _valid(row, self.id, value)
        number = _whole(value)
        if number is None and not _missing(value):
            raise _wrong(row, self.id, "text or a whole number", value)
        return "" if number is None else str(number)


def _value(row: Row, field: str) -> Any:
    if field in row.fields:
        return row.fields[field]
    raise row.bad(f"no field '{shown(field)}'; {_offer(field, row)}")


def _offer(field: str, row: Row) -> str:
    """The fields that exist. Names that do not look like names are counted only: they may be somebody's words."""
    plain = [name for name in row.names if NAME.fullmatch(name)]
    close = difflib.get_close_matches(field[:100], plain[:COMPARED], n=1, cutoff=0.6)
    others = len(row.names) - min(len(plain), LISTED)
    listed = [*plain[:LISTED], *([f"{others} more"] if others and plain else [])]
    hint = f"did you mean '{close[0]}'? " if close else ""
    return hint + (
        f"there are: {', '.join(listed)}" if listed else f"there are {others}, and none looks like a field name"
    )


def text_of(row: Row, field: str) -> str:
    """The text in a field. Raises BadInput for anything else, and for characters no model can be given."""
    value = _value(row, field)
    if not isinstance(value, str):
        raise _wrong(row, field, "text", value)
    return _valid(row, field, value)


def _valid(row: Row, field: str, value: str) -> str:
    if "\0" in value:
        raise row.bad("NUL character, expected text", field)
    if len(value) > RECORD_LIMIT:
        raise row.bad(f"longer than {RECORD_LIMIT // 10**6} million characters", field)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise row.bad("half of a surrogate pair, which is no character", field) from None
    return value


def _count(row: Row, field: str) -> int | None:
    value = _value(row, field)
    if _missing(value):
        return None
    number = int(value) if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,18}\s*", value) else _whole(value)
    if number is None or number < 0:
        raise _wrong(row, field, "a whole number from 0", value)
    return number


def _whole(value: Any) -> int | None:
    """The whole number a value is; tables with gaps hold them as 3.0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if value == value and abs(value) < 2**63 and int(value) == value else None


def _missing(value: Any) -> bool:
    return (
        value is None or (isinstance(value, float) and value != value) or (isinstance(value, str) and not value.strip())
    )


def _marked(row: Row, length: int) -> dict[str, Any]:
    """What ``write_samples`` kept beside the text; positions count from the start of the text field."""
    if row.fields[MARK] != MARK_VERSION:
        raise row.bad(f"expected {MARK_VERSION}: written by another version of this program", MARK)
    found: dict[str, Any] = {}
    for field in ("start", "secret"):
        if row.fields.get(field) is not None:
            found[field] = _position(row, field, length)
    if row.fields.get("repeats") is not None:
        found["repeats"] = _count(row, "repeats")
    for field in ("family", "shows"):
        if row.fields.get(field) is not None:
            found[field] = text_of(row, field)
    if row.fields.get("picture") is not None:
        found["picture"] = _picture(row, "picture")
    return found


def _picture(row: Row, field: str) -> Picture:
    """The picture a row names, opened and hashed."""
    if _missing(_value(row, field)):
        raise row.bad("a caption without a picture: expected the path of one", field)
    try:
        return read_picture(Path(row.source).parent / text_of(row, field))
    except BadInput as error:
        raise row.bad(str(error), field) from None


def _position(row: Row, field: str, length: int) -> int:
    value = row.fields[field]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= length:
        raise _wrong(row, field, f"a character position from 0 to {length}", value)
    return value


def _wrong(row: Row, field: str, expected: str, value: Any) -> BadInput:
    return row.bad(f"expected {expected}, found {kind(value)}", field)
