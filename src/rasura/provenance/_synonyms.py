"""Sets of words that may stand for one another, with their frequencies."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..core.errors import BadInput

BUILT_IN = Path(__file__).with_name("synonyms.txt")
LARGEST_FILE = 100_000_000  # bytes
ENTRY = re.compile(r"([a-z]+)\s+([0-9.]+)")


@dataclass(frozen=True)
class SynonymTable:
    """``frequencies``: word -> occurrences per million words; ``sets``: word -> its set, rarest first."""

    frequencies: Mapping[str, float]
    sets: Mapping[str, tuple[str, ...]]

    def __contains__(self, word: str) -> bool:
        return word in self.sets and self.pair(word)[0] != word

    def surprisal(self, word: str) -> float:
        """-log2 of the share of running words that are this one: bits."""
        return -math.log2(self.frequencies[word] * 1e-6)

    def pair(self, word: str) -> tuple[str, str]:
        """The two rarest words that fit in its place, one of which may be itself. "a" and "an" must stay right."""
        fit = [w for w in self.sets[word] if (w[0] in "aeiou") == (word[0] in "aeiou")]
        rarest = [*fit, word][:2] if len(fit) > 1 else [word, word]
        return rarest[0], rarest[1]


@cache
def synonym_table(path: str = "") -> SynonymTable:
    """The built-in table, or sets of one's own. Raises BadInput naming the line that is not a set.

    >>> synonym_table().pair("calm"), "Anna" in synonym_table()
    (('placid', 'tranquil'), False)
    """
    frequencies: dict[str, float] = {}
    sets: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        entries = [ENTRY.fullmatch(part.strip()) for part in line.split(",")]
        if len(entries) < 2 or not all(e and float(e.group(2)) > 0 for e in entries):
            raise BadInput(f"{path}: line {number}: expected 'word frequency, word frequency, ...' in small letters")
        found = {e.group(1): float(e.group(2)) for e in entries if e}
        for word in found:
            sets.setdefault(word, tuple(sorted(found, key=lambda w: (found[w], w))))
            frequencies.setdefault(word, found[word])
    if not sets:
        raise BadInput(f"{path}: a synonym table without sets")
    return SynonymTable(frequencies, sets)


def _lines(path: str) -> list[str]:
    if path and (not Path(path).is_file() or Path(path).stat().st_size > LARGEST_FILE):  # a device has no end
        raise BadInput(
            f"{path}: the synonym table cannot be read (no file, or one of more than {LARGEST_FILE // 10**6} MB)"
        )
    try:
        return Path(path or BUILT_IN).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: the synonym table cannot be read ({type(error).__name__})") from None
