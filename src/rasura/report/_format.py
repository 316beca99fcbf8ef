"""Numbers and foreign text as the page writes them. Knows no record, no HTML."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from rasura.core.types import Estimate

TINY = 1e-4
MINUS, INFINITY, THIN_SPACE = "\u2212", "\u221e", "\u202f"
KEPT = {"\n", "\t", "\u200c", "\u200d"}  # the last two join letters in Persian, in Indic scripts and in emoji
UNASSIGNED_IN_XML = {0xFFFE, 0xFFFF}


def visible(text: str) -> str:
    """The text with every character that could hide, reorder or break something replaced by a sign one can see.

    C0 controls become their pictures, everything else invisible (C1 controls, bidirectional overrides, zero-width
    characters, line separators, lone surrogates) its code point; newline and tab stay.

    >>> visible("a\\x00b\\x1b[31mc\\u202ed")
    'a\u2400b\u241b[31mc\u27e8U+202E\u27e9d'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible_character(c) for c in text)


def _visible_character(c: str) -> str:
    code = ord(c)
    if c in KEPT:
        return c
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    hidden = unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") or (code & 0xFFFF) in UNASSIGNED_IN_XML
    return f"\u27e8U+{code:04X}\u27e9" if hidden else c


def shorten(text: str, most: int) -> str:
    """The first ``most`` characters, and how many were left out.

    >>> shorten("abcdef", 4)
    'abcd\u2026 (2 more characters)'
    """
    return text if len(text) <= most else f"{text[:most]}\u2026 ({thousands(len(text) - most)} more characters)"


def clip(text: str, most: int) -> str:
    """One short line for a plot: the middle gives way, because the ends of names tell them apart.

    >>> clip("min_k_plus_plus_with_a_long_tail", 15)
    'min_k_p\u2026ng_tail'
    """
    if len(text) > 8 * most:
        text = text[: 4 * most] + text[-4 * most :]
    text = " ".join(visible(text).split())
    kept = most - 1
    return text if len(text) <= most else f"{text[: kept - kept // 2]}\u2026{text[-(kept // 2) :]}"


def decimals(value: float, low: float, high: float) -> int:
    """Digits after the point: down to the first digit of the interval's half width, and two for small numbers.

    Half width .04 gives 2, .004 gives 3, 15 gives 0. Without a width: three significant digits of the value.

    >>> decimals(0.83, 0.79, 0.87), decimals(0.997, 0.993, 0.999), decimals(123.4, 110.0, 140.0)
    (2, 3, 0)
    """
    half = (high - low) / 2
    if math.isfinite(half) and half > 0:
        least = 2 if max(abs(value), abs(low), abs(high)) < 10 else 0
        return min(6, max(least, -math.floor(math.log10(half) + 1e-9)))
    if not math.isfinite(value) or value == 0 or value == int(value):
        return 0
    return min(6, max(0, 2 - math.floor(math.log10(abs(value)))))


def number(value: float, places: int | None = None) -> str:
    """A number with a true minus sign, thin spaces between thousands, and the sign of infinity.

    Without ``places``: three significant digits. Very large and very small numbers get a power of ten.

    >>> number(-1234.5, 1), number(0.125), number(float("inf")), number(3.1e-12)
    ('\u22121\u202f234.5', '0.125', '\u221e', '3.1e\u221212')
    """
    if math.isnan(value):
        return "not known"
    if math.isinf(value):
        return INFINITY if value > 0 else MINUS + INFINITY
    if abs(value) >= 1e9 or (places is None and 0 < abs(value) < TINY):
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", MINUS)
    text = f"{value:,.{decimals(value, value, value) if places is None else places}f}".replace(",", THIN_SPACE)
    if text.startswith("-"):
        text = text[1:] if float(text.replace(THIN_SPACE, "")) == 0 else MINUS + text[1:]
    return text


def thousands(n: int) -> str:
    return number(float(n), 0)


def _places(e: Estimate) -> int | None:
    """Digits for the estimate and its ends; None (each number its own power of ten) where all of them are tiny."""
    largest = max(abs(v) for v in (e.value, e.low, e.high) if not math.isnan(v))
    return None if 0 < largest < TINY else decimals(e.value, e.low, e.high)


def value_text(e: Estimate) -> str:
    """The value alone, or in words why there is none."""
    return number(e.value, _places(e)) if e.known else (e.note or "not resolvable")


def interval_text(e: Estimate) -> str:
    """The interval, as ``[0.79, 0.87]``; an end that is not known is written as such."""
    if not e.known:
        return ""
    if math.isnan(e.low) and math.isnan(e.high):
        return "[no interval]"
    return f"[{number(e.low, _places(e))}, {number(e.high, _places(e))}]"


def level_text(e: Estimate) -> str:
    """Named only where it differs from the 95 % the page announces."""
    return "" if not e.known or e.level == 0.95 else f"{number(100 * e.level)} % interval"


def estimate_text(e: Estimate) -> str:
    """
    >>> estimate_text(Estimate(0.8312, 0.7911, 0.8702, 120, "AUC"))
    '0.83 [0.79, 0.87], n=120'
    """
    return f"{value_text(e)} {interval_text(e)}, n={thousands(e.n)}" if e.known else value_text(e)


def p_text(p: float) -> str:
    """
    >>> p_text(0.00002), p_text(0.0341), p_text(0.62), p_text(float("nan"))
    ('< 0.001', '0.034', '0.62', 'not known')
    """
    if math.isnan(p):
        return "not known"
    return "< 0.001" if p < 0.001 else number(p, 3 if p < 0.1 else 2)


def setting_text(value: Any) -> str:
    """A setting as one would write it; nested settings as compact JSON."""
    if isinstance(value, str):
        return value or "empty"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(", ", "="), default=str)
    return str(value)


def settings(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of each setting, by name; the class path that travels with dataclasses is left out."""
    return sorted((str(name), setting_text(value)) for name, value in values.items() if name != "class")
