"""Copies with other texts: every format comes back as it was but for the text; transcripts of training."""

from __future__ import annotations

import csv
import gzip
import json

import pytest

from rasura.core.errors import BadInput
from rasura.data.readers import read_samples
from rasura.data.rewrite import rewrite
from rasura.data.transcripts import read_transcript

TEXTS = ['He said "no",\nand left.', "plain", "Grüße\u2028"]


def files(folder):
    folder.mkdir()
    rows = [{"id": f"r{i}", "text": t, "n": i, "tags": ["a"]} for i, t in enumerate(TEXTS)]
    (folder / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (folder / "b.json").write_text(json.dumps(rows))
    with (folder / "c.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([["n", "text", "id"], *([i, t, f"r{i}"] for i, t in enumerate(TEXTS))])
    (folder / "d.jsonl.gz").write_bytes(gzip.compress((folder / "a.jsonl").read_bytes()))
    return folder


@pytest.mark.parametrize("name", ["a.jsonl", "b.json", "c.csv", "d.jsonl.gz"])
def test_formats_round_trip(name, tmp_path):
    source, out = files(tmp_path / "in") / name, tmp_path / "out"
    out.mkdir()
    before = source.read_bytes()
    new = [t + " marked." for t in TEXTS]
    (path,) = rewrite(source, new, out)
    assert path == out / name and source.read_bytes() == before
    back = read_samples(path)
    assert back.texts == new and back.ids == ["r0", "r1", "r2"]
    if name == "a.jsonl":
        assert json.loads(path.read_text().split("\n")[1])["tags"] == ["a"]


def test_a_folder_of_texts(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("b.txt", "a.txt"):
        (tmp_path / "in" / name).write_text(name)
    (tmp_path / "out").mkdir()
    written = rewrite(tmp_path / "in", ["1", "2"], tmp_path / "out")
    assert [p.name for p in written] == ["a.txt", "b.txt"] and (tmp_path / "out" / "b.txt").read_text() == "2"


def test_positions_that_no_longer_hold_are_left_out(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"rasura": 1, "id": "a", "text": "one two", "secret": 4, "family": "x"}) + "\n")
    (tmp_path / "out").mkdir()
    (path,) = rewrite(source, ["one"], tmp_path / "out")
    assert json.loads(path.read_text()) == {"rasura": 1, "id": "a", "text": "one", "family": "x"}
    assert read_samples(path)[0].secret is None


def test_nothing_is_written_over(tmp_path):
    source = files(tmp_path / "in") / "a.jsonl"
    with pytest.raises(BadInput, match="is there already"):
        rewrite(source, TEXTS, source.parent)


def test_other_formats_are_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadInput, match="copies are written"):
        rewrite(tmp_path / "a.parquet", ["x"], tmp_path)


def test_a_transcript(tmp_path):
    path = tmp_path / "order.jsonl"
    path.write_text('{"text": "a", "position": 3}\n{"text": "b", "position": 1.5}\n')
    found = read_transcript(path)
    assert (
        found.samples.texts == ["a", "b"] and found.position.tolist() == [3, 1.5] and found.block.tolist() == [-1, -1]
    )
    path.write_text('{"text": "a", "step": 3, "block": "x"}\n{"text": "b", "step": 1, "block": 7}\n')
    assert read_transcript(path).block.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("line", "message"),
    [('{"position": 1}', "field 'text'"), ('{"text": "a"}', "a number"), ('{"text": "a", "position": true}', "a number"), ('{"text": "a", "position": 1, "block": [1]}', "a name")],
)  # fmt: skip
def test_transcripts_that_are_wrong(line, message, tmp_path):
    path = tmp_path / "order.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(BadInput, match=message) as error:
        read_transcript(path)
    assert "line 1" in str(error.value) and "\n" not in str(error.value)


def test_blocks_for_all_or_none(tmp_path):
    path = tmp_path / "order.jsonl"
    path.write_text('{"text": "a", "position": 3, "block": 1}\n{"text": "b", "position": 1}\n')
    with pytest.raises(BadInput, match="some lines have a block"):
        read_transcript(path)
    with pytest.raises(BadInput, match="no such file"):
        read_transcript(tmp_path / "none.jsonl")
