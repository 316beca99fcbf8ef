"""The error tree, sorted by what the person can do about it.

    RasuraError
    +-- BadInput           a file, record or option is wrong: file, line, field, what was expected
    +-- UnknownMethod      no method of that name; near matches are given
    +-- BadMethod          a method file breaks the house rules (for authors of methods)
    +-- NeedsRole          a signal or metric needs another model; says which option brings it
    +-- WrongModality      a text method on a picture model, or the other way round
    +-- NotYetSupported    could be built, is not
    +-- NeverSupported     will not be built, with the reason
    +-- StoreDamaged       a finished shard cannot be read; says which and how to rebuild it
    +-- BadSignature       signed records are not, or not all, what was signed, or another key signed them
    +-- UnsafeModel        pickle weights or remote code that were not allowed
    +-- MissingDependency  an optional package; gives the pip line
    +-- ProcessLost        another process of this run ended or went silent; run again, finished work is kept
    +-- TrainingDiverged   a loss became NaN or infinite; the last good weights are kept

At the command line each is one line without traceback and exit code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 100  # characters of a wrong name an error repeats
LISTED = 24  # names an error lists: one line stays one that is read


class RasuraError(Exception):
    """Base of everything this package raises on purpose."""


class BadInput(RasuraError, ValueError):
    """The input is wrong: the message says what, where, and what was expected."""


class UnknownMethod(RasuraError, LookupError):
    """No method of this name in this family."""

    def __init__(self, family: str, name: str, known: Iterable[str]) -> None:
        known, name = sorted(known), "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name[:LONGEST])
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        rest = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
        hint = (
            f"did you mean {' or '.join(close)}?"
            if close
            else f"there are: {', '.join(known[:LISTED]) or 'none'}{rest}"
        )
        super().__init__(f"no {family} method is called '{name}'; {hint}")


class BadMethod(RasuraError, TypeError):
    """A method file breaks the rules of the house."""


class NeedsRole(RasuraError, ValueError):
    """A model role is missing."""

    def __init__(self, method: str, role: str) -> None:
        super().__init__(f"{method} needs a {role} model: pass --{role} (in Python: {role}=...)")
        self.role = role


class WrongModality(RasuraError, TypeError):
    """A method for one kind of model was used on another."""


class NotYetSupported(RasuraError, NotImplementedError):
    """Could be built, is not."""


class NeverSupported(RasuraError, NotImplementedError):
    """Will not be built; the message gives the reason."""


class StoreDamaged(RasuraError, OSError):
    """A finished shard cannot be read back."""


class BadSignature(RasuraError, ValueError):
    """Signed records, or their signature, are not what the holder of the key signed."""


class UnsafeModel(RasuraError, ValueError):
    """Loading would run code or unpickle data that were not allowed."""


class MissingDependency(RasuraError, ImportError):
    """An optional package is not installed."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(f"{feature} needs {package}: pip install 'rasura[{extra}]'")


class ProcessLost(RasuraError, ConnectionError):
    """A run of several processes lost one of them."""


class TrainingDiverged(RasuraError, ArithmeticError):
    """A loss became NaN or infinite."""
