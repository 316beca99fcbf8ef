"""Every format gives the same samples, and any text survives."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rasura.core.errors import BadInput
from rasura.core.types import Sample
from rasura.data.readers import read_samples

TEXTS = [
    "The ferry left at six.",
    'She said "no", twice;\nthen\r\nnothing.',
    "naïve \u2028 \u2029 \x85 \x1c 名前 🙂",
    "\ttab, comma\t",
]
any_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
some_texts = st.lists(any_text, min_size=1, max_size=5).filter(lambda texts: any(t.strip() for t in texts))


def delimited(texts: list[str], delimiter: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerows([("id", "text"), *((f"r{i}", t) for i, t in enumerate(texts))])
    return out.getvalue().encode()


def parquet(texts: list[str]) -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(
        pyarrow.table({"id": [f"r{i}" for i in range(len(texts))], "text": texts, "unused": [b"\xff"] * len(texts)}),
        out,
    )
    return out.getvalue()


def jsonl(texts: list[str]) -> bytes:
    return b"".join(
        json.dumps({"id": f"r{i}", "text": t}, ensure_ascii=False).encode() + b"\n" for i, t in enumerate(texts)
    )


def array(texts: list[str]) -> bytes:
    return json.dumps([{"id": f"r{i}", "text": t} for i, t in enumerate(texts)], indent=1).encode()


FILES = {
    "a.jsonl": jsonl,
    "a.ndjson": jsonl,
    "a.JSONL.gz": lambda texts: gzip.compress(jsonl(texts)),
    "a.json": array,
    "b.json": jsonl,
    "a.json.gz": lambda texts: gzip.compress(array(texts)),
    "a.csv": lambda texts: delimited(texts, ","),
    "a.csv.gz": lambda texts: gzip.compress(delimited(texts, ",")),
    "a.tsv": lambda texts: delimited(texts, "\t"),
    "a.parquet": parquet,
}


@pytest.mark.parametrize("name", FILES)
def test_formats_agree(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(FILES[name](TEXTS))
    samples = read_samples(tmp_path / name)
    assert list(samples) == [Sample(id=f"r{i}", text=t) for i, t in enumerate(TEXTS)]
    assert read_samples(str(tmp_path / name), limit=2) == samples.take([0, 1])


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=25, deadline=None)
@given(some_texts)
@example(["\r", "\n", "x"])
@example(["", '"', '""', "x"])
@example([" \ufeff", "\ufeffx"])
def test_any_text_survives(name: str, texts: list[str]):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(FILES[name](texts))
        assert read_samples(path).texts == texts


@pytest.mark.parametrize("name", [n for n in FILES if not n.endswith((".gz", ".parquet"))])
def test_byte_order_mark_is_no_text(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + FILES[name](TEXTS))
    assert read_samples(tmp_path / name).texts == TEXTS


def test_text_files(tmp_path: Path):
    """The file is the record, final line end included; a folder is read by name, and other files in it are left out."""
    for name, text in (("b.txt", "second\n"), ("a.TXT", "first"), (".hidden.txt", "no"), ("notes.md", "no")):
        (tmp_path / name).write_text(text)
    assert list(read_samples(tmp_path / "b.txt")) == [Sample(id="b-1", text="second\n")]
    samples = read_samples(tmp_path)
    assert samples.ids == ["a-1", "b-1"] and samples.texts == ["first", "second\n"]
    assert read_samples(tmp_path, limit=1).ids == ["a-1"]
    assert read_samples(tmp_path, text_field="body").texts == samples.texts


def test_ids(tmp_path: Path):
    """Text or whole numbers; what has none is numbered by row, blank lines apart."""
    path = tmp_path / "people.jsonl.gz"
    rows = [
        '{"text": "a"}',
        "",
        '{"id": null, "text": "b"}',
        '{"id": 7, "text": "c"}',
        '{"id": "x", "text": "d"}',
        '{"id": 8.0, "text": "e"}',
        '{"id": "", "text": "f"}',
    ]
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    assert read_samples(path).ids == ["people-1", "people-2", "7", "x", "8", "people-6"]
    assert read_samples(path, id_field=None).ids == [f"people-{i}" for i in range(1, 7)]
    with pytest.raises(BadInput, match="line 1: no field 'key'"):
        read_samples(path, id_field="key")


def test_prompt_is_context(tmp_path: Path):
    path = tmp_path / "qa.csv"
    path.write_text("question,answer\nWho? ,Nobody.\n,Alone\n")
    assert list(read_samples(path, text_field="answer", prompt_field="question")) == [
        Sample(id="qa-1", text="Who? Nobody.", start=5),
        Sample(id="qa-2", text="Alone"),
    ]


def test_repeats(tmp_path: Path):
    """From text (CSV), numbers, and numbers of tables with gaps; missing is unknown."""
    (tmp_path / "a.csv").write_text("text,copies\na,3\nb,\nc, 0 \n")
    assert [s.repeats for s in read_samples(tmp_path / "a.csv", repeats_field="copies")] == [3, None, 0]
    table = pyarrow.table({"text": ["a", "b", "c"], "copies": [2.0, float("nan"), None]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert [s.repeats for s in read_samples(tmp_path / "a.parquet", repeats_field="copies")] == [2, None, None]


def test_positions_are_read_from_marked_lines_only(tmp_path: Path):
    """A field called "secret" or "start" in somebody else's file means something else."""
    path, extra = (
        tmp_path / "a.jsonl",
        {"id": "a", "text": "0123456789", "start": 2, "secret": 5, "repeats": 4, "family": "f"},
    )
    path.write_text(json.dumps(extra))
    assert read_samples(path)[0] == Sample(id="a", text="0123456789")
    path.write_text(json.dumps(extra | {"rasura": 1, "q": "Q: "}))
    assert read_samples(path)[0] == Sample(id="a", text="0123456789", start=2, secret=5, repeats=4, family="f")
    shifted = read_samples(path, prompt_field="q")[0]
    assert (shifted.text, shifted.start, shifted.secret) == ("Q: 0123456789", 5, 8)
    assert read_samples(path, repeats_field="secret")[0].repeats == 5


def test_limit_stops_reading(tmp_path: Path):
    """What stands after the last record asked for is not even looked at."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "b"}\n\xff\xfe broken')
    assert read_samples(path, limit=2).texts == ["a", "b"]
    with pytest.raises(BadInput, match="line 3: not UTF-8 at byte 1"):
        read_samples(path)


def test_empty_texts_are_kept(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text('text\nx\n""\n')
    assert read_samples(path).texts == ["x", ""]


def test_csv_limit_of_the_process_is_put_back(tmp_path: Path):
    before = csv.field_size_limit()
    (tmp_path / "b.csv").write_text("text\nx\ny\n")
    read_samples(tmp_path / "b.csv", limit=1)
    (tmp_path / "a.csv").write_text("text\n" + "x" * (before + 1) + "\n")
    assert len(read_samples(tmp_path / "a.csv")[0].text) == before + 1
    assert csv.field_size_limit() == before


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.txt").write_text("x")
    assert read_samples("~/a.txt").texts == ["x"]
