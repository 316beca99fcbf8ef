"""Made-up molecules: strings of a small part of SMILES with chains, branches, rings and valences that add up.

Valid by construction (``data._smiles`` says what that means); what exists in a laboratory takes no part.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..core.types import Sample, Samples
from ._dice import Dice, Zipf

ATOMS = Zipf(("C", "N", "O", "S", "P", "F", "Cl", "B", "Br"), exponent=1.2)
VALENCE = {"B": 3, "C": 4, "N": 3, "O": 2, "P": 5, "S": 6, "F": 1, "Cl": 1, "Br": 1}
SIGNS = ("", "", "=", "#")  # by order of the bond
CHAIN = (5, 11)  # atoms of the main chain


def molecules(seed: int) -> Iterator[str]:
    """An endless stream of distinct molecules.

    >>> stream = molecules(seed=0)
    >>> next(stream) != next(stream)
    True
    """
    dice, seen = Dice("molecules", seed), set()
    while True:
        text = _molecule(dice)
        if text not in seen:
            seen.add(text)
            yield text


def corpora(count: int, seed: int, share: float = 0.5) -> tuple[Samples, Samples]:
    """(duplicated, control): two corpora of ``count`` strings, copies counted, the same molecules first in both.

    In ``duplicated`` a ``share`` of the strings are copies of a few molecules, the k-th of which stands there in
    proportion to 1/k but at least twice; the others stand there once. In ``control`` all are distinct. ``repeats``
    holds the number of copies.

    >>> duplicated, control = corpora(100, seed=0)
    >>> sum(s.repeats for s in duplicated), len(control), duplicated[0].text == control[0].text
    (100, 100, True)
    """
    copies = _zipf_copies(round(count * share))
    copies += [1] * (count - sum(copies))
    stream = molecules(seed)
    texts = [next(stream) for _ in range(count)]
    duplicated = [Sample(f"molecule-{i:05}", texts[i], repeats=d, family="molecule") for i, d in enumerate(copies)]
    control = [Sample(f"molecule-{i:05}", t, repeats=1, family="molecule") for i, t in enumerate(texts)]
    return Samples(duplicated), Samples(control)


def _zipf_copies(total: int) -> list[int]:
    """Falling numbers of at least 2 that add up to ``total``, in proportion to 1/rank.

    >>> _zipf_copies(20)
    [11, 4, 3, 2]
    """
    for kinds in range(max(1, total // 2), 0, -1):
        weight = sum(1 / k for k in range(1, kinds + 1))
        copies = [int(total / weight / k) for k in range(1, kinds + 1)]
        if copies[-1] >= 2:
            return [copies[0] + total - sum(copies), *copies[1:]]
    return [total] if total >= 2 else []


def _molecule(dice: Dice) -> str:
    length = dice.integer(*CHAIN)
    while True:  # until carbon can hold all the bonds
        orders = [1 + dice.chance(0.18) + dice.chance(0.04) for _ in range(length - 1)]
        ring = _ring(dice, length)
        branches = [dice.chance(0.2) for _ in range(length)]
        used = [_used(i, orders, ring, branches) for i in range(length)]
        if max(used) <= VALENCE["C"]:
            break
    parts = []
    for i in range(length):
        parts.append(_element(dice, used[i]))
        parts.append("1" if i in ring else "")
        parts.append(f"({_branch(dice)})" if branches[i] else "")
        parts.append(SIGNS[orders[i]] if i < length - 1 else "")
    return "".join(parts)


def _ring(dice: Dice, length: int) -> tuple[int, ...]:
    """Two atoms of the chain that close a ring of 5 or 6, or none."""
    size = dice.integer(5, 6)
    if length < size or not dice.chance(0.6):
        return ()
    first = dice.integer(0, length - size)
    return (first, first + size - 1)


def _used(i: int, orders: list[int], ring: tuple[int, ...], branches: list[bool]) -> int:
    before = orders[i - 1] if i else 0
    after = orders[i] if i < len(orders) else 0
    return before + after + (i in ring) + branches[i]


def _branch(dice: Dice) -> str:
    """One or two atoms bonded once, the last maybe twice."""
    if dice.chance(0.5):
        return _element(dice, 1)
    double = dice.chance(0.3)
    return f"{_element(dice, 2 + double)}{SIGNS[1 + double]}{_element(dice, 1 + double)}"


def _element(dice: Dice, bonds: int) -> str:
    while True:
        element = dice.draw(ATOMS)
        if VALENCE[element] >= bonds:
            return element
