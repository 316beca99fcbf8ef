"""CSV, TSV and Parquet as rows."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ..core.errors import BadInput
from ._source import RECORD_LIMIT, Row, Rows, bad, lines


def csv_rows(path: Path, delimiter: str = ",") -> Rows:
    """Rows under a header line. Quoted cells may hold delimiters and line ends; every row is as long as the header."""
    table = csv.reader((line for _, line in lines(path)), delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        where = f"line {table.line_num + 1}"
        cells = _cells(path, where, table)
        if cells is None:
            return
        if not cells:
            continue
        if not header:
            header = _header(path, where, cells)
            continue
        if len(cells) != len(header):
            raise bad(path, where, f"{len(cells)} cells, the header names {len(header)}")
        yield Row(path, where, dict(zip(header, cells, strict=True)), header)


def tsv_rows(path: Path) -> Rows:
    """The same with tabs."""
    return csv_rows(path, "\t")


def parquet_rows(path: Path, wanted: Collection[str]) -> Rows:
    """Rows of a Parquet file; only the columns ``wanted`` are read."""
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = file.schema_arrow.names
    except Exception as error:  # names of columns that are not UTF-8 show as UnicodeDecodeError, others otherwise
        raise bad(path, "", f"not a readable Parquet file ({type(error).__name__})") from None
    with file:
        row = 0
        try:
            for batch in file.iter_batches(batch_size=256, columns=[n for n in names if n in wanted]):
                for fields in _records(path, row, batch):
                    row += 1
                    yield Row(path, f"row {row}", fields, names)
        except BadInput:
            raise
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise bad(
                path, f"after row {row}" if row else "", f"damaged Parquet file ({type(error).__name__})"
            ) from None


def _records(path: Path, before: int, batch: Any) -> list[dict[str, Any]]:
    try:
        return batch.to_pylist() if batch.num_columns else [{}] * batch.num_rows
    except UnicodeDecodeError:
        where = next(i for i in range(batch.num_rows) if _broken(batch.slice(i, 1)))
        raise bad(path, f"row {before + where + 1}", "not UTF-8; write the column as UTF-8 text") from None


def _broken(row: Any) -> bool:
    try:
        row.to_pylist()
    except UnicodeDecodeError:
        return True
    return False


def _cells(path: Path, where: str, table: Iterator[list[str]]) -> list[str] | None:
    """The next row, None at the end. The csv module's limit holds for the whole process, so it is put back each time."""
    before = csv.field_size_limit(RECORD_LIMIT)
    try:
        return next(table, None)
    except csv.Error as error:
        raise bad(path, where, _csv_problem(error)) from None
    finally:
        csv.field_size_limit(before)


def _header(path: Path, where: str, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    first: dict[str, int] = {}
    for i, name in enumerate(names, start=1):
        if name and first.setdefault(name, i) != i:
            raise bad(
                path, where, f"columns {first[name]} and {i} have the same name; the first line must name the columns"
            )
    other = [
        words
        for mark, words in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"))
        if len(names) == 1 and mark in names[0]
    ]
    if other:
        raise bad(path, where, f"the cells look separated by {other[0]}; save with commas (.csv) or tabs (.tsv)")
    return names


def _csv_problem(error: csv.Error) -> str:
    words = str(error)
    if "field limit" in words:
        return f"a cell is longer than {RECORD_LIMIT // 10**6} MB; is a quotation mark left open?"
    if "unexpected end" in words:
        return "a quotation mark opened here is never closed"
    if "new-line" in words:
        return 'a bare carriage return outside quotation marks; save the file with "\\n" line ends'
    return 'text after a closing quotation mark; a cell with quotation marks must be quoted, and they doubled ("")'
