"""Several lengths of prompt in one extractor: what they are called, and that they make sense."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.errors import BadInput

AXIS = "tokens of context"


def checked_lengths(method: str, lengths: Sequence[int]) -> None:
    """Raises BadInput unless ``lengths`` are positive and rise."""
    if any(k < 1 for k in lengths) or list(lengths) != sorted(set(lengths)):
        given = ", ".join(map(str, lengths))
        raise BadInput(f"{method}: context_lengths are {given}: expected positive numbers of tokens that rise")


def prompt_lengths(context_lengths: tuple[int, ...], prefix_tokens: int) -> tuple[int, ...]:
    """The lengths to try, in tokens; 0 stands for the record's own cut, as everywhere.

    >>> prompt_lengths((8, 16), 0), prompt_lengths((), 0), prompt_lengths((), 5)
    ((8, 16), (0,), (5,))
    """
    return context_lengths or (prefix_tokens,)


def key_of(what: str, k: int) -> str:
    """Name of an observation at one length.

    >>> key_of("said", 8), key_of("said", 0)
    ('said_8', 'said_0')
    """
    return f"{what}_{k}"
