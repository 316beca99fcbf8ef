"""JSON lines and JSON arrays as rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ._source import Row, Rows, bad, first_character, lines, whole

ARRAY_LIMIT = 10**9  # bytes; an array is parsed in one piece, JSON lines are not


def jsonl_rows(path: Path, hint: str = "") -> Rows:
    """One object a line; blank lines are skipped and counted."""
    for number, line in lines(path):
        if not line.strip():
            continue
        where = f"line {number}"
        if number == 1 and line.lstrip().startswith("["):
            hint = hint or "; a JSON array must be in a file named .json"
        yield _row(path, where, parse(path, where, line.rstrip("\r\n"), hint), hint)


def json_rows(path: Path) -> Rows:
    """An array of objects; a .json file that starts with an object is read as JSON lines."""
    if first_character(path) == "{":
        yield from jsonl_rows(path, hint="; a .json file holds an array of objects, or one object a line")
        return
    text = whole(path, ARRAY_LIMIT, "write one object a line and name the file .jsonl")
    if not text.strip():
        return
    items = parse(path, "", text)
    if not isinstance(items, list):
        raise bad(path, "", f"expected an array of objects, found {kind(items)}")
    for number, item in enumerate(items, start=1):
        yield _row(path, f"record {number}", item)


def parse(path: Path, where: str, text: str, hint: str = "") -> Any:
    """JSON, or a message with the place and without a word of the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = error.msg.split(":")[0].removesuffix(" at").removesuffix(" starting")
        place = f"column {error.colno}" if where else f"line {error.lineno}, column {error.colno}"
        raise bad(path, where, f"not JSON ({place}: {problem}){hint}") from None
    except RecursionError:
        raise bad(path, where, "JSON nested too deeply") from None
    except ValueError:  # Python refuses whole numbers of thousands of digits
        raise bad(path, where, "JSON with a number too long to read") from None


def kind(value: Any) -> str:
    """What a value is, in words, without its contents."""
    for types, words in (
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "text"),
        (list, "a list"),
        (dict, "an object"),
        ((bytes, bytearray), "bytes"),
    ):
        if isinstance(value, types):
            return words
    return "null" if value is None else f"a {type(value).__name__}"


def _row(path: Path, where: str, value: Any, hint: str = "") -> Row:
    if not isinstance(value, dict):
        raise bad(path, where, f"expected an object with fields, found {kind(value)}{hint}")
    return Row.of(path, where, value)
