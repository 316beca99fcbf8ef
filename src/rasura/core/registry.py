"""Methods are files: the family is the folder, the name is the file's name.

``names("signals")`` lists a folder without importing it; ``get("signals", "min_k")`` imports that one file. No list,
enum or configuration file exists that could go stale. Packages outside plug in through entry points of the group
``rasura.<family>`` (``rasura.erasers.objectives`` for the nested families), each naming a module with one ``@method``.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from .errors import BadMethod, UnknownMethod

FAMILIES = (
    "signals",
    "extraction",
    "metrics",
    "erasers.objectives",
    "erasers.selections",
    "erasers.edits",
    "erasers.pruning",
    "erasers.adapters",
    "guards",
    "attacks",
    "provenance",
    "testbeds",
    "claims",
)

T = TypeVar("T", bound=type)


def method(*, paper: str = "") -> Callable[[T], T]:
    """Mark the one class of a method file; says only what code cannot say, and refuses what breaks the idiom.

    ``paper``: identifier of the source, for instance "arXiv:2310.16789".
    """

    def mark(cls: T) -> T:
        where = f"{cls.__module__}.{cls.__name__}"
        if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:
            raise BadMethod(f"{where} must be a frozen dataclass: put @dataclass(frozen=True) under @method")
        for field in dataclasses.fields(cls):
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise BadMethod(f"{where}.{field.name} has no default: every setting needs the paper's default")
        if not (cls.__doc__ or "").strip() or cls.__doc__.startswith(f"{cls.__name__}("):
            raise BadMethod(f"{where} has no docstring")
        cls.paper = paper
        cls.name = cls.__module__.rpartition(".")[2]
        cls.is_method = cls.__module__
        return cls

    return mark


@cache
def names(family: str) -> tuple[str, ...]:
    """Sorted names of the methods of a family; imports no method."""
    if family not in FAMILIES:
        raise UnknownMethod("family", family, FAMILIES)
    found = {path.stem: "built in" for path in _folder(family).glob("*.py") if not path.stem.startswith("_")}
    for name, entry in _entry_points(family).items():
        if name in found:
            raise BadMethod(f"two {family} methods are called '{name}': {found[name]} and {entry.value}")
        found[name] = entry.value
    return tuple(sorted(found))


def fitting(family: str, modality: str) -> tuple[str, ...]:
    """Names of the methods of a family that work on a kind of model: "text" or "images"; imports them all.

    A method says so with ``modality``: "text" (what is meant where nothing is said), "images", or "any".
    """
    return tuple(n for n in names(family) if modality_of(get(family, n)) in (modality, "any"))


def modality_of(method: Any) -> str:
    """The kind of model a method, or its class, works on."""
    return getattr(method, "modality", "text")


def get(family: str, name: str) -> type:
    """The method's class. Raises UnknownMethod with near matches."""
    if name not in names(family):
        raise UnknownMethod(family, name, names(family))
    return _the_method(_module(family, name))


def make(family: str, method_or_name: Any, settings: dict[str, Any] | None = None) -> Any:
    """An instance from a name (with settings by field) or the instance itself."""
    if not isinstance(method_or_name, str):
        return method_or_name
    return get(family, method_or_name)(**(settings or {}))


def module_of(family: str, name: str) -> ModuleType:
    """The module of a method file, for what stands beside the class (such as ``recipe``)."""
    get(family, name)
    return _module(family, name)


def source_of(family: str, name: str) -> Path:
    """The file a method lives in."""
    if name in _entry_points(family):
        return Path(_module(family, name).__file__ or "")
    return _folder(family) / f"{name}.py"


def name_of(instance: Any) -> str:
    """The method's name; a class defined in a notebook answers with its class name."""
    return getattr(type(instance), "name", type(instance).__name__)


def summary(cls: type) -> str:
    """First line of the method's docstring."""
    return (cls.__doc__ or "").strip().splitlines()[0].rstrip(".")


def _folder(family: str) -> Path:
    return Path(__file__).parent.parent.joinpath(*family.split("."))


@cache
def _entry_points(family: str) -> dict[str, importlib.metadata.EntryPoint]:
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=f"rasura.{family}")}


def _module(family: str, name: str) -> ModuleType:
    entry = _entry_points(family).get(name)
    return importlib.import_module(entry.module if entry else f"rasura.{family}.{name}")


def _the_method(module: ModuleType) -> type:
    marked = [
        v for v in vars(module).values() if isinstance(v, type) and v.__dict__.get("is_method") == module.__name__
    ]
    if len(marked) != 1:
        raise BadMethod(f"{module.__name__} must define exactly one @method class, found {len(marked)}")
    return marked[0]
