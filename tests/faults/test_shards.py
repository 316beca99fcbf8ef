"""A finished shard that something outside this program has changed is never read as data: it is computed again."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

import _tiny
from rasura.core import _seal
from rasura.core.errors import StoreDamaged
from rasura.core.store import Store, to_table
from rasura.core.types import Ask, Ragged
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenStatistics

KEY = "observations/Thing-1/model/samples"


@dataclass(frozen=True)
class Data:
    rows: Ragged
    count: np.ndarray  # (n,) int64
    reason: np.ndarray  # (n,) str


@dataclass(frozen=True)
class Other:
    score: np.ndarray


def data() -> Data:
    reasons = np.array(["", "rasura shard 1 " + "0" * 64, "é"], dtype=object)  # a text that looks like the seal
    return Data(Ragged.of([[1.5, np.nan], [], [-np.inf]], np.float32), np.array([1, 2, 3]), reasons)


CONTENT = _seal.sealed(to_table(data()), KEY)


def holding(content: bytes, folder) -> Store:
    store = Store(folder)
    place = folder / f"{KEY}.parquet"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return store


def test_the_whole_shard_is_read_and_is_plain_parquet(tmp_path):
    store = holding(CONTENT, tmp_path)
    assert store.find(KEY, Data).reason.tolist() == data().reason.tolist()
    assert pyarrow.parquet.read_table(tmp_path / f"{KEY}.parquet").column("count").to_pylist() == [1, 2, 3]


def test_every_byte_is_under_the_seal():
    for at in range(len(CONTENT)):
        with pytest.raises(_seal.Broken):
            _seal.opened(CONTENT[:at] + bytes([CONTENT[at] ^ 1]) + CONTENT[at + 1 :], KEY)


@given(
    st.integers(0, len(CONTENT)),
    st.integers(0, len(CONTENT)),
    st.one_of(st.binary(max_size=40), st.sampled_from([CONTENT, CONTENT[-99:], _seal.START + _seal.BLANK])),
)
def test_no_other_bytes_pass(start, end, put):
    other = CONTENT[: min(start, end)] + put + CONTENT[max(start, end) :]
    if other != CONTENT:
        with pytest.raises(_seal.Broken):
            _seal.opened(other, KEY)


def unsealed() -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(to_table(data()), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def of_another_format() -> bytes:
    return CONTENT.replace(b"rasura shard 1 ", b"rasura shard 2 ")


BROKEN = {
    "emptied": b"",
    "cut short": CONTENT[: len(CONTENT) // 2],
    "without its last byte": CONTENT[:-1],
    "a bit flipped in the values": CONTENT[:40] + bytes([CONTENT[40] ^ 16]) + CONTENT[41:],
    "of the version before there were seals": unsealed(),
    "of a later format": of_another_format(),
    "another shard under its name": _seal.sealed(to_table(data()), KEY + "2"),
    "of another class": _seal.sealed(to_table(Other(np.zeros(3))), KEY),
    "not Parquet at all": b"\0" * 4096,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_it_is_set_aside_and_said_in_one_line(content, tmp_path, caplog):
    store = holding(content, tmp_path)
    with pytest.raises(StoreDamaged, match="delete that file"):
        store.read(KEY, Data)
    assert store.find(KEY, Data) is None and not store.has(KEY)
    assert (tmp_path / f"{KEY}.parquet.damaged").read_bytes() == content
    (line,) = [r.getMessage() for r in caplog.records]
    assert "computed again" in line and "\n" not in line
    store.write(KEY, data())
    assert (tmp_path / f"{KEY}.parquet").read_bytes() == CONTENT


@pytest.mark.parametrize("how", ["truncated", "emptied", "flipped"])
def test_a_pass_computes_only_the_damaged_shard_again(how, tmp_path, caplog):
    samples = _tiny.planted().members.take(range(12))
    model, ask = _tiny.neox(), Ask(TokenStatistics())
    first = Engine(Store(tmp_path), shard=4)
    straight = first.observe(ask, {"target": model}, samples)
    shards = {p: p.read_bytes() for p in sorted(tmp_path.rglob("*.parquet"))}
    victim, whole = list(shards.items())[1]
    flipped = whole[:200] + bytes([whole[200] ^ 4]) + whole[201:]
    victim.write_bytes({"truncated": whole[:-30], "emptied": b"", "flipped": flipped}[how])
    again = Engine(Store(tmp_path), shard=4)
    with caplog.at_level(logging.WARNING, "rasura"):
        data = again.observe(ask, {"target": model}, samples)
    assert np.array_equal(data.log_probability.values, straight.log_probability.values)
    assert again.passes[0].computed == 4 and len(caplog.records) == 1
    assert {p: p.read_bytes() for p in sorted(tmp_path.rglob("*.parquet"))} == shards


def test_a_shard_the_system_does_not_give_is_not_called_damaged(tmp_path):
    """A folder in its place stands for whatever the system answers other than bytes."""
    (tmp_path / f"{KEY}.parquet").mkdir(parents=True)
    with pytest.raises(StoreDamaged, match="cannot be read"):
        Store(tmp_path).find(KEY, Data)
    assert (tmp_path / f"{KEY}.parquet").is_dir()
