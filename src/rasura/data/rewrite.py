"""Copies of somebody's files with other texts in them: same names, same formats, every other field as it was."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ._json import json_rows, jsonl_rows
from ._plain_text import text_files
from ._source import Row, bad
from ._tables import csv_rows, tsv_rows
from .writers import _replace

TABLES = {".csv": (csv_rows, ","), ".tsv": (tsv_rows, "\t")}
LINES = (".jsonl", ".ndjson")
POSITIONS = ("start", "secret")  # of characters in a text that is no longer the same


def rewrite(source: str | Path, texts: Sequence[str], out: Path, text_field: str = "text") -> list[Path]:
    """Write ``source`` (a folder of .txt files, a .txt, .jsonl, .ndjson, .json, .csv or .tsv file, also with .gz) anew.

    ``texts``: one for each record, in the order in which ``read_samples`` reads them. The originals are only read; the
    copies lie in the folder ``out`` under their names, whole or not at all. Character positions that this program had
    written beside a text are left out, because they no longer hold. Returns the files written. Raises BadInput for
    another format, for a file of ``out`` that is there already, and where writing fails.
    """
    source = Path(source).expanduser()
    bodies = _bodies(source, list(texts), text_field)
    taken = [name for name in bodies if (out / name).exists()]
    if taken:
        raise bad(out / taken[0], "", "is there already, and nothing is written over; choose another folder")
    return [_replace(out / name, body) for name, body in bodies.items()]


def _bodies(source: Path, texts: list[str], field: str) -> dict[str, bytes]:
    if source.is_dir():
        files = text_files(source)
        return {f.name: _packed(f, text) for f, text in zip(files, texts, strict=True)}
    kind = Path(source.name.lower().removesuffix(".gz")).suffix
    if kind == ".txt":
        return {source.name: _packed(source, texts[0])}
    if kind in TABLES:
        read, delimiter = TABLES[kind]
        return {source.name: _packed(source, _table(list(read(source)), texts, field, delimiter))}
    if kind in (*LINES, ".json"):
        rows = [
            _changed(r, t, field)
            for r, t in zip((jsonl_rows if kind in LINES else json_rows)(source), texts, strict=True)
        ]
        dumped = [json.dumps(row, ensure_ascii=False) for row in rows]
        body = "[\n" + ",\n".join(dumped) + "\n]\n" if kind == ".json" else "".join(line + "\n" for line in dumped)
        return {source.name: _packed(source, body)}
    raise bad(source, "", "copies are written of .txt, .jsonl, .ndjson, .json, .csv and .tsv files and folders of .txt")


def _changed(row: Row, text: str, field: str) -> dict[str, Any]:
    drop = POSITIONS if "rasura" in row.fields else ()
    return {k: text if k == field else v for k, v in row.fields.items() if k not in drop}


def _table(rows: list[Row], texts: list[str], field: str, delimiter: str) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerow(rows[0].names)
    for row, text in zip(rows, texts, strict=True):
        writer.writerow([text if name == field else row.fields[name] for name in row.names])
    return stream.getvalue()


def _packed(file: Path, text: str) -> bytes:
    body = text.encode("utf-8")
    return gzip.compress(body, mtime=0) if file.name.lower().endswith(".gz") else body
