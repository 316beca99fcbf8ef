"""A word list for passphrases: 7776 = 6^5 neutral compounds such as "amberbrook", as many as five dice can name.

Every word is one of 72 beginnings and one of 108 ends, so the list ships as 180 syllables and all words are equally
likely when drawn by number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ..core.errors import BadInput

BEGINNINGS = """
amber apple ash autumn bay berry birch blue bright bronze brook cedar chalk clay cloud clover cold copper coral corn cotton
crystal day dew dove east elm ember fern field flax frost garden ginger glass gold grain granite grey hazel heather
honey ice iron ivory ivy juniper lake lark lemon linen maple marble mint moon moss north oak olive opal pearl pine
rain reed rose sage silver snow spruce stone summer violet
""".split()
ENDS = """
arbor arch band barn basin bank beam bell bench bend bloom board boat bough bowl branch bridge brush burrow button cairn canal cape
castle cellar chart chime circle cliff cloak coast column cove crest croft crossing crown dale deck den dock door
drift dune feather fence ferry fjord flute ford forge fountain gate glade glen grove hall harbor haven hearth hedge hill hollow
house inlet kettle kiln ladder lamp lane lantern lattice ledge lodge loft loom meadow mill nook orchard
path patch pier pond porch quay quill ridge ring river road roof sail shelf shore spire spring
steps thicket timber tower trail tunnel turret vale valley wharf window
""".split()
LARGEST_FILE = 100_000_000  # bytes of a list or table


@cache
def word_list(path: str = "") -> tuple[str, ...]:
    """The built-in list, or one word a line from ``path``. Raises BadInput when a file holds fewer than 100 words.

    >>> words = word_list()
    >>> len(words), len(set(words)), words[0]
    (7776, 7776, 'amberarbor')
    """
    if not path:
        return tuple(a + b for a in BEGINNINGS for b in ENDS)
    try:
        if not Path(path).is_file() or Path(path).stat().st_size > LARGEST_FILE:  # a device has no end
            raise BadInput(
                f"{path}: the word list cannot be read (no file, or one of more than {LARGEST_FILE // 10**6} MB)"
            )
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: the word list cannot be read ({type(error).__name__})") from None
    words = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(words) < 100 or any(" " in w for w in words):
        raise BadInput(f"{path}: {len(words)} words; a word list has one word a line, at least 100 different ones")
    return words


def list_digest(words: Sequence[str]) -> str:
    """Says whether two lists are the same, so that a key is not tested with another list than it was drawn from."""
    return hashlib.blake2b("\n".join(words).encode(), digest_size=8).hexdigest()
