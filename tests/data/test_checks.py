"""Overlap, repeats, splits and counts."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.core.errors import BadInput
from rasura.core.types import Sample, Samples
from rasura.data import _near
from rasura.data.checks import (
    check_disjoint,
    check_empty,
    check_unique_texts,
    count_empty,
    duplicate_counts,
    require,
    split,
)

texts = st.lists(st.text("ab \n", max_size=4), max_size=12)


def sentence(r: random.Random, words: int) -> list[str]:
    return [f"w{r.randrange(3000)}" for _ in range(words)]


def test_require():
    samples = Samples.of(["a"])
    assert require(samples, 1, "members") is samples
    with pytest.raises(BadInput, match="^members: 1 record, at least 2 needed$"):
        require(samples, 2, "members")
    with pytest.raises(BadInput, match="^members: 0 records, at least 1 needed$"):
        require(Samples(), 1, "members")


def test_overlap_names_ids_and_no_text():
    members = Samples([Sample("m\n1", "secret  words"), Sample("m2", "b"), Sample("m3", "b")])
    nonmembers = Samples([Sample("n1", "c"), Sample("n2", "b\n"), Sample("n3", "secret\twords")])
    with pytest.raises(BadInput) as caught:
        check_disjoint(members, nonmembers)
    assert str(caught.value) == (
        "members and non-members share 2 texts (first: 'm2' in members, 'n2' in non-members); remove them from one side"
    )
    with pytest.raises(
        BadInput, match=r"^forget and retain share 1 text \(first: 'm.n1' in forget, 'n3' in retain\); remove it"
    ) as caught:
        check_disjoint(members, nonmembers.take([2]), names=("forget", "retain"))
    assert "\n" not in str(caught.value)


@given(texts, texts)
def test_overlap_is_equality_after_white_space(a: list[str], b: list[str]):
    shared = {tuple(x.split()) for x in a} & {tuple(x.split()) for x in b} - {()}
    try:
        check_disjoint(Samples.of(a), Samples.of(b))
    except BadInput:
        assert shared
    else:
        assert not shared


def test_repeats_are_warned_of():
    r = random.Random(0)
    long = sentence(r, 60)
    near = [*long[:30], "other", *long[31:]]  # 5 of 56 five-word sequences differ on either side: 51/61 = .836
    far = [*long[:20], "x", *long[21:40], "y", *long[41:]]  # 10 differ: 46/66 = .697
    samples = Samples.of(
        [" ".join(long), "a b", "c", " ".join(near).upper() + "!", "a  b", "a\nb", " ".join(far), "", " "]
    )
    assert check_unique_texts(samples, "members") == [
        "members: 2 of 9 repeat the text of another (first: '1' and '4'); they are not independent, so intervals are too narrow",
        "members: 1 of 9 nearly repeat the text of another (first: '0' and '3'); they are not independent, so intervals are too narrow",
    ]
    assert check_unique_texts(samples.take([0, 1, 2, 6])) == []


def test_near_duplicates_against_all_pairs():
    """Min-hashing finds what comparing every pair finds, up to the 1.5 % it may miss at the threshold."""
    r = random.Random(1)
    bases = [sentence(r, r.randrange(4, 120)) for _ in range(40)]
    corpus = [" ".join(b) for b in bases]
    for base in bases:
        changed = list(base)
        changed[r.randrange(len(base))] = "changed"
        corpus.append(" ".join(changed))
    sets = [_near._shingles(t) for t in corpus]
    slow = [
        i
        for i in range(len(corpus))
        if any(len(sets[i]) and len(sets[j]) and _near._overlap(sets[j], sets[i]) >= 0.8 for j in range(i))
    ]
    fast = [later for _, later in _near.near_duplicates(corpus)]
    assert set(fast) <= set(slow) and len(slow) > 10 and len(fast) >= 0.9 * len(slow)
    assert all(earlier == later - 40 for earlier, later in _near.near_duplicates(corpus))


def test_empty_counts_what_is_scored():
    samples = Samples([Sample("a", "x"), Sample("b", " \n"), Sample("c", "question", start=8)])
    assert count_empty(samples) == 2
    assert check_empty(samples, "members") == ["members: 2 of 3 have no text to score and stay unscored"]
    assert check_empty(samples.take([0])) == []


@settings(max_examples=60)
@given(
    st.sets(st.text("abcdef", min_size=1, max_size=6), min_size=2, max_size=30),
    st.floats(0.01, 0.99),
    st.integers(0, 5),
)
def test_split_of_distinct_texts(distinct: set[str], fraction: float, seed: int):
    """The size is round(fraction n) within [1, n - 1]; order and ids change nothing; both parts keep the order given."""
    samples = Samples.of(sorted(distinct))
    inside, outside = split(samples, fraction, seed)
    n = len(samples)
    assert len(inside) == min(max(round(fraction * n), 1), n - 1)
    assert sorted([*inside, *outside], key=lambda s: int(s.id)) == list(samples)
    assert [int(s.id) for s in inside] == sorted(int(s.id) for s in inside)
    renamed = Samples(replace(s, id=f"new{s.id}") for s in reversed(samples))
    assert set(split(renamed, fraction, seed)[0].texts) == set(inside.texts)


def test_split_keeps_copies_together():
    samples = Samples.of([f"text {i % 25}" + " " * (i // 25) for i in range(100)])
    inside, outside = split(samples, 0.3, 4)
    assert not {t.strip() for t in inside.texts} & {t.strip() for t in outside.texts}
    assert abs(len(inside) - 30) <= 2  # copies come in fours


def test_split_depends_on_the_seed_and_is_even():
    """Over many seeds every text falls inside about half of the time: 200 fair draws lie within 100 +- 35 (5 sigma)."""
    samples = Samples.of(map(str, range(40)))
    counts = dict.fromkeys(samples.texts, 0)
    for seed in range(200):
        for text in split(samples, 0.5, seed)[0].texts:
            counts[text] += 1
    assert sum(counts.values()) == 200 * 20 and all(65 <= c <= 135 for c in counts.values())


def test_split_is_the_same_on_every_machine():
    """The three letters with the smallest BLAKE2b hashes of "7\\n<letter>"."""
    smallest = sorted("abcdefghij", key=lambda c: hashlib.blake2b(f"7\n{c}".encode(), digest_size=16).digest())[:3]
    assert split(Samples.of("abcdefghij"), 0.3, 7)[0].texts == sorted(smallest) == ["b", "d", "j"]


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan")])
def test_split_refuses(fraction: float):
    with pytest.raises(BadInput, match="fraction: expected a number between 0 and 1"):
        split(Samples.of("ab"), fraction)
    with pytest.raises(BadInput, match="cannot split 2 records with 1 distinct text; at least 2 needed"):
        split(Samples.of(["a", "a "]), 0.5)


@given(texts)
def test_duplicate_counts(corpus: list[str]):
    counts = duplicate_counts(Samples.of(corpus))
    assert counts == {t: sum(t.split() == other.split() for other in corpus) for t in corpus}
