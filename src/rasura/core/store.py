"""Finished work, kept by content: a shard is whole or absent.

A key is a hash of what the work depends on (the observation's class, version and fields, the model's fingerprint, the
contents of the samples after the view). No name chosen by a person takes part, so one model never reads another's
results. Shards are Parquet files reached through fsspec, written under a temporary name and renamed, each with a checksum
over all of its bytes (see _seal.py): a kill loses the shard being written, and what a disk, a network or another version
has changed is set aside as KEY.parquet.damaged and computed again. Nothing is flushed to the disk by force: a power cut
can cost shards written shortly before, and none of what it leaves of them is read.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._seal import Broken, opened, sealed
from .errors import BadInput, StoreDamaged
from .types import Ragged

if TYPE_CHECKING:
    import pyarrow


log = logging.getLogger("rasura")


class Store:
    """A folder (local path or fsspec URL) of finished shards; ``None`` keeps them in memory for this process only."""

    def __init__(self, root: str | Path | None = None) -> None:
        import fsspec

        self.root = "memory://rasura-" + uuid.uuid4().hex if root is None else str(root)
        self.files, self.base = fsspec.core.url_to_fs(self.root)
        self._make_root()

    def _make_root(self) -> None:
        try:
            self.files.makedirs(self.base, exist_ok=True)
            if self.local:
                os.chmod(self.base, 0o700)
                if not os.access(self.base, os.W_OK):
                    raise PermissionError
        except (PermissionError, FileExistsError, NotADirectoryError, OSError) as error:
            raise BadInput(
                f"{self.root}: cannot write there ({error.strerror or type(error).__name__}); choose another --store"
            ) from None

    @property
    def local(self) -> bool:
        return "file" in (self.files.protocol if isinstance(self.files.protocol, tuple) else (self.files.protocol,))

    def path(self, key: str) -> str:
        return f"{self.base}/{key}"

    def has(self, key: str) -> bool:
        return self.files.exists(self._shard(key))

    def write(self, key: str, data: Any) -> None:
        """Keep a dataclass of arrays, one row a sample. Atomic: visible only when whole."""
        final = self._shard(key)
        temporary = f"{final}.{uuid.uuid4().hex}.partial"
        content = sealed(to_table(data), key)
        try:
            self.files.makedirs(final.rpartition("/")[0], exist_ok=True)
            with self.files.open(temporary, "wb") as stream:
                stream.write(content)
            self.files.mv(temporary, final)
        except OSError as error:
            with suppress(OSError):  # a full disk is not left fuller
                self.files.rm_file(temporary)
            raise BadInput(
                f"{self.root}: cannot write ({error.strerror or error}); finished work is kept: free space or choose "
                "another --store, and run again"
            ) from None

    def read(self, key: str, kind: type) -> Any:
        """Read back what ``write`` kept. Raises StoreDamaged when the shard is not what was written under this key."""
        data = self._read(key, kind)
        if isinstance(data, Broken):
            raise StoreDamaged(
                f"{self._shard(key)}: this finished shard cannot be used ({data}); delete that file and run again"
            )
        return data

    def find(self, key: str, kind: type) -> Any | None:
        """What ``write`` kept, or None when it has to be computed.

        A shard that is not what was written is set aside under another name, which is said in one line. Raises
        StoreDamaged when the file is there and the system does not let it be read.
        """
        if not self.has(key):
            return None
        data = self._read(key, kind)
        if not isinstance(data, Broken):
            return data
        path = self._shard(key)
        with suppress(FileNotFoundError):  # another process was first
            self.files.mv(path, path + ".damaged")
        log.warning("%s: damaged (%s); set aside as *.damaged and computed again", path, data)
        return None

    def _read(self, key: str, kind: type) -> Any:
        import pyarrow

        try:
            with self.files.open(self._shard(key), "rb") as stream:
                content = stream.read()
        except OSError as error:
            raise StoreDamaged(
                f"{self._shard(key)}: this finished shard cannot be read ({error.strerror or type(error).__name__}); "
                "make it readable, or delete that file and run again"
            ) from None
        try:
            return from_table(opened(content, key), kind)
        except Broken as error:
            return error
        except (ValueError, KeyError, pyarrow.ArrowException) as error:  # whole, and of another class
            return Broken(f"not a {kind.__qualname__}: {type(error).__name__}")

    def _shard(self, key: str) -> str:
        return self.path(key + ".parquet")


def to_table(data: Any) -> pyarrow.Table:
    """A dataclass of arrays as an Arrow table: 1-D arrays, Ragged rows and 2-D arrays become columns."""
    import pyarrow

    columns: dict[str, Any] = {}
    for f in dataclasses.fields(data):
        value = getattr(data, f.name)
        if isinstance(value, Ragged):
            columns[f.name] = pyarrow.LargeListArray.from_arrays(value.offsets, pyarrow.array(value.values))
        elif value.ndim == 2:
            offsets = np.arange(len(value) + 1, dtype=np.int64) * value.shape[1]
            columns[f.name] = pyarrow.LargeListArray.from_arrays(offsets, pyarrow.array(value.ravel()))
        elif value.dtype == object:
            columns[f.name] = pyarrow.array(value.tolist(), type=pyarrow.large_string())
        else:
            columns[f.name] = pyarrow.array(value)
    return pyarrow.table(columns)


def from_table(table: pyarrow.Table, kind: type) -> Any:
    """The inverse of ``to_table`` for the dataclass ``kind``; its annotations say which columns are ragged."""
    values = {}
    for f in dataclasses.fields(kind):
        column = table.column(f.name).combine_chunks()
        if "Ragged" in str(f.type):
            flat = column.flatten().to_numpy(zero_copy_only=False)
            values[f.name] = Ragged(flat, np.concatenate([[0], np.cumsum(_lengths(column))]).astype(np.int64))
        elif str(column.type).startswith("large_list"):
            values[f.name] = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
        else:
            values[f.name] = column.to_numpy(zero_copy_only=False)
    return kind(**values)


def _lengths(column: Any) -> np.ndarray:
    import pyarrow.compute

    return pyarrow.compute.list_value_length(column).to_numpy(zero_copy_only=False)


def concatenate(parts: list[Any]) -> Any:
    """Join data of the same class, sample after sample."""
    kind = type(parts[0])
    joined = {}
    for f in dataclasses.fields(kind):
        values = [getattr(part, f.name) for part in parts]
        if isinstance(values[0], Ragged):
            lengths = np.concatenate([v.lengths for v in values])
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            joined[f.name] = Ragged(np.concatenate([v.values for v in values]), offsets)
        else:
            joined[f.name] = np.concatenate(values)
    return kind(**joined)


def take(data: Any, indices: np.ndarray) -> Any:
    """The rows at ``indices``, in that order."""
    rows = {}
    for f in dataclasses.fields(data):
        value = getattr(data, f.name)
        rows[f.name] = value.take(indices) if isinstance(value, Ragged) else value[indices]
    return type(data)(**rows)
