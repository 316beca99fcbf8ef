"""What kind of thing a passage of code is: secret, licence, test, data, documentation, or ordinary code.

Decided by documented patterns and by how the characters of the passage are shared out over its lines, in this order,
so that every passage has exactly one kind:

=============  =====================================================================================================
secret         a key in a format a service gives out (``KEY_FORMATS``), a private key block, a password in a URL, or a
               value given to a name that speaks of secrets (``SECRET_NAMES``) that is no placeholder and random enough
licence        a phrase of a known licence or an SPDX line (``LICENCES``), most characters in comments or prose
test           an assertion or a test declaration of a common framework (``TESTS``)
data           at least ``DATA_SHARE`` of the characters in lines that hold literals and nothing else
documentation  at least ``TEXT_SHARE`` of the characters in comments, docstrings or prose
code           everything else
=============  =====================================================================================================

A secret wins over everything, however much ordinary code stands around it. White space is not counted. The patterns
know Python, JavaScript, Java, C, Go, Rust and shell well enough for passages of some hundred characters; they are no
parser, and a passage cut out of the middle of a docstring may be taken for code.
"""

from __future__ import annotations

import math
import re
from collections import Counter

KINDS = ("secret", "licence", "test", "data", "documentation", "code")
DATA_SHARE = 0.6
TEXT_SHARE = 0.5
LEAST_SECRET = 8  # characters of a value that can count as a secret
LEAST_ENTROPY = 2.5  # bits a character: "password" has 2.75, so a digit or mixed case is asked for as well

KEY_FORMATS = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"  # cloud access key ids
    r"|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{22,}|\bglpat-[\w-]{20}"  # code hosts
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bAIza[\w-]{35}|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bnpm_[A-Za-z0-9]{36}"
    r"|\b[sr]k[-_](?:(?:live|test|proj|ant)[-_])?[A-Za-z0-9_-]{16,}"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"  # signed web tokens
    r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"
)
URL_PASSWORD = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s:/@'\"]+:(?P<value>[^\s:/@'\"]{4,})@")
SECRET_NAMES = re.compile(
    r"(?i)[\w.\[\]'\"-]*(?:api[_-]?key|secret|token|passw(?:or)?d|passphrase|pwd|private[_-]?key|access[_-]?key|credential)"
    r"[\w'\"\]]*\s*(?:=>|:=|=|:)\s*(?P<quote>['\"])(?P<value>[^'\"\s]+)(?P=quote)"
)
PLACEHOLDER = re.compile(
    r"(?i)^[<\[{$%]|^(?:your|my|the|change|insert|replace|dummy|example|sample|test|fake|none|null|todo|xxx+)(?:[-_. ]|$)|"
    r"(?:here|example|placeholder|changeme|change_?me)$|^(.)\1*$|^\*+$|\$\{|process\.env|environ"
)
LICENCES = re.compile(
    r"(?i)SPDX-License-Identifier|permission is hereby granted, free of charge|licen[sc]ed under the|"
    r"gnu (?:lesser |affero )?general public licen[sc]e|(?:mit|apache|bsd|mozilla public|isc) licen[sc]e|"
    r"redistribution and use in source and binary forms|without warrant(?:y|ies) of any kind|"
    r"the software is provided .?as is|all rights reserved|copyright (?:\(c\)|©) ?\d{4}"
)
TESTS = re.compile(
    r"(?m)^\s*(?:async )?def test_\w*|^\s*class Test\w+|^\s*assert\b|\bself\.assert\w+\(|\bpytest\.|@pytest\b|@Test\b|"
    r"\bassert(?:Equals?|That|True|False|Raises|Null|NotNull|_eq!|_ne!|!)\s*\(|\bexpect\(.*\)\s*\.|"
    r"\b(?:describe|it|test)\(\s*['\"]|\b(?:EXPECT|ASSERT)_[A-Z]+\(|\bfunc Test\w+\(|#\[test\]"
)
_COMMENT = re.compile(
    r"^\s*(?:#(?!include|define|if|endif|\[)|//|/\*|\*|--\s|;;|<!--|\"\"\"|'''|:param|@param|@return)"
)
_LITERAL = r"""(?:[-+]?(?:0x[0-9a-fA-F]+|\d[\d_.]*(?:[eE][-+]?\d+)?)|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|True|False|None|true|false|null|NULL)"""
_DATA_LINE = re.compile(rf"^(?:[\w.\s\[\]:<>]*=\s*)?(?:[\[\](){{}},:;\s]|=>|{_LITERAL})+$")
_HEADING = re.compile(r"^\s*(?:#{1,6} |[=~^-]{3,}\s*$|\.\. |[*-] [A-Z])")
_CODE_SIGNS = re.compile(r"[(){}\[\]=;<>]|->|^\s*(?:return|import|from|def|class|if|else|for|while|try|pass)\b")


def code_kind(text: str) -> str:
    """The kind of a passage, one of ``KINDS``.

    >>> code_kind("def area(w, h):\\n    return w * h"), code_kind("primes = [2, 3, 5, 7, 11, 13]")
    ('code', 'data')
    >>> code_kind('password = "hunter2024x"'), code_kind('password = "your-password-here"')
    ('secret', 'data')
    """
    if has_secret(text):
        return "secret"
    prose = _share(text, _text_lines(text))
    if LICENCES.search(text) and prose >= TEXT_SHARE:
        return "licence"
    if TESTS.search(text):
        return "test"
    if _share(text, [line for line in text.splitlines() if _is_data(line)]) >= DATA_SHARE:
        return "data"
    return "documentation" if prose >= TEXT_SHARE else "code"


def has_secret(text: str) -> bool:
    """Whether a key, token or password stands in the text.

    >>> has_secret("db = 'postgres://ada:w8Tq0zL1@db.example.org/main'"), has_secret("token = next_token(text)")
    (True, False)
    """
    if KEY_FORMATS.search(text):
        return True
    values = [m["value"] for pattern in (URL_PASSWORD, SECRET_NAMES) for m in pattern.finditer(text)]
    return any(random_enough(value) for value in values)


def random_enough(value: str) -> bool:
    """Whether a value looks chosen to be hard to guess: long, no placeholder, of two classes of characters, and mixed.

    >>> random_enough("f81d4fae7dec11d0"), random_enough("changeme"), random_enough("aaaaaaaa1"), random_enough("${TOKEN}")
    (True, False, False, False)
    """
    if len(value) < LEAST_SECRET or PLACEHOLDER.search(value):
        return False
    classes = [str.islower, str.isupper, str.isdigit, lambda c: not c.isalnum()]
    mixed = sum(any(f(c) for c in value) for f in classes) >= 2 and not re.fullmatch(r"[A-Za-z_.-]+", value)
    return mixed and entropy(value) >= LEAST_ENTROPY


def entropy(value: str) -> float:
    """Bits a character of the text's own letter frequencies: -sum p log2 p.

    By hand, "aabb": two letters, each half of the text: 1 bit.

    >>> entropy("aabb"), entropy("abcd"), entropy("")
    (1.0, 2.0, 0.0)
    """
    counts = Counter(value).values()
    return math.fsum(c / len(value) * math.log2(len(value) / c) for c in counts)


def _is_data(line: str) -> bool:
    """Literals and punctuation only, at most given to a name; a lone bracket is neither for nor against."""
    return bool(_DATA_LINE.match(line)) and bool(re.search(_LITERAL, line))


def _text_lines(text: str) -> list[str]:
    """Lines in comments, docstrings and prose."""
    found, inside = [], ""
    for line in text.splitlines():
        stripped = line.strip()
        fences = [q for q in ('"""', "'''") if stripped.count(q) % 2]
        if inside or fences:
            found.append(line)
            if fences and (not inside or fences[0] == inside):
                inside = "" if inside else fences[0]
        elif _COMMENT.match(line) or _HEADING.match(line) or _is_prose(stripped):
            found.append(line)
    return found


def _is_prose(line: str) -> bool:
    """At least four words and no sign of code."""
    return len(re.findall(r"[A-Za-z]{2,}", line)) >= 4 and not _CODE_SIGNS.search(line)


def _share(text: str, lines: list[str]) -> float:
    total = len("".join(text.split()))
    return sum(len("".join(line.split())) for line in lines) / total if total else 0.0
