"""Between records and plain JSON data; what does not fit is named by its place."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

from .errors import BadInput

LARGEST = 2**1023  # whole numbers beyond it have no float
LONE = re.compile("[\ud800-\udfff]")  # halves of surrogate pairs, which no encoding can write


def dumped(body: Any) -> str:
    """JSON text that can be written as UTF-8 whatever is in it."""
    text = json.dumps(body, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return LONE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def loaded(text: str, where: str) -> Any:
    """Plain data from JSON text. Raises BadInput; a field given twice is refused, since readers differ in which they take."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise BadInput(f"{where}: not a record: a field is given twice in one object")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise BadInput(f"{where}: not a record: nested too deeply") from None
    except json.JSONDecodeError as error:
        raise BadInput(f"{where}: not JSON ({error})") from None
    except BadInput:
        raise
    except ValueError:  # Python refuses whole numbers of thousands of digits
        raise BadInput(f"{where}: not JSON that can be read: a number is too long") from None


def encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def decode(kind: Any, value: Any, where: str) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return None if value is None else decode(next(a for a in args if a is not type(None)), value, where)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, where)
    if origin is tuple:
        _expect(isinstance(value, list), where, "a list", value)
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        _expect(len(kinds) == len(value), where, f"a list of {len(kinds)}", f"{len(value)} entries")
        return tuple(decode(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if origin is not None and issubclass(origin, Mapping):
        _expect(isinstance(value, dict), where, "an object", value)
        return {k: decode(args[1], v, f"{where}.{ascii(k[:60])[1:-1]}") for k, v in value.items()}
    return _decode_scalar(kind, value, where)


def _decode_dataclass(kind: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), where, "an object", value)
    hints, fields = typing.get_type_hints(kind), {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(value) - set(fields))
    _expect(not unknown, where, f"only fields of {kind.__name__}", unknown)
    missing = [
        n
        for n, f in fields.items()
        if n not in value and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    _expect(not missing, where, f"the fields {', '.join(missing)}", "nothing")
    return kind(**{name: decode(hints[name], v, f"{where}.{name}") for name, v in value.items()})


def _decode_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float:
        if value in ("NaN", "Infinity", "-Infinity"):
            return float(value.replace("Infinity", "inf"))
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _expect(number and (isinstance(value, float) or abs(value) < LARGEST), where, "a number", value)
        return float(value)
    if kind in (str, int, bool):
        _expect(isinstance(value, kind) and not (kind is int and isinstance(value, bool)), where, kind.__name__, value)
    return value


def _expect(condition: bool, where: str, expected: str, value: Any) -> None:
    if not condition:
        raise BadInput(f"{where}: expected {expected}, found {str(value)[:60]!r}")
