"""Views that spoil a text a little: what a model merely understands survives that, what it has by heart does not.

Deterministic: the changes depend on the text and the seed alone, never on its place among other records. Only the scored
part (``text[start:]``) is changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from ..core.errors import BadInput
from ..core.types import Sample, Samples, digest

Kind = Literal["typos", "deletion", "case", "whitespace", "underscores"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RATES = {"typos": 0.05, "deletion": 0.25, "case": 0.1, "whitespace": 0.1, "underscores": 1.0}
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # of a keyboard: a finger slips to a neighbour


@dataclass(frozen=True)
class Perturbed:
    """The same records with typing errors, words left out, letters of other case, or spaces changed.

    ``kind``: "typos" (a letter becomes a neighbour on the keyboard), "deletion" (a word is left out), "case" (a letter
    changes case), "whitespace" (a space is doubled or dropped) or "underscores" (a space becomes "_"). ``rate``: chance of
    a change at each letter, word or space; 0 takes the kind's own (.05, .25, .1, .1, 1). Raises BadInput on other kinds.

    >>> Perturbed("underscores").apply(Samples.of(["to be or not"]))[0].text
    'to_be_or_not'
    >>> Perturbed("deletion", 0.5).apply(Samples.of(["to be or not"] * 2)).texts
    ['be or not', 'be or not']
    """

    kind: Kind = "typos"
    rate: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not 0 <= self.rate <= 1:
            raise BadInput(
                f"a perturbation is one of {', '.join(KINDS)} at a rate of 0 to 1; got {self.kind}, {self.rate}"
            )

    def apply(self, samples: Samples) -> Samples:
        return Samples(self._changed(s) for s in samples)

    def _changed(self, sample: Sample) -> Sample:
        head, tail = sample.text[: sample.start], sample.text[sample.start :]
        rng = np.random.default_rng(int(digest([self.kind, self.seed, tail])[:16], 16))
        change = {"typos": _typos, "deletion": _deletion, "case": _case, "whitespace": _whitespace}.get(
            self.kind, _joined
        )
        return replace(sample, text=head + change(tail, self.rate or RATES[self.kind], rng), secret=None)


def _typos(text: str, rate: float, rng: np.random.Generator) -> str:
    return "".join(_slip(c, rng) if hit else c for c, hit in zip(text, rng.random(len(text)) < rate, strict=True))


def _slip(letter: str, rng: np.random.Generator) -> str:
    """A neighbour on the keyboard, of the same case; what stands on no letter key stays."""
    row = next((row for row in ROWS if letter.lower() in row), "")
    if not row:
        return letter
    at = row.index(letter.lower())
    found = str(rng.choice([row[i] for i in (at - 1, at + 1) if 0 <= i < len(row)]))
    return found.upper() if letter.isupper() else found


def _deletion(text: str, rate: float, rng: np.random.Generator) -> str:
    """At least one word stays."""
    words = re.findall(r"\S+\s*", text)
    kept = [word for word, out in zip(words, rng.random(len(words)) < rate, strict=True) if not out]
    return text[: len(text) - len(text.lstrip())] + "".join(kept or words[:1])


def _case(text: str, rate: float, rng: np.random.Generator) -> str:
    hits = rng.random(len(text)) < rate
    return "".join(c.swapcase() if hit and len(c.swapcase()) == 1 else c for c, hit in zip(text, hits, strict=True))


def _whitespace(text: str, rate: float, rng: np.random.Generator) -> str:
    """Half of the hits double a space, half drop it."""
    drawn = rng.random(len(text))
    return "".join(
        c if c != " " or d >= rate else "" if d < rate / 2 else "  " for c, d in zip(text, drawn, strict=True)
    )


def _joined(text: str, rate: float, rng: np.random.Generator) -> str:
    hits = rng.random(len(text)) < rate
    return "".join("_" if c == " " and hit else c for c, hit in zip(text, hits, strict=True))
