"""A masked text gives away no word, number or key."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rasura.core.errors import BadInput
from rasura.data.masking import DOT, mask

TEXTS = st.text(max_size=60) | st.text("aBé1_-@./ \n\u0301\u200d名", max_size=40)


@given(TEXTS, st.integers(0, 2))
@example("e\u0301\u0301\u0301\u0301 नमस्ते ①Ⅷ一 \u200babcd x\u00adyzq", 2)
def test_nothing_leaks(text: str, keep: int):
    """Position by position: a character is kept or a dot; no digit shows; no more letters a word than allowed."""
    masked = mask(text, keep)
    assert len(masked) == len(text)
    assert all(m in (c, DOT) for c, m in zip(text, masked, strict=True))
    assert not any(c.isnumeric() for c in masked)
    for found in re.finditer(r"\S+", text):
        chunk, out = found.group(), masked[found.start() : found.end()]
        letters = sum(c.isalnum() or unicodedata.category(c)[0] == "MC" for c in chunk)
        visible = sum(c.isalnum() or unicodedata.category(c)[0] in "MC" for c in out)
        assert visible <= (keep if letters > 3 else 3 if keep else 0)
        if letters > 3 and keep:
            assert not re.search(r"[^\W_]{3}", out)


@given(st.text(st.characters(categories=["Lu", "Ll", "Lo"]), min_size=4, max_size=20), st.text(" .,@-_1", max_size=8))
def test_no_full_word_survives(word: str, around: str):
    assert word not in mask(f"{around}{word}{around}")


@given(TEXTS)
def test_white_space_and_punctuation_stay(text: str):
    def bones(t: str) -> list[str]:
        return [c if c.isspace() or unicodedata.category(c)[0] == "P" else "" for c in t]

    assert all(bone in ("", out) for bone, out in zip(bones(text), mask(text), strict=True))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("the cat of Bob", "the cat of B••"),
        ("Anna Lee-Smith (born 1980)", "An•• Le•-••••• (bo•• ••••)"),
        ("+49 170 123", "+•• ••• •••"),
        ("jo@ab.de", "jo@••.••"),
        ("a.b@c.de", "a.b@•.••"),
        ("sk-live_4f9aQx", "sk-••••_••••••"),
        ("dGhpcyBp+c2E/g=", "dG••••••+•••/•="),
        ("https://x.io/u/7", "ht•••://•.••/•/•"),
        ("don't", "do•'•"),
        ("2nd", "•nd"),
        ("4abcde", "•a••••"),
        ("USA", "U••"),
        ("王小明", "王••"),
        ("Ⅷ ½ ٣ 一", "• • • •"),
        ("cafe\u0301", "ca•••"),
        ("pass\u200bword", "pa•••••••"),
        ("a\x1b[31mb", "a•[••••"),
        ("I a", "I a"),
        ("🙂 ok", "🙂 ok"),
        ("", ""),
    ],
)  # fmt: skip
def test_examples(text: str, masked: str):
    assert mask(text) == masked


def test_keep():
    assert mask("Anna is in", keep=1) == "A••• is in"
    assert mask("Anna is in, 9", keep=0) == "•••• •• ••, •"
    for keep in (-1, 3):
        with pytest.raises(BadInput, match=f"keep: expected 0, 1 or 2, found {keep}"):
            mask("x", keep=keep)
