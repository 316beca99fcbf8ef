"""The store: whole or absent, never wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from rasura.core import store as _store
from rasura.core.errors import BadInput, StoreDamaged
from rasura.core.store import Store
from rasura.core.types import Ragged


@dataclass(frozen=True)
class Data:
    rows: Ragged
    matrix: np.ndarray  # (n, 2)
    count: np.ndarray  # (n,) int64
    reason: np.ndarray  # (n,) str


def data() -> Data:
    return Data(
        Ragged.of([[1.5, np.nan], [], [-np.inf]], np.float32),
        np.arange(6.0).reshape(3, 2),
        np.array([1, 2, 3]),
        np.array(["", "too short", "é"], dtype=object),
    )


def same(a: Data, b: Data) -> bool:
    return (
        np.array_equal(a.rows.values, b.rows.values, equal_nan=True)
        and a.rows.values.dtype == b.rows.values.dtype
        and a.rows.offsets.tolist() == b.rows.offsets.tolist()
        and np.array_equal(a.matrix, b.matrix)
        and a.count.tolist() == b.count.tolist()
        and a.reason.tolist() == b.reason.tolist()
    )


@pytest.mark.parametrize("where", ["memory", "folder"])
def test_what_is_kept_comes_back(where: str, tmp_path):
    store = Store(None if where == "memory" else tmp_path / "store")
    assert not store.has("a/b")
    store.write("a/b", data())
    assert store.has("a/b") and same(store.read("a/b", Data), data())


def test_concatenate_and_take():
    twice = _store.concatenate([data(), data()])
    assert same(_store.take(twice, np.array([3, 4, 5])), data())
    assert _store.take(twice, np.array([2, 0])).reason.tolist() == ["é", ""]


def test_a_shard_that_was_cut_short_is_named_and_not_read(tmp_path):
    store = Store(tmp_path)
    store.write("k", data())
    path = tmp_path / "k.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreDamaged, match="k.parquet.*delete that file"):
        store.read("k", Data)


def test_a_half_written_shard_is_absent(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "k.parquet.123.partial").write_bytes(b"PAR1 half")
    assert not store.has("k")


def test_a_store_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BadInput, match="choose another --store") as error:
        Store(tmp_path / "file")
    assert "\n" not in str(error.value)


def test_the_folder_is_private(tmp_path):
    Store(tmp_path / "s")
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
