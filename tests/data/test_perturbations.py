"""Perturbed texts: the same every time, near the original, and positions that stay valid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Ask, Sample, Samples
from rasura.data.perturbations import KINDS, Perturbed
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenStatistics

TEXTS = Samples.of([" ".join(_tiny.texts(4, 3)), *_tiny.texts(5, 4)])


@pytest.mark.parametrize("kind", KINDS)
def test_it_depends_on_the_text_and_the_seed_alone(kind):
    together = Perturbed(kind).apply(TEXTS)
    alone = [Perturbed(kind).apply(Samples([s]))[0].text for s in reversed(TEXTS)]
    assert together.texts == alone[::-1]
    assert together[0].text != TEXTS[0].text
    if kind != "underscores":  # which changes every space
        assert Perturbed(kind, seed=1).apply(TEXTS)[0].text != together[0].text


def test_what_each_kind_changes():
    text = TEXTS[0].text
    typos, deletion, case, whitespace, underscores = (Perturbed(k).apply(TEXTS)[0].text for k in KINDS)
    changed = sum(a != b for a, b in zip(text, typos, strict=True))
    assert 0 < changed < 0.12 * len(text) and [c.isupper() for c in typos] == [c.isupper() for c in text]
    words = iter(text.split())
    assert all(word in words for word in deletion.split())  # in order
    assert 0.5 < len(deletion.split()) / len(text.split()) < 1
    assert case.lower() == text.lower() and case != text
    assert whitespace.replace(" ", "") == text.replace(" ", "") and underscores == text.replace(" ", "_")


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=60), start=st.integers(0, 60))
def test_context_stays_and_nothing_crashes(kind, text, start):
    sample = Sample("0", text, start=min(start, len(text)))
    found = Perturbed(kind, rate=0.5).apply(Samples([sample]))[0]
    assert found.text[: sample.start] == text[: sample.start] and found.start == sample.start
    assert not text[sample.start :].split() or found.text[sample.start :].split()  # at least one word stays


def test_other_kinds_are_refused():
    with pytest.raises(BadInput, match="typos, deletion"):
        Perturbed("synonyms")
    with pytest.raises(BadInput, match="rate"):
        Perturbed("typos", rate=2.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_that_fills_the_context_is_cut_and_not_refused(kind):
    """Spoiled words need more tokens: what no longer fits is left out at the end."""
    model = _tiny.neox()
    full = model.fit(Samples.of([" ".join(_tiny.texts(12, 5))]), truncate=True)
    assert model.width(full[0]) > 0.95 * model.context
    data = Engine().observe(Ask(TokenStatistics(), view=Perturbed(kind, seed=1)), {"target": model}, full)
    assert 0 < data.tokens[0] < model.context and data.reason[0] == ""
