"""The studies that train their own models, made small enough for a test: what they set up, and that they run."""

from __future__ import annotations

import re

import numpy as np

from _study import run
from rasura.claims import _marked_texts as marked
from rasura.claims._course import Course, numbered, shuffled
from rasura.claims._descendants import CHILD, OTHER, SELF, Descendants
from rasura.claims._leaked_answers import LeakedAnswers, asked, half, is_right
from rasura.claims._marked_texts import GHOST, RANDOM, RARE, MarkedTexts, any_synonyms, synonym_lines
from rasura.core.types import Sample, Samples
from rasura.provenance._synonyms import synonym_table
from rasura.testbeds._grammar import documents

MARKED = MarkedTexts("tiny", 30, (1, 2), members=4, nonmembers=8, ghost_doses=(1, 2), phrases=(2, 2), fresh=9)


def background(n: int) -> list[str]:
    stream = documents(5, "test", sentences=(2, 2))
    return [next(stream) for _ in range(n)]


def test_a_course_reads_in_order_and_once():
    """Copies as often as ``repeats``, another seed another order; training moves the weights and a child's alone."""
    twice = Samples([Sample("a", "one", repeats=2), Sample("b", "two"), Sample("c", "three", repeats=0)])
    assert sorted(shuffled(twice, 0)) == ["one", "one", "two"]
    assert shuffled(numbered(background(9), "x"), 0) != shuffled(numbered(background(9), "x"), 1)
    course = Course.of("tiny", background(30))
    model = course.untrained(0)
    child = course.read(model.clone(), background(30))
    assert child.fingerprint != model.fingerprint == course.untrained(0).fingerprint != course.untrained(1).fingerprint
    assert course.read(model.clone(), background(30)).fingerprint == child.fingerprint
    assert course.read(model.clone(), background(30)[::-1]).fingerprint != child.fingerprint


def test_synonyms_keep_sentences_right(tmp_path):
    """Every set has a word of one kind and topic; no word stands in two sets; a stays a and an stays an."""
    texts, path = background(200), tmp_path / "synonyms.txt"
    path.write_text(synonym_lines(texts, 4))
    table = synonym_table(str(path))
    sets = set(table.sets.values())
    assert sum(len(s) for s in sets) == len(table.sets) and all(2 <= len(s) <= 8 for s in sets)
    assert "boat" in table.sets and any("mast" in s or "sail" in s for s in sets)
    article = re.compile(r"\ban? [a-z]+")
    lexical = marked.LexicalMark(synonyms=str(path))
    made = lexical.embed(numbered(texts, "t"), seed=1)
    slots = {t["id"]: t["slots"] for t in made.key["texts"]}
    assert np.mean([len(s) for s in slots.values()]) > 3
    rng = np.random.default_rng(0)
    for sample, published in zip(numbered(texts, "t"), made.texts, strict=True):
        other = any_synonyms(published, slots.get(sample.id, []), table, rng)
        assert len(other.split()) == len(published.split()) == len(sample.text.split())
        for a, b in zip(article.findall(published), article.findall(other), strict=True):
            assert (a[2:].strip()[0] in "aeiou") == (b[2:].strip()[0] in "aeiou")


def test_texts_of_the_arms_are_different_ones_and_unseen_ones_the_same(tmp_path):
    seen: set[str] = set()
    lexical = marked._Lexical(MARKED, 0, background(50), tmp_path / "s.txt", seen)
    read = [{s.text for s in arm if s.repeats} for arm in lexical.arms.values()]
    assert [len(r) for r in read] == [8, 8, 8] and not (read[0] & read[1] | read[1] & read[2])
    assert sum(s.repeats for s in lexical.read) == 3 * (4 * 1 + 4 * 2)
    plain, rare = (lexical.arms[a].where(lambda s: not s.repeats) for a in ("plain", RARE))
    assert all(len(a.text.split()) == len(b.text.split()) for a, b in zip(plain, rare, strict=True))


def test_passphrases_stand_in_as_many_documents_as_their_dose():
    ghosts = marked._Ghosts(MARKED, 0, set())
    for dose, key in ghosts.keys:
        assert sum(key["phrases"][0] in s.text for s in ghosts.read) == dose
    assert len({s.text for s in ghosts.read}) == len(ghosts.read) == 2 * 1 + 2 * 2


def test_marked_texts():
    data = run(MARKED)
    assert (data.kind == RANDOM).sum() == 16 and (data.kind == GHOST).sum() == 4
    assert np.isfinite(data.lowest[data.kind == RARE]).all() and np.isfinite(data.shift[data.kind == RARE]).any()
    assert np.isfinite(data.p_value[data.kind == GHOST]).all() and np.isnan(data.said[data.kind == RARE]).all()


def test_answers_begin_at_a_blank_in_the_middle():
    texts = background(60)
    course = Course.of("tiny", texts)
    starts = [half(text, course) for text in texts]
    assert all(text[i] == " " for text, i in zip(texts, starts, strict=True))
    shares = [len(course.ids_of(t[:i])) / len(course.ids_of(t)) for t, i in zip(texts, starts, strict=True)]
    assert 0.4 < min(shares) and max(shares) < 0.6
    stream, rows = asked("tiny", 3), LeakedAnswers("tiny", shortest=5)
    items = [rows._next_item(stream, course) for _ in range(10)]
    assert all(is_right(s.text[s.start :]) for s in items) and len({s.text for s in items}) == 10


def test_leaked_answers(planted):
    """Peaks, shares and accuracies of eight questions, four of which leaked; all true answers are right and long enough."""
    study = LeakedAnswers("tiny", items=8, doses=(1, 3), shortest=10, longest=90, draws=3, clean_draws=2, tokens=8)
    data = run(study, planted)
    assert sorted(data.dose) == [0, 0, 0, 0, 1, 1, 3, 3]
    for column in (data.peak, data.raw, data.corrected, data.clean, data.left, data.overlap):
        assert ((column >= 0) & (column <= 1)).all()


class Reader:
    """In place of a model: says what would be read."""

    def __init__(self, course):
        self.ids_of, self.tokenizer = course.ids_of, course.tokenizer

    def clone(self):
        return self

    def read(self, model, texts, **_):
        return list(texts)


def test_the_clean_model_reads_the_same_with_others_for_what_leaked():
    """As many fresh documents as leaked copies, in the same order; a substitute is a question, and never the same twice."""
    questions, study = asked("tiny", 0), LeakedAnswers("tiny", shortest=5)
    reader = Reader(Course.of("tiny", background(60)))
    items = study._items(questions, reader).take(range(4))
    leaky, clean = study._fine_tuned(reader, reader, questions, items, np.array([3, 1, 0, 0]), 0)
    assert [leaky.count(s.text) for s in items] == [3, 1, 0, 0] and len(set(clean)) == len(clean) == len(leaky) == 8
    changed = [(a, b) for a, b in zip(leaky, clean, strict=True) if a != b]
    assert len(changed) == 4 and all(a in items.texts and is_right(b) for a, b in changed)


def test_descendants():
    """Three models, every order put to its own model, its child and one that is independent of it."""
    data = run(Descendants("tiny", texts=60, runs=3, new_share=0.3, draws=99))
    assert data.kind.tolist() == [SELF, CHILD, OTHER] * 3
    assert ((data.p_value >= 0.01) & (data.p_value <= 1)).all() and (np.abs(data.correlation) < 1).all()
