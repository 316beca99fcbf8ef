"""Views: the same records, seen differently. A view is part of the question, so its settings are part of the key."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..core.types import Plain, Samples

__all__ = ["Plain", "Lowercase", "Prefixed"]


@dataclass(frozen=True)
class Lowercase:
    """Every character lowered where that keeps the text's length, so positions stay valid.

    >>> Lowercase().apply(Samples.of(["The Capital"]))[0].text
    'the capital'
    """

    def apply(self, samples: Samples) -> Samples:
        return Samples(replace(s, text=_lower(s.text)) for s in samples)


def _lower(text: str) -> str:
    """Character by character, since a whole word can be lowered differently (the Greek final sigma) or grow."""
    return text.lower() if text.isascii() else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


@dataclass(frozen=True)
class Prefixed:
    """The same context put in front of every record; it is read and never scored."""

    prefix: str = ""

    def apply(self, samples: Samples) -> Samples:
        shift = len(self.prefix)
        return Samples(
            replace(
                s,
                text=self.prefix + s.text,
                start=s.start + shift,
                secret=None if s.secret is None else s.secret + shift,
            )
            for s in samples
        )
