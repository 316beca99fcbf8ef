"""What must hold of records before numbers about them mean anything; splits and duplicate counts.

Two texts are the same when they are equal after every run of white space became one blank.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from ..core.errors import BadInput
from ..core.types import Sample, Samples
from ._near import near_duplicates
from ._source import shown


def require(samples: Samples, at_least: int, what: str) -> Samples:
    """The samples, or BadInput when there are fewer than ``at_least``."""
    if len(samples) < at_least:
        raise BadInput(f"{what}: {_count(len(samples), 'record')}, at least {at_least} needed")
    return samples


def check_disjoint(members: Samples, nonmembers: Samples, names: tuple[str, str] = ("members", "non-members")) -> None:
    """Raise BadInput when a record is on both sides: it would be counted as a find and as a false alarm.

    Two captioned pictures are one record when both caption and picture are the same.

    Empty texts are not compared. ``names``: what the two sides are called in the message.

    >>> check_disjoint(Samples.of(["a b", "c"]), Samples.of(["d", "a  b"]))
    Traceback (most recent call last):
    rasura.core.errors.BadInput: members and non-members share 1 text (first: '0' in members, '1' in non-members); remove it from one side
    """
    first: dict[str, str] = {}
    for sample in members:
        first.setdefault(_key(sample), sample.id)
    shared: dict[str, tuple[str, str]] = {}
    for sample in nonmembers:
        key = _key(sample)
        if key and key in first:
            shared.setdefault(key, (first[key], sample.id))
    if shared:
        one, other = map(shown, next(iter(shared.values())))
        raise BadInput(
            f"{names[0]} and {names[1]} share {_count(len(shared), 'text')} (first: '{one}' in {names[0]}, '{other}' in {names[1]}); "
            f"remove {'it' if len(shared) == 1 else 'them'} from one side"
        )


def _key(sample: Sample) -> str:
    """What makes two records one: the text, and where there is a picture that too; empty texts have none."""
    return same(sample.text) + (f" {sample.picture.digest}" if sample.picture else "")


def check_unique_texts(samples: Samples, what: str = "records") -> list[str]:
    """Warnings about records that repeat one another, exactly or nearly; none when all differ.

    Near: the sets of five-word sequences of two texts overlap by 80 % or more (Jaccard), case and punctuation aside.
    Repeated records are not independent, so every interval over them is too narrow.
    """
    warnings = []
    seen: dict[str, Sample] = {}
    again: list[tuple[Sample, Sample]] = []
    for sample in samples:
        first = seen.setdefault(same(sample.text), sample)
        if first is not sample and first.text.strip():
            again.append((first, sample))
    if again:
        warnings.append(_repeats(what, len(samples), "repeat the text of another", again))
    distinct = list(seen.values())
    near = [(distinct[a], distinct[b]) for a, b in near_duplicates([s.text for s in distinct])]
    if near:
        warnings.append(_repeats(what, len(samples), "nearly repeat the text of another", near))
    return warnings


def count_empty(samples: Samples) -> int:
    """Records with nothing but white space to score."""
    return sum(not s.text[s.start :].strip() for s in samples)


def check_empty(samples: Samples, what: str = "records") -> list[str]:
    """A warning when some records have no text to score."""
    empty = count_empty(samples)
    return [f"{what}: {empty} of {len(samples)} have no text to score and stay unscored"] if empty else []


def split(samples: Samples, fraction: float, seed: int = 0) -> tuple[Samples, Samples]:
    """A random part of about ``fraction`` of the records, and the rest, both in the order given.

    The draw hashes seed and text, so it depends neither on the order nor on the ids, and records of the same text stay
    together. Without repeats the first part has round(fraction n) records, at least 1 and at most n - 1.
    Raises BadInput for a fraction outside (0, 1) and where no split leaves a record on each side.

    >>> [part.texts for part in split(Samples.of("abcd"), 0.5, seed=1)]
    [['a', 'c'], ['b', 'd']]
    """
    if not 0 < fraction < 1:
        raise BadInput(f"fraction: expected a number between 0 and 1, found {fraction}")
    keys = [
        hashlib.blake2b(f"{seed}\n{same(s.text)}".encode(errors="surrogatepass"), digest_size=16).digest()
        for s in samples
    ]
    copies = Counter(keys)
    if len(copies) < 2:
        raise BadInput(
            f"cannot split {_count(len(samples), 'record')} with {_count(len(copies), 'distinct text')}; at least 2 needed"
        )
    target, taken, chosen = round(fraction * len(samples)), 0, set()
    for key in sorted(copies)[:-1]:
        if chosen and taken + copies[key] / 2 > target:
            break
        chosen.add(key)
        taken += copies[key]
    inside = [key in chosen for key in keys]
    return samples.take(i for i, x in enumerate(inside) if x), samples.take(i for i, x in enumerate(inside) if not x)


def duplicate_counts(samples: Sequence[Sample]) -> dict[str, int]:
    """For every text, how many records have it: the repeats of a corpus that was trained on as it is.

    >>> duplicate_counts(Samples.of(["a b", "a\\tb", "c"]))
    {'a b': 2, 'a\\tb': 2, 'c': 1}
    """
    counts = Counter(same(s.text) for s in samples)
    return {s.text: counts[same(s.text)] for s in samples}


def same(text: str) -> str:
    """What two texts must share to count as the same."""
    return " ".join(text.split())


def _repeats(what: str, total: int, verb: str, pairs: list[tuple[Sample, Sample]]) -> str:
    first, second = (shown(s.id) for s in pairs[0])
    return (
        f"{what}: {len(pairs)} of {total} {verb} (first: '{first}' and '{second}'); "
        "they are not independent, so intervals are too narrow"
    )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def without_near_duplicates(samples: Samples) -> Samples:
    """The samples without those whose text nearly equals an earlier one's (Jaccard of five-word sequences >= 0.8).

    A record on one side of a random split and its near copy on the other make a non-member a member in all but name.

    >>> texts = ["One two three four five six.", "one two, three four five six!", "seven eight nine ten eleven twelve"]
    >>> without_near_duplicates(Samples.of(texts)).ids
    ['0', '2']
    """
    copies = {later for _, later in near_duplicates(samples.texts)}
    return samples.take(i for i in range(len(samples)) if i not in copies)
