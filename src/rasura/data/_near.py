"""Nearly equal texts, found in time linear in the corpus.

A text is the set of its five-word sequences; two texts are near when |A and B| / |A or B| >= THRESHOLD. Candidates
come from min-hashing (Broder 1997): the smallest value of a random hash over a set is shared by two sets with
probability equal to their Jaccard overlap J. 32 hashes in 8 bands of 4 make a pair a candidate with probability
1 - (1 - J^4)^8: .985 at J = .8, .11 at J = .35. Candidates are then compared exactly,
at most CANDIDATES for each text, so that a corpus of one template does not take quadratic time.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

WORDS = 5
THRESHOLD = 0.8
BANDS, ROWS = 8, 4
CANDIDATES = 64
_WORD = re.compile(r"\w+")


def near_duplicates(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (earlier, later): every text that is near an earlier one, once. Texts of under five words are left out.

    >>> near_duplicates(["One two three four five six.", "seven", "one two, three four five six!"])
    [(0, 2)]
    """
    kept: dict[tuple[int, bytes], list[int]] = {}  # earlier texts by band
    shingles = [_shingles(text) for text in texts]
    found = []
    for i, mine in enumerate(shingles):
        if not len(mine):
            continue
        bands = list(_bands(mine))
        candidates = sorted({j for band in bands for j in kept.get(band, ())})[:CANDIDATES]
        earlier = next((j for j in candidates if _overlap(shingles[j], mine) >= THRESHOLD), None)
        if earlier is not None:
            found.append((earlier, i))
            continue
        for band in bands:
            kept.setdefault(band, []).append(i)
    return found


def _shingles(text: str) -> np.ndarray:
    """Hashes of the five-word sequences, sorted, each once."""
    words = _WORD.findall(text.lower())
    runs = (" ".join(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1))
    return np.unique(np.fromiter((zlib.crc32(run.encode(errors="surrogatepass")) for run in runs), dtype=np.uint64))


def _bands(shingles: np.ndarray) -> Iterator[tuple[int, bytes]]:
    minima = _minima(shingles).reshape(BANDS, ROWS)
    return ((i, row.tobytes()) for i, row in enumerate(minima))


def _minima(shingles: np.ndarray) -> np.ndarray:
    """Smallest (a h + b) mod p over the set, for 32 fixed pairs (a, b); p = 2^31 - 1 keeps products inside 64 bits."""
    prime = np.uint64(2**31 - 1)
    a, b = _hashes()
    return ((a * (shingles[None] % prime) + b) % prime).min(axis=1)


@cache
def _hashes() -> np.ndarray:
    return np.random.default_rng(20260101).integers(1, 2**31 - 1, size=(2, BANDS * ROWS, 1), dtype=np.uint64)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / (len(a) + len(b) - both)
