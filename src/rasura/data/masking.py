"""Records as a report may show them: recognisable to somebody who has the record, of no use to somebody who has not.

Names, addresses, numbers and keys cannot be told from other words with certainty, so nothing is left to detection:
every word is masked in the same way. Between two white spaces,

- at most the first two letters show when there are more than three letters and digits, whatever stands between them
  (so an e-mail address, a URL, a key in base64 or a hyphenated name is one word);
- two or three lower-case letters show whole ("of", "the"); with a capital, or in a script without capitals, only the
  first letter does, because short names are common;
- a digit, a letter used as a number and anything invisible never shows.

Punctuation and white space stay, and every masked character becomes one "•", so positions in the text stay valid.
"""

from __future__ import annotations

import re
import unicodedata

from ..core.errors import BadInput

DOT = "•"
KEEP = 2  # letters shown of a long word
SHORT = 3  # letters of a word that may show whole
_CHUNK = re.compile(r"\S+")


def mask(text: str, keep: int = KEEP) -> str:
    """The text with all but the first ``keep`` letters of its words covered, 0 to 2; 0 covers every letter.

    >>> mask("Dear Ann Lee, call 0171-555 or write to ann@lee.org about the loan.")
    'De•• A•• L••, ca•• ••••-••• or wr••• to an•@•••.••• ab••• the lo••.'
    """
    if keep not in range(KEEP + 1):
        raise BadInput(f"keep: expected 0, 1 or {KEEP}, found {keep}")
    return _CHUNK.sub(lambda found: _masked(found.group(), keep), text)


def _masked(chunk: str, keep: int) -> str:
    length = sum(map(_counts, chunk))
    if length > SHORT or keep == 0:
        left = keep
    else:
        left = SHORT if chunk.islower() else 1
    shown = []
    for character in chunk:
        if _counts(character):
            shown.append(character if left > 0 and _letter(character) else DOT)
            left -= 1
        else:
            shown.append(character)
    return "".join(shown)


def _counts(character: str) -> bool:
    """Whether a character belongs to a word: all but punctuation and symbols. Controls do, so that they are covered."""
    return character.isalnum() or unicodedata.category(character)[0] not in "PS"


def _letter(character: str) -> bool:
    """Letters and their accents; numerals such as the Roman or the Chinese ones are not."""
    return unicodedata.category(character)[0] in "LM" and not character.isnumeric()
