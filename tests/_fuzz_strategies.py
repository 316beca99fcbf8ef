"""Inputs to throw at what reads: good files with bytes changed, and records of every shape their types allow."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import importlib.util
import io
import json
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from hypothesis import strategies as st

from rasura.core.records import RECORDS

TOKENS = (
    b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"\r", b"\r\n", b",", b"\t", b'"', b'""', b"'", b"\\", b"{", b"}",
    b"[", b"]", b":", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"0.5", b"7" * 20, b"7" * 5000, b"[" * 3000,
    b"\\ud800", b"\\u0000", b"\\u202e", "\u2028".encode(), "\U0001f600".encode(), b"\x1b]0;x\x07", b"<script>alert(1)</script>",
    b'"text"', b'"id"', b'"rasura": 1', b'"start": 3', b'"picture": "/etc/passwd"', b"../../x", b"\x1f\x8b", b"PAR1",
)  # fmt: skip
ROWS = [
    {"id": "a", "text": "the first words of a text", "n": 3},
    {"rasura": 1, "id": "b", "text": "question and answer", "start": 9, "secret": 13, "repeats": 4, "family": "f"},
    {"id": 7, "text": "zeta\u2028 \u4e2d\u6587 \U0001f600", "prompt": "p"},
]


def jsonl() -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)


def table(delimiter: str) -> bytes:
    lines = [("id", "text"), ("1", '"a ""quoted"" cell"'), ("2", '"two\nlines"'), ("3", "plain")]
    return "\n".join(delimiter.join(line) for line in lines).encode() + b"\n"


def parquet() -> bytes:
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    columns = {"id": ["a", "b"], "text": ["some words", "more words"], "repeats": [1.0, None], "blob": [b"\xff", b""]}
    pyarrow.parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue()


def picture(kind: str) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.linear_gradient("L").resize((9, 7)).convert("RGB").save(out, format=kind)
    return out.getvalue()


FILES = {
    "a.jsonl": jsonl,
    "a.jsonl.gz": lambda: gzip.compress(jsonl(), mtime=0),
    "a.json": lambda: json.dumps(ROWS).encode(),
    "a.csv": lambda: table(","),
    "a.tsv": lambda: table("\t"),
    "a.txt": lambda: b"a text\nof lines\n",
    "a.parquet": parquet,
}
PICTURES = {"a.png": lambda: picture("PNG"), "a.jpg": lambda: picture("JPEG"), "a.bmp": lambda: picture("BMP"),
            "a.webp": lambda: picture("WEBP")}  # fmt: skip


@st.composite
def broken(draw: Any, good: bytes, most: int = 6) -> bytes:
    """A good file with up to ``most`` places changed: bytes flipped, cut, doubled, moved, or replaced by a token."""
    data = bytearray(good)
    for _ in range(draw(st.integers(0, most))):
        at = draw(st.integers(0, len(data)))
        to = min(len(data), at + draw(st.sampled_from((0, 1, 1, 2, 4, 8, 64, 1000))))
        what = draw(st.integers(0, 5))
        if what == 0 and data:
            data[min(at, len(data) - 1)] ^= draw(st.integers(1, 255))
        elif what == 1:
            del data[at:to]
        elif what == 2:
            data[at:at] = data[at:to]
        elif what == 3:
            data[at:to] = draw(st.binary(max_size=8))
        elif what == 4:
            data[at:to] = draw(st.sampled_from(TOKENS))
        else:
            del data[at:]
    return bytes(data)


NASTY = ("", "NaN", "<script>alert(1)</script>", "\"'><img src=x onerror=1>", "\x1b[2J\0\u202e\ud800", "$x_1^", "{{ 1 }}", "x" * 3000,
         "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAQCAIAAAA=", "javascript:alert(1)", "0.01", "0.001", "target",
         "before", "after", "retrained", "language", "images", "lower", "higher")  # fmt: skip
words = st.one_of(st.sampled_from(NASTY), st.text(max_size=12))
numbers = st.one_of(
    st.sampled_from((0.0, 1.0, 0.5, -1.0, 1e-300, 1e308, -1e308, float("nan"), float("inf"), float("-inf"))),
    st.floats(width=64),
    st.floats(0, 1),
)
whole = st.one_of(st.integers(0, 300), st.integers(-(2**63), 2**63), st.just(10**40))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=4,
)


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Every value a type of a record's field allows."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return anything
    if origin in (Union, types.UnionType):
        return st.one_of(st.none(), of(next(a for a in args if a is not type(None))))
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{f.name: st.deferred(lambda t=hints[f.name]: of(t)) for f in dataclasses.fields(kind)})
    if origin is tuple:
        if args[-1] is Ellipsis:
            return st.lists(of(args[0]), max_size=3).map(tuple)
        return st.tuples(*map(of, args))
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(words, of(args[1]), max_size=3)
    return {str: words, int: whole, float: numbers, bool: st.booleans()}[kind]


def records() -> st.SearchStrategy[Any]:
    return st.one_of(*(of(kind) for kind in RECORDS.values()))


@functools.cache
def runs() -> tuple[str, ...]:
    """The JSON of records as runs leave them, in every kind."""
    from rasura.core.records import to_json

    made = []
    for i, file in enumerate(("_records.py", "_image_records.py")):
        spec = importlib.util.spec_from_file_location(f"fuzz_records_{i}", Path(__file__).parent / "report" / file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # its dataclasses look themselves up there
        spec.loader.exec_module(module)
        made += [to_json(record) for record in module.everything()]
    return tuple(made)


def places(body: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside plain data."""
    inside: Sequence[tuple[Any, Any]] = ()
    if isinstance(body, dict):
        inside = list(body.items())
    elif isinstance(body, list):
        inside = list(enumerate(body))
    return [path, *(way for key, value in inside for way in places(value, (*path, key)))]


VALUES = (None, True, 0, -1, 7, 10**40, 1e308, -0.5, "NaN", "Infinity", "-Infinity", "", [], {}, [[]], *NASTY)


@st.composite
def changed(draw: Any, text: str, most: int = 4) -> str:
    """A record's JSON with up to ``most`` values replaced, doubled or left out."""
    body = json.loads(text)
    for _ in range(draw(st.integers(1, most))):
        ways = [way for way in places(body) if way]
        if not ways:
            break
        *way, last = ways[draw(st.integers(0, len(ways) - 1))]
        inside = body
        for key in way:
            inside = inside[key]
        what = draw(st.integers(0, 4))
        if what == 0:
            del inside[last]
        elif what == 1 and isinstance(inside, list):
            inside.insert(last, inside[last])
        elif what == 2 and isinstance(inside, list):
            inside.clear()
        else:
            inside[last] = draw(st.sampled_from(VALUES))
    return json.dumps(body)
