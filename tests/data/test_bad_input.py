"""Every way a file can be wrong: one line, with the path and the place, and never a word of a record."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.core.errors import BadInput, RasuraError
from rasura.data import _fields, _json, _plain_text, _source, _tables
from rasura.data.readers import read_samples

SECRET = "Zbigniew Wachowski lives at 17 Elm Row"


def row(**fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


GOOD = row(id="a", text=SECRET)
BROKEN_UTF8 = GOOD + SECRET.encode() + b"\xff\n"

# name, contents, what the message must say after the path
CASES: list[tuple[str, bytes, str]] = [
    ("a.jsonl", b"", "the file is empty"),
    ("a.jsonl", b"\n \n\n", "no records in it"),
    ("a.json", b"[]", "no records in it"),
    ("a.csv", b"id,text\n", "no records in it"),
    ("a.jsonl.gz", gzip.compress(b""), "no records in it"),
    ("a.jsonl", row(id=1, txt=SECRET), "line 1: no field 'text'; did you mean 'txt'? there are: id, txt"),
    ("a.jsonl", GOOD + b"\n" + row(id="b", **{SECRET: 1}), "line 3: no field 'text'; there are: id, 1 more"),
    ("a.jsonl", row(**{SECRET: 1}), "line 1: no field 'text'; there are 1, and none looks like a field name"),
    ("a.jsonl", GOOD + row(id="b", text=17), "line 2, field 'text': expected text, found a number"),
    ("a.jsonl", row(text=True), "line 1, field 'text': expected text, found true or false"),
    ("a.jsonl", row(text=None), "line 1, field 'text': expected text, found null"),
    ("a.jsonl", row(text=[SECRET]), "line 1, field 'text': expected text, found a list"),
    ("a.jsonl", row(text={"text": SECRET}), "line 1, field 'text': expected text, found an object"),
    ("a.jsonl", GOOD + b'"' + SECRET.encode() + b'"\n', "line 2: expected an object with fields, found text"),
    ("a.jsonl", b"[" + GOOD.strip() + b"]", "line 1: expected an object with fields, found a list; a JSON array must be in a file named .json"),
    ("a.jsonl", GOOD + b'{"text": "' + SECRET.encode() + b"\n", "line 2: not JSON (column 10: Unterminated string)"),
    ("a.jsonl", GOOD + b'{"text": "' + SECRET.encode() + b'",7}', "line 2: not JSON (column 51: Expecting property name enclosed in double quotes)"),
    ("a.jsonl", GOOD[:-2], "line 1: not JSON (column 61: Expecting ',' delimiter)"),
    ("a.jsonl", b'{"text": ' + b"[" * 200_000, "line 1: JSON nested too deeply"),
    ("a.jsonl", b'{"text": ' + b"7" * 5000 + b"}", "line 1: JSON with a number too long to read"),
    ("a.jsonl", BROKEN_UTF8, "line 2: not UTF-8 at byte 39; save the file as UTF-8"),
    ("a.jsonl", GOOD + SECRET.encode() + b"\0\n", "line 2: NUL byte, expected text"),
    ("a.jsonl", GOOD.replace(b"7", b"\\u0000"), "line 1, field 'text': NUL character, expected text"),
    ("a.jsonl", GOOD.replace(b"7", b"\\ud800"), "line 1, field 'text': half of a surrogate pair, which is no character"),
    ("a.jsonl", b"\x7fELF\0\0" + GOOD, "line 1: a binary file (NUL byte), expected UTF-8 text"),
    ("a.jsonl", b"\x89PNG\r\n" + GOOD, "line 1: not UTF-8 at byte 1; save the file as UTF-8"),
    ("a.jsonl", gzip.compress(GOOD), "not UTF-8 text: it is compressed with gzip, so its name must end in .gz"),
    ("a.csv", b"PK\x03\x04" + GOOD, "not UTF-8 text: it is a zip archive; unpack it (a spreadsheet: save it as CSV)"),
    ("a.csv", SECRET.encode("utf-16"), "not UTF-8 text: it is UTF-16; save it as UTF-8"),
    ("a.jsonl.gz", GOOD, "damaged gzip file; get it again"),
    ("a.jsonl.gz", gzip.compress(row(text=SECRET) * 500)[:-9], "after line 500: damaged gzip file; get it again"),
    ("a.jsonl", GOOD + b"\n" + GOOD, "line 3, field 'id': the same id as line 1; ids must differ"),
    ("a.jsonl", row(id=True, text=SECRET), "line 1, field 'id': expected text or a whole number, found true or false"),
    ("a.jsonl", row(id=[SECRET], text=SECRET), "line 1, field 'id': expected text or a whole number, found a list"),
    ("a.jsonl", row(id=1.5, text=SECRET), "line 1, field 'id': expected text or a whole number, found a number"),
    ("a.jsonl", row(text="") + row(text=" \n"), "the field 'text' is empty in every record (2)"),
    ("a.jsonl", row(rasura=1, text=SECRET, start=99), "line 1, field 'start': expected a character position from 0 to 38, found a number"),
    ("a.jsonl", row(rasura=1, text=SECRET, secret=SECRET), "line 1, field 'secret': expected a character position from 0 to 38, found text"),
    ("a.jsonl", row(rasura=1, text=SECRET, secret=True), "line 1, field 'secret': expected a character position from 0 to 38, found true or false"),
    ("a.jsonl", row(rasura=1, text=SECRET, repeats=-1), "line 1, field 'repeats': expected a whole number from 0, found a number"),
    ("a.jsonl", row(rasura=1, text=SECRET, family=3), "line 1, field 'family': expected text, found a number"),
    ("a.jsonl", row(rasura=2, text=SECRET), "line 1, field 'rasura': expected 1: written by another version of this program"),
    ("a.jsonl", row(rasura=1, text=SECRET, start=38), "the field 'text' is empty in every record (1)"),
    ("a.json", b'{\n "text": "' + SECRET.encode() + b'"\n}', "line 1: not JSON (column 2: Expecting property name enclosed in double quotes); a .json file holds an array of objects, or one object a line"),
    ("a.json", b"[\n" + GOOD.strip() + b",\n{text}]", "not JSON (line 3, column 2: Expecting property name enclosed in double quotes)"),
    ("a.json", b'["' + SECRET.encode() + b'"]', "record 1: expected an object with fields, found text"),
    ("a.json", b"17", "expected an array of objects, found a number"),
    ("a.json", b"[" + GOOD + b"," + row(text=3) + b"]", "record 2, field 'text': expected text, found a number"),
    ("a.csv", b"id,txt\n1," + SECRET.encode(), "line 2: no field 'text'; did you mean 'txt'? there are: id, txt"),
    ("a.csv", SECRET.encode() + b"\nmore\n", "line 2: no field 'text'; there are 1, and none looks like a field name"),
    ("a.csv", b"id;text\n1;" + SECRET.encode(), "line 1: the cells look separated by semicolons; save with commas (.csv) or tabs (.tsv)"),
    ("a.csv", b"text,a,text\nx,y,z", "line 1: columns 1 and 3 have the same name; the first line must name the columns"),
    ("a.csv", b"id,text\n1,x\n2,a, " + SECRET.encode(), "line 3: 3 cells, the header names 2"),
    ("a.csv", b'id,text\n1,"a\n\nb"\n2,"' + SECRET.encode() + b"\n3,x", "line 5: a quotation mark opened here is never closed"),
    ("a.csv", b'id,text\n1,"' + SECRET.encode() + b'" x', 'line 2: text after a closing quotation mark; a cell with quotation marks must be quoted, and they doubled ("")'),
    ("a.csv", b"id,text\r1," + SECRET.encode() + b"\r", 'line 1: a bare carriage return outside quotation marks; save the file with "\\n" line ends'),
    ("a.tsv", b"id\ttext\n1\tx\n1\t" + SECRET.encode(), "line 3, field 'id': the same id as line 2; ids must differ"),
    ("a.parquet", GOOD, "not a readable Parquet file (ArrowInvalid)"),
    ("a.txt", b"\0" + SECRET.encode(), "a binary file (NUL byte), expected UTF-8 text"),
    ("a.txt", SECRET.encode() + b"\xff", "not UTF-8 at byte 39; save the file as UTF-8"),
    ("a.txt", b" \n", "the field 'text' is empty in every record (1)"),
    ("a.xlsx", GOOD, "unknown format '.xlsx'; known are .jsonl, .ndjson, .json, .csv, .tsv, .txt, .parquet, .pq, all but Parquet also with .gz"),
    ("members", GOOD, "the name does not say the format; known are .jsonl, .ndjson, .json, .csv, .tsv, .txt, .parquet, .pq, all but Parquet also with .gz"),
]  # fmt: skip


def message(path: Path, **options: object) -> str:
    """The one line, checked for what every message must keep to."""
    with pytest.raises(RasuraError) as caught:
        read_samples(path, **options)
    text = str(caught.value)
    assert type(caught.value) is BadInput and caught.value.__cause__ is None
    assert text.isprintable() and str(path) in text
    assert not any(word in text.replace(str(path), "") for word in SECRET.split() if len(word) > 3)
    return text


@pytest.mark.parametrize(("name", "contents", "said"), CASES, ids=[c[2][:40] for c in CASES])
def test_message(tmp_path: Path, name: str, contents: bytes, said: str):
    (tmp_path / name).write_bytes(contents)
    assert message(tmp_path / name) == f"{tmp_path / name}: {said}"


def test_options(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(row(text=SECRET, prompt=3, copies="many", half=2.5))
    assert message(path, prompt_field="prompt").endswith("line 1, field 'prompt': expected text, found a number")
    assert message(path, prompt_field="promt").endswith("did you mean 'prompt'? there are: text, prompt, copies, half")
    assert message(path, repeats_field="copies").endswith("field 'copies': expected a whole number from 0, found text")
    assert message(path, repeats_field="half").endswith("field 'half': expected a whole number from 0, found a number")
    assert message(path, text_field="te\nxt\x1b[31m").endswith(
        "no field 'te\\nxt\\x1b[31m'; there are: text, prompt, copies, half"
    )
    with pytest.raises(BadInput, match="limit: expected a whole number from 1, found 0"):
        read_samples(path, limit=0)


def test_many_fields_are_cut(tmp_path: Path):
    (tmp_path / "a.jsonl").write_bytes(row(**{f"column_{i}": 1 for i in range(40)}))
    assert message(tmp_path / "a.jsonl").endswith("column_11, 28 more")


def test_places_that_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert message(tmp_path / "none.jsonl").endswith("no such file or folder")
    assert message(tmp_path).endswith(
        "a folder without .txt files directly inside; name a file, or the folder that holds them"
    )
    assert message(Path("/dev/null")) == "/dev/null: not a regular file"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for typed in (
        "./members",
        "members.jsonl",
        "none/members.csv",
        "data/members",
        "data/members:train",
        "a b",
        "/x",
        "a/b/c",
    ):
        with pytest.raises(BadInput, match="no such file or folder") as caught:
            read_samples(typed)
        assert typed in str(caught.value)
    with pytest.raises(BadInput, match=r"^a\\x00\\nb: no such file"):
        read_samples("a\0\nb")
    with pytest.raises(BadInput, match="cannot be read") as caught:
        read_samples("x" * 5000)
    assert len(str(caught.value)) < 500


def test_bad_files_inside_a_folder_are_named(tmp_path: Path):
    (tmp_path / "a.txt").write_text("fine")
    (tmp_path / "b.txt").write_bytes(SECRET.encode() + b"\xff")
    assert message(tmp_path / "b.txt") in message(tmp_path)
    (tmp_path / "b.txt").rename(tmp_path / "b.bak")
    (tmp_path / "a.TXT").write_text("again")
    assert message(tmp_path).endswith("field 'id': the same id as a.TXT; ids must differ")


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Opening fails (the tests may run as root, so permissions cannot be used)."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD)
    monkeypatch.setattr(Path, "open", lambda *a, **k: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    assert message(path).endswith("a.jsonl: cannot be read (Permission denied)")


def test_endless_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A line without an end stops the reading at the limit, in every format, and never fills the memory."""
    for module in (_source, _fields, _tables, _plain_text):
        monkeypatch.setattr(module, "RECORD_LIMIT", 1_000)
    monkeypatch.setattr(_json, "ARRAY_LIMIT", 3_000)
    long = SECRET * 40
    pyarrow.parquet.write_table(pyarrow.table({"text": [long]}), tmp_path / "a.parquet")
    for name, contents, said in (
        ("a.jsonl", GOOD + row(text=long), "line 2: longer than 0 MB; a record must be shorter"),
        ("a.jsonl.gz", gzip.compress(GOOD + row(text=long)), "line 2: longer than 0 MB; a record must be shorter"),
        ("a.csv", b"text\n" + long.encode(), "line 2: longer than 0 MB; a record must be shorter"),
        (
            "a.tsv",
            b'text\n"' + (SECRET + "\n").encode() * 40,
            "line 2: a cell is longer than 0 MB; is a quotation mark left open?",
        ),
        ("a.txt", long.encode(), "larger than 0 MB; split it into records"),
        ("a.json", b"[" + row(text=long) + b"]", "record 1, field 'text': longer than 0 million characters"),
        (
            "a.json",
            b"[" + row(text=long * 3) + b"]",
            "larger than 0 MB; write one object a line and name the file .jsonl",
        ),
    ):
        (tmp_path / name).write_bytes(contents)
        assert message(tmp_path / name).endswith(said)
    assert message(tmp_path / "a.parquet").endswith("row 1, field 'text': longer than 0 million characters")


def test_parquet(tmp_path: Path):
    """Columns of another type, bytes that are no text, and pages that were overwritten."""
    path = tmp_path / "a.parquet"
    offsets, data = b"\0\0\0\0\2\0\0\0\4\0\0\0\6\0\0\0", b"ok\xff\xfeok"
    broken = pyarrow.Array.from_buffers(
        pyarrow.string(), 3, [None, pyarrow.py_buffer(offsets), pyarrow.py_buffer(data)]
    )
    pyarrow.parquet.write_table(pyarrow.table({"text": broken}), path)
    assert message(path).endswith("row 2: not UTF-8; write the column as UTF-8 text")
    pyarrow.parquet.write_table(pyarrow.table({"text": [SECRET.encode()], "n": [1]}), path)
    assert message(path).endswith("row 1, field 'text': expected text, found bytes")
    assert message(path, text_field="n").endswith("row 1, field 'n': expected text, found a number")
    assert message(path, text_field="txt").endswith("row 1: no field 'txt'; did you mean 'text'? there are: text, n")
    pyarrow.parquet.write_table(pyarrow.table({"text": [SECRET]}), path)
    raw = bytearray(path.read_bytes())
    raw[4:40] = b"\xff" * 36
    path.write_bytes(raw)
    assert "a.parquet: damaged Parquet file (" in message(path)


WORD = st.from_regex(r"[a-z]{4}[A-Z]{4}", fullmatch=True)
BREAK: dict[str, Callable[[bytes, int], bytes]] = {
    "cut": lambda raw, at: raw[:at],
    "byte": lambda raw, at: raw[:at] + b"\xfe" + raw[at:],
    "quote": lambda raw, at: raw[:at] + b'"' + raw[at:],
    "brace": lambda raw, at: raw[:at] + b"}" + raw[at:],
    "null": lambda raw, at: raw[:at] + b"\0" + raw[at:],
    "line": lambda raw, at: raw[:at] + b"\n" + raw[at:],
}


@settings(max_examples=150, deadline=None)
@given(
    WORD,
    st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv", "a.txt"]),
    st.sampled_from(sorted(BREAK)),
    st.integers(0, 60),
)
def test_damage_anywhere_never_leaks(word: str, name: str, damage: str, at: int):
    """Whatever is done to a file whose records repeat one word, the error is one line without that word."""
    text = f"{word} {word}"
    rows = {
        "a.jsonl": row(id=1, text=text) + row(id=2, text=text),
        "a.csv": f'id,text\n1,"{text}"\n2,{text}\n'.encode(),
    }
    rows |= {
        "a.json": b"[" + row(text=text) + b"," + row(text=text) + b"]",
        "a.tsv": rows["a.csv"].replace(b",", b"\t"),
        "a.txt": text.encode(),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(BREAK[damage](rows[name], at))
        try:
            read_samples(path)
        except BadInput as error:
            assert str(error).isprintable() and str(path) in str(error)
            assert word not in str(error).replace(str(path), "")
