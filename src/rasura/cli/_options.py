"""Settings from the command line: ``--set min_k.k=0.3`` to a field of a method's dataclass."""

from __future__ import annotations

import dataclasses
import difflib
import sys
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..core import registry
from ..core.errors import BadInput, RasuraError
from ._field_docs import field_docs
from ._values import kind_name, read_setting, show

LONGEST_DEFAULT = 60  # characters of a default that a table shows
Texts = Mapping[str, str]


class Setting(NamedTuple):
    """One row of a method's table of settings."""

    field: str
    type: str
    default: str
    doc: str


def parse_settings(pairs: Sequence[str]) -> dict[str, dict[str, str]]:
    """``["min_k.k=0.3"]`` to ``{"min_k": {"k": "0.3"}}``. Raises BadInput for anything else and for a repetition.

    >>> parse_settings(["min_k.k=0.3", "refusal.passage=a=b. c"])
    {'min_k': {'k': '0.3'}, 'refusal': {'passage': 'a=b. c'}}
    """
    found: dict[str, dict[str, str]] = {}
    for pair in pairs:
        left, equals, value = pair.partition("=")
        method, dot, field = (part.strip() for part in left.partition("."))
        if not (equals and dot and method.isidentifier() and field.isidentifier()):
            raise BadInput(f"--set {pair}: expected METHOD.FIELD=VALUE, such as min_k.k=0.3")
        if field in found.setdefault(method, {}):
            raise BadInput(f"--set {pair}: {method}.{field} is set twice")
        found[method][field] = value
    return found


def apply_settings(family: str, name: str, settings: Texts) -> Any:
    """The method with these settings, others at their defaults. Raises UnknownMethod, BadInput."""
    return build(registry.get(family, name), settings, name)


def build(cls: type, settings: Texts, name: str) -> Any:
    """An instance of any dataclass; values out of range are refused by the class itself."""
    return _made(name, cls, read_fields(cls, settings, name))


def read_fields(cls: type, settings: Texts, name: str) -> dict[str, Any]:
    """Values by field. Raises BadInput for an unknown field and a value of the wrong kind."""
    kinds = _kinds(cls)
    for field in settings:
        if field not in kinds:
            raise BadInput(f"--set {name}.{field}: {_no_such(field, cls, name)}")
    return {field: read_setting(f"--set {name}.{field}", kinds[field], text) for field, text in settings.items()}


def with_settings(family: str, chosen: Iterable[str] | None, pairs: Sequence[str]) -> list[Any] | None:
    """Instances of the methods chosen, with their settings; None chosen means all of the family.

    Without a choice and without settings the answer is None: whoever runs them decides. Raises BadInput for a setting
    of a method that is not among them.
    """
    settings = parse_settings(pairs)
    if chosen is None and not settings:
        return None
    from .._inputs import Everything

    run = list(dict.fromkeys(registry.names(family) if chosen is None else chosen))
    for name in settings:
        if name not in run:
            raise BadInput(f"--set {name}.{next(iter(settings[name]))}: {_not_run(family, name, run)}")
    made = [apply_settings(family, name, settings.get(name, {})) for name in run]
    return Everything(made) if chosen is None else made


def treatment_settings(treatment: Any, pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Typed settings by part of a composite eraser: its objective, its selection, ``loop`` and ``finetune`` itself.

    A part is named by its method's name; an eraser that is one method has one part.
    """
    from .._erase import parts_of

    parts = parts_of(treatment)
    found = {}
    for name, settings in parse_settings(pairs).items():
        if name not in parts:
            raise BadInput(
                f"--set {name}.{next(iter(settings))}: this eraser has no part called '{name}'; {_offer(name, parts)}"
            )
        found[name] = read_fields(type(parts[name]), settings, name)
        _made(name, lambda **fields: dataclasses.replace(parts[name], **fields), found[name])  # noqa: B023
    return found


def describe(cls: type) -> list[Setting]:
    """One row a setting: field, type, default, what it does."""
    kinds = _kinds(cls)
    docs = field_docs(cls, kinds)
    return [
        Setting(
            f.name, f.type if kinds[f.name] is object else kind_name(kinds[f.name]), _default(f), docs.get(f.name, "")
        )
        for f in _fields(cls)
    ]


def method_help(family: str, name: str | None = None) -> str:
    """The methods of a family as a table, or one method with its settings."""
    from ._table import table

    if name is not None:
        cls = registry.get(family, name)
        settings = table(Setting._fields, describe(cls)) if _fields(cls) else "no settings"
        return f"{name}: {registry.summary(cls)}\n\n{settings}"
    rows = []
    for method in registry.names(family):
        cls = registry.get(family, method)
        rows.append((method, " ".join(f"{s.field}={s.default}" for s in describe(cls)), registry.summary(cls)))
    return table(("method", "settings", "what it is"), rows) if rows else f"no {family} methods"


def _fields(cls: type) -> list[dataclasses.Field[Any]]:
    return [f for f in dataclasses.fields(cls) if f.init]


def _kinds(cls: type) -> dict[str, Any]:
    return {f.name: _kind(cls, f) for f in _fields(cls)}


def _kind(cls: type, field: dataclasses.Field[Any]) -> Any:
    """The field's type; ``object`` where its annotation names what is imported for the type checker only."""
    owner = next((c for c in cls.__mro__ if field.name in c.__dict__.get("__annotations__", {})), cls)
    names = vars(sys.modules[owner.__module__]) if owner.__module__ in sys.modules else {}
    try:
        return typing.get_type_hints(types.SimpleNamespace(__annotations__={field.name: field.type}), globalns=names)[
            field.name
        ]
    except (NameError, AttributeError, TypeError):
        return object


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        text = show(field.default)
    elif field.default_factory is not dataclasses.MISSING:
        text = show(field.default_factory())
    else:
        return "(required)"
    return (text if len(text) <= LONGEST_DEFAULT else text[: LONGEST_DEFAULT - 1] + "\u2026") or "(empty)"


def _no_such(field: str, cls: type, name: str) -> str:
    settings = {f.name: f"{f.name}={_default(f)}" for f in _fields(cls)}
    if not settings:
        return f"{name} has no settings"
    close = difflib.get_close_matches(field, settings, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"no such setting; {hint}{name} has {', '.join(settings.values())}"


def _not_run(family: str, name: str, run: Sequence[str]) -> str:
    if name in registry.names(family):
        return f"{name} is not among the {family} chosen ({', '.join(run)})"
    return f"no {family} method is called '{name}'; {_offer(name, run)}"


def _offer(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"


def _made(name: str, make: Any, fields: Mapping[str, Any]) -> Any:
    try:
        return make(**fields)
    except RasuraError as error:
        raise BadInput(f"--set {name}: {error}") from None
    except (ValueError, TypeError) as error:
        raise BadInput(f"--set {name}: {error}") from None
