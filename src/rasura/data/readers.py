"""Files, folders and data sets as samples.

Every way a file can be wrong is one BadInput line: file, place, field, what was expected. Messages never quote a
record: not its text, not its id.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ..core.errors import BadInput
from ..core.types import Sample, Samples
from ._fields import Fields
from ._hub import DataSet, data_set, hub_rows
from ._json import json_rows, jsonl_rows
from ._picture_folders import FILE_NAME, captioned, holds_pictures, metadata_of
from ._plain_text import text_files, text_rows
from ._source import Reader, Row, Rows, bad, shown
from ._tables import csv_rows, parquet_rows, tsv_rows
from .writers import write_samples

__all__ = ["read_samples", "write_samples"]

LINE_FORMATS: dict[str, Reader] = {
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".json": json_rows,
    ".csv": csv_rows,
    ".tsv": tsv_rows,
}
PARQUET = (".parquet", ".pq")
KNOWN = (*LINE_FORMATS, ".txt", *PARQUET)


def read_samples(
    source: str | Path,
    *,
    text_field: str = "text",
    prompt_field: str | None = None,
    id_field: str | None = "id",
    repeats_field: str | None = None,
    picture_field: str | None = None,
    shows_field: str | None = None,
    limit: int | None = None,
) -> Samples:
    """Records of a file, a folder of .txt files or of captioned pictures, or a Hugging Face data set, in their order.

    ``source``: .jsonl, .ndjson, .json (an array), .csv, .tsv, .txt (the file is one record), each also with .gz;
    .parquet; a folder of .txt files; else a data set as ``owner/name``, ``owner/name:split`` or
    ``hf://owner/name/config:split``, the only case that touches the network.
    ``prompt_field``: context put in front of the text and never scored: text = prompt + text, start = len(prompt).
    ``id_field``: text or whole numbers; a record without one is called "<file stem>-<row number>".
    ``repeats_field``: known copies an epoch. ``limit``: only the first records.
    ``picture_field``: path of the picture the text captions, from the folder of its file. ``shows_field``: what a judge
    should see in a picture drawn from the text. A folder with metadata.jsonl or metadata.csv holds captioned pictures
    (field ``file_name``); so does one whose pictures stand beside .txt files of the same name.

    Lines that carry ``"rasura": 1`` (see ``write_samples``) also bring ``start``, ``secret``, ``repeats``, ``family``,
    ``picture`` and ``shows``; elsewhere fields of these names are left alone, because their meaning is not known.

    A record with an empty text is kept, since a model may be asked about it and answers NaN; ``checks.count_empty``
    counts them. Raises BadInput when all are empty, when there are none, and for everything else wrong with a file.
    """
    if limit is not None and not 1 <= limit <= sys.maxsize:
        raise BadInput(f"limit: expected a whole number from 1, found {limit}")
    source = metadata_of(source)
    if picture_field is None and holds_pictures(source):
        picture_field = FILE_NAME
    fields = Fields(text_field, prompt_field, id_field, repeats_field, picture_field, shows_field)
    samples: list[Sample] = []
    places: dict[str, str] = {}
    for row, otherwise in islice(_rows(source, fields, limit), limit):
        samples.append(fields.sample(row, otherwise))
        if samples[-1].id in places:
            raise row.bad(f"the same id as {places[samples[-1].id]}; ids must differ", fields.id)
        places[samples[-1].id] = _place(row)
    _check(source, samples, fields)
    return Samples(samples)


def _rows(source: str | Path, fields: Fields, limit: int | None) -> Iterator[tuple[Row, str]]:
    """Rows with the ids they get when they have none."""
    path = _local(source)
    if isinstance(path, DataSet):
        yield from _numbered(hub_rows(path, limit), path.stem)
    elif path.is_dir() and (pairs := captioned(path, fields.text)):
        yield from _numbered(iter(pairs), path.name)
    elif path.is_dir():
        for file in text_files(path):
            yield from _numbered(text_rows(file, fields.text), _stem(file))
    else:
        yield from _numbered(_file_rows(path, fields), _stem(path))


def _numbered(rows: Rows, stem: str) -> Iterator[tuple[Row, str]]:
    for number, row in enumerate(rows, start=1):
        yield row, f"{stem}-{number}"


def _file_rows(path: Path, fields: Fields) -> Rows:
    kind = _format(path)
    if kind in LINE_FORMATS:
        return LINE_FORMATS[kind](path)
    if kind in PARQUET:
        return parquet_rows(path, fields.wanted)
    if kind == ".txt":
        return text_rows(path, fields.text)
    problem = f"unknown format '{shown(kind)}'" if kind else "the name does not say the format"
    raise bad(path, "", f"{problem}; known are {', '.join(KNOWN)}, all but Parquet also with .gz")


def _local(source: str | Path) -> Path | DataSet:
    """The file or folder, or else the data set a name means. Raises BadInput when it can be neither."""
    path = Path(source).expanduser()
    try:
        if not str(source).startswith("hf://") and path.exists():
            if not path.is_dir() and not path.is_file():
                raise bad(path, "", "not a regular file")
            if path.is_file() and not path.stat().st_size:
                raise bad(path, "", "the file is empty")
            return path
    except OSError as error:
        raise bad(source, "", f"cannot be read ({error.strerror or type(error).__name__})") from None
    found = data_set(source) if isinstance(source, str) else None
    if found is None or (not found.explicit and (_format(Path(found.name)) in KNOWN or _beside_files(found.name))):
        raise bad(source, "", "no such file or folder")
    return found


def _beside_files(name: str) -> bool:
    """Whether the first part of "data/members" is a folder here: then a mistyped path is meant, not the network."""
    return "/" in name and Path(name).parent.is_dir()


def _format(path: Path) -> str:
    """The suffix that says what is inside, without .gz."""
    name = path.name.lower()
    return Path(name.removesuffix(".gz")).suffix


def _stem(path: Path) -> str:
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return Path(name).stem


def _check(source: str | Path, samples: list[Sample], fields: Fields) -> None:
    """What only shows when all records are known."""
    if not samples:
        raise bad(source, "", "no records in it")
    if not any(s.text[s.start :].strip() for s in samples):
        raise bad(source, "", f"the field '{shown(fields.text)}' is empty in every record ({len(samples)})")


def _place(row: Row) -> str:
    return row.where or shown(Path(row.source).name)
