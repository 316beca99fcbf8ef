"""Text to a setting's value by its annotation, and back.

``coerce(kind, show(value)) == value`` for int, float, bool, str, Literal, X | None and tuples of those.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

from ..core.errors import BadInput

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
NONE = "none"


class CannotRead(ValueError):
    """The text is no value of this kind; ``expected`` says what would be."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


def coerce(kind: Any, text: str) -> Any:
    """The value a text stands for. Raises CannotRead.

    >>> coerce(float, "1e-3"), coerce(int | None, "none"), coerce(tuple[int, ...], "1, 2"), coerce(bool, "yes")
    (0.001, None, (1, 2), True)
    """
    if kind in SIMPLE:
        return SIMPLE[kind](text)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _choice(args, text)
    if origin in (Union, types.UnionType):
        return _union(args, text)
    if origin is tuple:
        return _tuple(args, text)
    raise CannotRead("a value that only Python can give")


def expected(kind: Any) -> str:
    """The kind in words, for a message."""
    if kind in WORDS:
        return WORDS[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(show(a) for a in args)
    if origin in (Union, types.UnionType):
        return " or ".join(expected(a) for a in args)
    if origin is tuple and args[-1:] == (Ellipsis,):
        return f"values separated by commas, each {expected(args[0])}"
    if origin is tuple:
        return f"{len(args)} values separated by commas: {', '.join(expected(a) for a in args)}"
    return "a value that only Python can give"


def kind_name(kind: Any) -> str:
    """The kind in the narrow column of a table.

    >>> kind_name(tuple[float, ...] | None), kind_name(Literal["a", "b"])
    ('float,... | none', 'a | b')
    """
    origin, args = get_origin(kind), get_args(kind)
    if kind in (None, type(None)):
        return NONE
    if origin is Literal:
        return " | ".join(show(a) for a in args)
    if origin in (Union, types.UnionType):
        return " | ".join(kind_name(a) for a in args)
    if origin is tuple:
        return ",".join("..." if a is Ellipsis else kind_name(a) for a in args)
    return getattr(kind, "__name__", str(kind))


def show(value: Any) -> str:
    """The text that ``coerce`` turns into this value; other objects by ``str``."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return TRUE[0] if value else FALSE[0]
    if not isinstance(value, tuple):
        return str(value)
    out = io.StringIO()
    csv.writer(out).writerow([show(v) for v in value])
    text = out.getvalue().removesuffix("\r\n")
    return f"({text})" if text[:1] in ("(", "[") else text


def readable(kind: Any) -> bool:
    """Whether any text at all can give a value of this kind."""
    if kind in SIMPLE:
        return True
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(readable(a) for a in args if a is not type(None))
    return origin is Literal or (origin is tuple and all(a is Ellipsis or readable(a) for a in args))


def _integer(text: str) -> int:
    bare = text.strip()
    if re.fullmatch(r"[+-]?[0-9][0-9_]{0,30}", bare) and not bare.endswith("_") and "__" not in bare:
        return int(bare)
    if re.fullmatch(r"[0-9.]+[eE]\+?[0-9]{1,2}", bare) and _number(bare).is_integer():  # 1e4 steps
        return int(_number(bare))
    raise CannotRead(WORDS[int])


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise CannotRead(WORDS[float]) from None
    if math.isnan(value):
        raise CannotRead(WORDS[float])
    return value


def _truth(text: str) -> bool:
    bare = text.strip().lower()
    if bare in TRUE or bare in FALSE:
        return bare in TRUE
    raise CannotRead(WORDS[bool])


def _nothing(text: str) -> None:
    if text.strip().lower() != NONE:
        raise CannotRead(NONE)


def _choice(choices: tuple[Any, ...], text: str) -> Any:
    by_text = {show(c): c for c in choices}
    if text in by_text:
        return by_text[text]
    if text.strip() in by_text:
        return by_text[text.strip()]
    close = difflib.get_close_matches(text, by_text, n=1)
    raise CannotRead(expected(Literal[choices]) + (f" (did you mean {close[0]}?)" if close else ""))


def _union(kinds: tuple[Any, ...], text: str) -> Any:
    """The first kind that takes the text; "none" before all, plain text after all."""
    for kind in sorted(kinds, key=lambda k: (k is not type(None)) + 2 * (k is str)):
        try:
            return coerce(kind, text)
        except CannotRead:
            continue
    raise CannotRead(" or ".join(expected(kind) for kind in kinds))


def _tuple(kinds: tuple[Any, ...], text: str) -> tuple[Any, ...]:
    """Values separated by commas, as in CSV; brackets around them may be typed, as Python shows them."""
    bare = text.strip()
    if len(bare) > 1 and bare[0] + bare[-1] in ("()", "[]"):
        text = bare[1:-1]
    try:
        parts = next(csv.reader([text], strict=True), [])
    except csv.Error:
        raise CannotRead(expected(tuple[kinds])) from None
    if parts and not parts[-1].strip() and kinds[0] is not str:  # (1,)
        parts = parts[:-1]
    if kinds[-1:] == (Ellipsis,):
        kinds = kinds[:1] * len(parts)
    if len(kinds) != len(parts):
        raise CannotRead(expected(tuple[kinds]))
    return tuple(coerce(kind, part) for kind, part in zip(kinds, parts, strict=True))


SIMPLE: dict[Any, Callable[[str], Any]] = {
    int: _integer,
    float: _number,
    bool: _truth,
    str: str,
    type(None): _nothing,
    None: _nothing,
}
WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): NONE,
    None: NONE,
}


def read_setting(where: str, kind: Any, text: str) -> Any:
    """``coerce`` with the one line a person reads. Raises BadInput."""
    if not readable(kind):
        raise BadInput(f"{where}: cannot be set from the command line, only in Python")
    try:
        return coerce(kind, text)
    except CannotRead as error:
        shown = text if len(text) <= 40 else text[:40] + "..."
        raise BadInput(f"{where}: expected {error.expected}, found '{shown}'") from None
