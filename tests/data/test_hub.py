"""Names of data sets: what they mean, and what the library is asked. No test touches the network."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from rasura.core.errors import BadInput, MissingDependency
from rasura.core.types import Sample
from rasura.data._hub import DataSet, data_set
from rasura.data.readers import read_samples

ROWS = [{"id": 3, "text": "x"}, {"id": 4, "text": "y"}]


class Library(SimpleNamespace):
    """A stand-in for ``datasets`` that notes what it was asked."""

    __version__ = "4.0.0"

    def __init__(self, answer: Any) -> None:
        super().__init__(answer=answer, asked=[])

    def load_dataset(self, *names: Any, **options: Any) -> Any:
        self.asked.append((names, options))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    stand_in = Library(ROWS)
    monkeypatch.setitem(sys.modules, "datasets", stand_in)
    return stand_in


@pytest.mark.parametrize(
    ("source", "means"),
    [
        ("imdb", ("imdb", None, None)),
        ("owner/name", ("owner/name", None, None)),
        ("owner/name:test", ("owner/name", None, "test")),
        ("owner/name:train[:10%]+test", ("owner/name", None, "train[:10%]+test")),
        ("hf://owner/name", ("owner/name", None, None)),
        ("hf://owner/name:test", ("owner/name", None, "test")),
        ("hf://owner/name/config-1.0:test", ("owner/name", "config-1.0", "test")),
        ("a b", None),
        ("a/b/c", None),
        ("/a", None),
        ("owner/name:", None),
    ],
)
def test_names(source: str, means: tuple[str, str | None, str | None] | None):
    assert data_set(source) == (None if means is None else DataSet(source, *means))


def test_reading(library: Library):
    assert list(read_samples("hf://owner/name/config:test")) == [Sample("3", "x"), Sample("4", "y")]
    assert read_samples("owner/name:test", id_field=None, limit=1).ids == ["name-1"]
    assert library.asked == [
        (("owner/name", "config"), {"split": "test", "streaming": False}),
        (("owner/name", None), {"split": "test", "streaming": True}),
    ]


def test_splits(library: Library):
    """The only split is taken; of several one must be named."""
    library.answer = {"train": ROWS}
    assert read_samples("owner/name").texts == ["x", "y"]
    library.answer = {"train": ROWS, "test": ROWS}
    with pytest.raises(BadInput, match="^owner/name: name one of its splits: owner/name:train, owner/name:test$"):
        read_samples("owner/name")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ValueError("Unknown split \"a\".\n Should be one of ['train']."),
            "Unknown split \"a\". Should be one of ['train'].",
        ),
        (ValueError("Zbigniew is not a number"), "ValueError; check the name, the split and the network"),
        (ConnectionError("tried\nagain"), "ConnectionError; check the name, the split and the network"),
    ],
)
def test_failures_to_load(library: Library, error: Exception, said: str):
    library.answer = error
    with pytest.raises(BadInput) as caught:
        read_samples("owner/name:a")
    assert str(caught.value) == f"owner/name:a: no such file, and not loadable as a data set ({said})"


def test_failures_on_the_way(library: Library):
    def rows():
        yield ROWS[0]
        raise RuntimeError("Zbigniew")

    library.answer = rows()
    with pytest.raises(BadInput, match="^owner/name: after row 1: cannot be read .RuntimeError.$"):
        read_samples("owner/name")
    library.answer = [{"txt": "Zbigniew"}]
    with pytest.raises(BadInput, match="^owner/name: row 1: no field 'text'; did you mean 'txt'. there are: txt$"):
        read_samples("owner/name")


def test_library_missing_or_too_old(library: Library, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Library, "__version__", "3.6.0")
    with pytest.raises(
        MissingDependency, match=r"owner/name: no such file, and .* needs datasets>=4 .*pip install 'rasura\[data\]'"
    ):
        read_samples("owner/name")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependency, match=r"Hugging Face data set needs datasets: pip install 'rasura\[data\]'"):
        read_samples("owner/name")
    assert library.asked == []


def test_mistyped_paths_never_ask_the_hub(library: Library, tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for source in ("members.jsonl", "data/members", "./members", tmp_path / "owner"):
        with pytest.raises(BadInput, match="no such file or folder"):
            read_samples(source)
    with pytest.raises(BadInput, match="expected hf://owner/name"):
        read_samples("hf://a b")
    assert library.asked == []
    assert read_samples("hf://data/members").texts == ["x", "y"]
