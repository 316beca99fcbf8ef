"""Is a string a molecule? A part of SMILES that can be read without a chemistry toolkit.

Atoms B C N O P S F Cl Br I without brackets, bonds - = #, branches in round brackets, rings closed by a digit or by %
and two digits. Valid means that it reads from left to right, that every branch and ring is closed, that no two atoms
are bonded twice, and that no atom has more bonds than its largest valence (``VALENCE``); free places hold hydrogen.

Aromatic (small) letters, charges, isotopes, stereo marks and salts are outside this part and count as not valid, and
nothing is canonicalised: two spellings of one molecule are two strings.
"""

from __future__ import annotations

import re

VALENCE = {"B": 3, "C": 4, "N": 3, "O": 2, "P": 5, "S": 6, "F": 1, "Cl": 1, "Br": 1, "I": 1}
ORDER = {"-": 1, "=": 2, "#": 3}
_TOKEN = re.compile(r"Cl|Br|[BCNOPSFI]|[-=#()]|%\d\d|\d")


class _Broken(ValueError):
    """The string is no molecule."""


def is_molecule(text: str) -> bool:
    """Whether the string is valid.

    >>> [is_molecule(s) for s in ("CCO", "C1CCCC1", "CC(=O)O", "C#N", "ClC(F)F")]
    [True, True, True, True, True]
    >>> [is_molecule(s) for s in ("", "C1CC", "C(C", "F=C", "C=", "O#C", "C11", "c1ccccc1", "C((C))")]
    [False, False, False, False, False, False, False, False, False]
    """
    tokens = _TOKEN.findall(text)
    if not tokens or "".join(tokens) != text:
        return False
    try:
        _Reader().read(tokens)
    except _Broken:
        return False
    return True


class _Reader:
    """One pass over the tokens."""

    def __init__(self) -> None:
        self.atoms: list[str] = []
        self.used: list[int] = []
        self.bonds: set[tuple[int, int]] = set()
        self.rings: dict[str, tuple[int, int]] = {}  # label -> (atom, order of the bond, 0 when not written)
        self.stack: list[int] = []
        self.last = -1  # the atom the next one is bonded to
        self.order = 0  # of a bond that was written and not used yet

    def read(self, tokens: list[str]) -> None:
        before = ""
        for token in tokens:
            if token in ORDER:
                self._bond(token)
            elif token in "()":
                self._branch(token, before)
            elif token in VALENCE:
                self._atom(token)
            else:
                self._ring(token.lstrip("%").lstrip("0") or "0")
            before = token
        if self.stack or self.rings or self.order or before == "(":
            raise _Broken
        if any(n > VALENCE[a] for a, n in zip(self.atoms, self.used, strict=True)):
            raise _Broken

    def _bond(self, token: str) -> None:
        if self.order or self.last < 0:
            raise _Broken
        self.order = ORDER[token]

    def _branch(self, token: str, before: str) -> None:
        if self.order or self.last < 0 or before == "(" or (token == ")" and not self.stack):
            raise _Broken
        if token == "(":
            self.stack.append(self.last)
        else:
            self.last = self.stack.pop()

    def _atom(self, token: str) -> None:
        self.atoms.append(token)
        self.used.append(0)
        if self.last >= 0:
            self._join(self.last, len(self.atoms) - 1, self.order or 1)
        self.last, self.order = len(self.atoms) - 1, 0

    def _ring(self, label: str) -> None:
        if self.last < 0:
            raise _Broken
        if label not in self.rings:
            self.rings[label] = (self.last, self.order)
        else:
            atom, order = self.rings.pop(label)
            if order and self.order and order != self.order:
                raise _Broken
            self._join(atom, self.last, order or self.order or 1)
        self.order = 0

    def _join(self, one: int, other: int, order: int) -> None:
        pair = (min(one, other), max(one, other))
        if one == other or pair in self.bonds:
            raise _Broken
        self.bonds.add(pair)
        self.used[one] += order
        self.used[other] += order
