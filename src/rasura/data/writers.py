"""Samples to a file that ``read_samples`` gives back unchanged."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..core.types import Sample, Samples
from ._fields import MARK, MARK_VERSION, Fields
from ._source import Row, bad

LINE_SEPARATORS = {"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}  # some readers cut lines there


def write_samples(samples: Iterable[Sample], path: str | Path) -> Path:
    """Write JSON lines (.jsonl, .jsonl.gz) that ``read_samples`` turns into equal samples.

    Every line carries ``"rasura": 1``, by which a reader knows what ``start``, ``secret`` (character positions),
    ``repeats``, ``family``, ``picture`` (a path from the file's own folder) and ``shows`` mean; those at their defaults
    are left out. The file is whole or the old one, its mode
    is 0600, and equal samples give equal bytes. No samples give an empty file.
    Raises BadInput, before anything is written, for a sample that could not be read back.
    """
    path = Path(path)
    if not path.name.lower().endswith((".jsonl", ".jsonl.gz")):
        raise bad(path, "", "samples are written as .jsonl or .jsonl.gz")
    lines = _checked(path, Samples(samples))
    body = "".join(line + "\n" for line in lines).encode("utf-8")
    return _replace(path, gzip.compress(body, mtime=0) if path.name.lower().endswith(".gz") else body)


def _checked(path: Path, samples: Samples) -> list[str]:
    if len(set(samples.ids)) < len(samples):
        raise bad(path, "", "two samples have the same id")
    return [_line(path, number, sample) for number, sample in enumerate(samples, start=1)]


def _line(path: Path, number: int, sample: Sample) -> str:
    fields = dict(_fields(sample, path.parent))
    row = Row.of(path, f"sample {number}", fields)
    if Fields().sample(row, otherwise="") != sample or not sample.id:
        raise row.bad("a field has a type or value that cannot be read back")
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    for character, escape in LINE_SEPARATORS.items():
        text = text.replace(character, escape)
    return text


def _fields(sample: Sample, folder: Path) -> Iterator[tuple[str, Any]]:
    yield MARK, MARK_VERSION
    yield "id", sample.id
    yield "text", sample.text
    for name, default in (("start", 0), ("secret", None), ("repeats", None), ("family", ""), ("shows", "")):
        value = getattr(sample, name)
        if value != default:
            yield name, value.item() if hasattr(value, "item") else value  # numpy's numbers
    if sample.picture is not None:
        place = Path(sample.picture.path)
        yield "picture", str(place.relative_to(folder) if place.is_relative_to(folder) else place.absolute())


def _replace(path: Path, body: bytes) -> Path:
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        with os.fdopen(handle, "wb") as stream:
            stream.write(body)
        os.replace(temporary, path)
    except OSError as error:
        raise bad(path, "", f"cannot be written ({error.strerror or type(error).__name__})") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return path
