"""A shard's bytes, sealed: what was not written by this version under this name is never read as data.

The seal is one entry of the Parquet file's metadata, "rasura shard <format> " and 64 hexadecimal digits: SHA-256 over the
shard's key and the whole file with the digits as zeros. A shard stays a Parquet file that any tool reads, and no byte of
a damaged one reaches the Parquet decoder.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

FORMAT = 1  # raise when shards are laid out differently: those of another format are computed again
NAME = b"rasura"
START = b"rasura shard %d " % FORMAT
BLANK = b"0" * 64


class Broken(ValueError):
    """These bytes are not what was written; the message says how that shows."""


def sealed(table: pyarrow.Table, key: str) -> bytes:
    """The table as a Parquet file with its seal."""
    import pyarrow.parquet

    stream = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata({NAME: START + BLANK}), stream, compression="zstd")
    content = stream.getvalue()
    at = content.rindex(START) + len(START)
    return content[:at] + _digest(key, content) + content[at + len(BLANK) :]


def opened(content: bytes, key: str) -> pyarrow.Table:
    """The table of a sealed file. Raises Broken when any byte, or the key, is another than when it was written."""
    import pyarrow
    import pyarrow.parquet

    found = content.rfind(START)
    if found < 0:
        raise Broken("it is empty" if not content else "cut short, or of another version")
    at = found + len(START)
    if content[at : at + len(BLANK)] != _digest(key, content[:at] + BLANK + content[at + len(BLANK) :]):
        raise Broken("its checksum does not fit")
    return pyarrow.parquet.read_table(pyarrow.BufferReader(content))


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(b"%d %s" % (len(key.encode()), key.encode()) + content).hexdigest().encode()
