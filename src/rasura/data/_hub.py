"""Data sets of the Hugging Face hub as rows. The only reader that may touch the network, and only for such a name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import BadInput, MissingDependency
from ._source import Row, Rows, bad

NAME = re.compile(r"(?P<name>\w[\w.-]*(/\w[\w.-]*)?)(:(?P<split>\w[\w.%\[\]:+-]*))?")
LONG_NAME = re.compile(r"hf://(?P<name>[\w.-]+(/[\w.-]+)?)(/(?P<config>[\w.-]+))?(:(?P<split>\w[\w.%\[\]:+-]*))?")
OLDEST = 4  # from this version on the library runs no code that comes with a data set


@dataclass(frozen=True)
class DataSet:
    """Which part of which data set."""

    source: str
    name: str
    config: str | None = None
    split: str | None = None

    @property
    def explicit(self) -> bool:
        """Whether it can only mean the hub."""
        return self.source.startswith("hf://")

    @property
    def stem(self) -> str:
        return self.name.rpartition("/")[2]


def data_set(source: str) -> DataSet | None:
    """What a name means: ``name``, ``owner/name:split`` or ``hf://owner/name/config:split``; None when it is none of them.

    >>> data_set("hf://owner/name/english:test")
    DataSet(source='hf://owner/name/english:test', name='owner/name', config='english', split='test')
    >>> data_set("owner/name:train[:10%]").split
    'train[:10%]'
    """
    if source.startswith("hf://"):
        found = LONG_NAME.fullmatch(source)
        if not found:
            raise bad(source, "", "expected hf://owner/name, hf://owner/name/config or either with :split")
    else:
        found = NAME.fullmatch(source)
    return None if not found else DataSet(source, **{"config": None, **found.groupdict()})


def hub_rows(what: DataSet, limit: int | None) -> Rows:
    """Rows of the split; streamed when only the first few are wanted. Raises BadInput, MissingDependency."""
    table = _table(what, _library(what), limit)
    row = 0
    try:
        for fields in table:
            row += 1
            yield Row.of(what.source, f"row {row}", fields)
    except BadInput:
        raise
    except Exception as error:  # the library raises what its many backends raise
        raise bad(what.source, f"after row {row}" if row else "", f"cannot be read ({type(error).__name__})") from None


def _library(what: DataSet) -> Any:
    feature = f"{what.source}: no such file, and reading it as a Hugging Face data set"
    try:
        import datasets
    except ImportError:
        raise MissingDependency(feature, "datasets", "data") from None
    if int(datasets.__version__.split(".")[0]) < OLDEST:
        raise MissingDependency(feature, f"datasets>={OLDEST} (older ones run code that comes with the data)", "data")
    return datasets


def _table(what: DataSet, library: Any, limit: int | None) -> Any:
    try:
        loaded = library.load_dataset(what.name, what.config, split=what.split, streaming=limit is not None)
    except Exception as error:  # not found, no network, no such split or configuration: the person can act on each
        raise bad(what.source, "", f"no such file, and not loadable as a data set ({_reason(error)})") from None
    if not isinstance(loaded, Mapping):
        return loaded
    if len(loaded) > 1:
        raise bad(what.source, "", f"name one of its splits: {', '.join(f'{what.source}:{s}' for s in loaded)}")
    return next(iter(loaded.values()))


def _reason(error: Exception) -> str:
    """The library's words where they name a split or configuration; other messages may quote the data."""
    words = " ".join(str(error).split())
    if type(error) is ValueError and words.startswith(("Unknown split", "BuilderConfig", "Config name is missing")):
        return words[:200]
    return f"{type(error).__name__}; check the name, the split and the network"
