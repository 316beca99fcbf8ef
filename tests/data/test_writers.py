"""What is written is read back unchanged, and what could not be read back is not written."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.core.errors import BadInput
from rasura.core.types import Sample, Samples
from rasura.data import writers
from rasura.data.readers import read_samples, write_samples

characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])


@st.composite
def sample(draw: st.DrawFn, number: int) -> Sample:
    text = draw(st.text(characters, max_size=30))
    position = st.integers(0, len(text))
    return Sample(
        id=f"{number}{draw(st.text(characters, max_size=5))}",
        text=text,
        start=draw(position),
        secret=draw(st.none() | position),
        repeats=draw(st.none() | st.integers(0, 10**6)),
        family=draw(st.text(characters, max_size=8)),
    )


@st.composite
def collections(draw: st.DrawFn) -> Samples:
    first = Sample(id="first", text="x")  # a file whose texts are all empty is refused
    return Samples([first, *(draw(sample(i)) for i in range(draw(st.integers(0, 4))))])


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@settings(max_examples=60, deadline=None)
@given(samples=collections())
def test_round_trip(name: str, samples: Samples):
    with tempfile.TemporaryDirectory() as folder:
        path = write_samples(samples, Path(folder) / name)
        assert read_samples(path) == samples
        first = path.read_bytes()
        assert write_samples(samples, path).read_bytes() == first
        assert os.listdir(folder) == [name]


def test_lines_are_lines_for_every_reader(tmp_path: Path):
    """No character that some readers take for a line end stands bare in the file; other scripts stay readable."""
    texts = ["a\u2028b\u2029c\x85d\r\ne\x0bf\x0cg\x1ch\x1di\x1e", "名前"]
    path = write_samples(Samples.of(texts), tmp_path / "a.jsonl")
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    assert "名前" in path.read_text(encoding="utf-8") and read_samples(path).texts == texts


def test_mode_and_replacement(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text("old")
    path.chmod(0o644)
    write_samples(Samples.of(["x"]), str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == '{"rasura":1,"id":"0","text":"x"}\n'


def test_no_samples_give_an_empty_file(tmp_path: Path):
    assert write_samples(Samples(), tmp_path / "a.jsonl").read_bytes() == b""


def test_numpy_numbers_become_plain(tmp_path: Path):
    written = Samples([Sample(id="a", text="abc", start=np.int64(1), secret=np.int32(2), repeats=np.int64(3))])
    back = read_samples(write_samples(written, tmp_path / "a.jsonl"))
    assert back == written and type(back[0].start) is int


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([Sample("a", "x\0")], "sample 1, field 'text': NUL"),
        ([Sample("a", "x"), Sample("b", "\ud83d")], "sample 2, field 'text': half of a surrogate"),
        ([Sample("", "x")], "sample 1: a field"),
        ([Sample(7, "x")], "sample 1: a field"),
        ([Sample("a", "x", start=2)], "sample 1, field 'start': expected a character position from 0 to 1"),
        ([Sample("a", "x", secret=-1)], "sample 1, field 'secret'"),
        ([Sample("a", "x", repeats=-1)], "sample 1, field 'repeats'"),
        ([Sample("a", "x", family=None)], "sample 1: a field"),
        ([Sample("a", "x"), Sample("a", "y")], "two samples have the same id"),
    ],
)
def test_what_cannot_be_read_back_is_refused(tmp_path: Path, samples: list[Sample], said: str):
    path = tmp_path / "a.jsonl"
    path.write_text("old")
    with pytest.raises(BadInput, match=said) as caught:
        write_samples(samples, path)
    assert str(path) in str(caught.value)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.jsonl"]


def test_places_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(BadInput, match="written as .jsonl or .jsonl.gz"):
        write_samples(Samples(), tmp_path / "a.csv")
    with pytest.raises(BadInput, match="cannot be written"):
        write_samples(Samples(), tmp_path / "none" / "a.jsonl")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writers.os, "replace", full)
    with pytest.raises(BadInput, match="a.jsonl: cannot be written .No space left"):
        write_samples(Samples.of(["x"]), tmp_path / "a.jsonl")
    assert os.listdir(tmp_path) == []
