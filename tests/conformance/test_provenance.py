"""Every ownership test: finds what was planted, gives uniform p values where nothing was, and breaks on nothing.

Thresholds, chosen once: on a model trained on the evidence p < .001 (.05 where m retrainings bound it from below); over
40 draws of the owner's choice on a model that saw none of it, a Kolmogorov-Smirnov test against uniform has p > .01.
"""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import json
import math
import random
from functools import cache

import numpy as np
import pytest
from scipy.stats import kstest

import _tiny
from rasura._mark import audit_mark
from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.protocols import Mark, OwnershipTest
from rasura.core.types import Samples
from rasura.data.transcripts import Transcript
from rasura.observations._engine import Engine

NAMES = registry.names("provenance")
CHEAP = {"fresh": 49, "draws": 499, "length": 5}  # settings that bound p from below and cost passes or time


def cheap(cls, **more):
    wanted = {**getattr(cls, "testbed_settings", {}), **CHEAP, **more}
    return cls(**{k: v for k, v in wanted.items() if k in {f.name for f in dataclasses.fields(cls)}})


def by_evidence(kind: str) -> list[str]:
    return [n for n in NAMES if registry.get("provenance", n).evidence == kind]


MARKS, TRANSCRIPTS, TEXTS = by_evidence("key"), by_evidence("transcript"), by_evidence("texts")


@cache
def stories(n: int = 60) -> Samples:
    """Short texts with words that have synonyms."""
    r = random.Random(5)
    texts = [
        f"{r.choice(_tiny.NAMES)} {r.choice(('carried', 'watched', 'opened'))} the {r.choice(('quiet', 'small', 'old', 'bright'))} "
        f"{r.choice(_tiny.NOUNS)} {r.choice(('slowly', 'often', 'quickly'))} and {r.choice(('found', 'lost', 'kept'))} "
        f"{r.randint(2, 99)} {r.choice(('green', 'narrow', 'heavy'))} {r.choice(_tiny.NOUNS)}s."
        for _ in range(n)
    ]
    return Samples.of(texts)


@pytest.fixture(scope="module")
def engine():
    return Engine()


def run(test, evidence, engine, **models):
    queries = test.queries(evidence, tuple(models))
    return test.test(evidence, **{n: engine.observe(q.ask, models, q.samples) for n, q in queries.items()})


@pytest.mark.parametrize("name", NAMES)
def test_default_settings_make_an_ownership_test(name):
    cls = registry.get("provenance", name)
    assert isinstance(cls(), OwnershipTest) and cls() == cls() and hash(cls()) == hash(cls())
    assert cls.evidence in ("key", "transcript", "texts") and cls.finds[0].islower()
    assert isinstance(cls(), Mark) == (cls.evidence == "key")
    assert not getattr(cls, "testbed_settings", {}) or cls.testbed_reason, "an exception needs its reason"


@pytest.mark.parametrize("name", MARKS)
def test_the_same_seed_marks_the_same_way_and_another_does_not(name):
    method = cheap(registry.get("provenance", name))
    one, same, other = (method.embed(stories(), seed=s) for s in (1, 1, 2))
    assert one.texts == same.texts and one.key == same.key
    assert one.texts != other.texts
    assert json.loads(json.dumps(one.key)) == one.key, "a key is plain data"
    assert method.embed(stories(), seed=2**127).texts, "secret seeds are long"


@pytest.mark.parametrize("name", MARKS)
def test_originals_are_untouched_and_every_text_has_its_copy(name):
    before = [(s.id, s.text) for s in stories()]
    marked = cheap(registry.get("provenance", name)).embed(stories(), seed=3)
    assert [(s.id, s.text) for s in stories()] == before
    assert len(marked.texts) == len(before)
    changed = np.mean([a != b for a, (_, b) in zip(marked.texts, before, strict=True)])
    assert changed > 0.5
    words = [
        len(set(a.split()) & set(b.split())) / len(set(b.split()))
        for a, (_, b) in zip(marked.texts, before, strict=True)
    ]
    assert min(words) >= 0.4, "most of a text stays as it was"


@pytest.mark.parametrize("name", MARKS)
def test_an_empty_text_is_left_empty(name):
    marked = cheap(registry.get("provenance", name)).embed(Samples.of(["", *stories().texts[:5]]), seed=3)
    assert marked.texts[0] == "" and len(marked.texts) == 6


@pytest.mark.parametrize("name", MARKS)
def test_it_finds_the_planted_mark(name, engine):
    method = cheap(registry.get("provenance", name), fresh=1099, draws=1999)
    quick = cheap(registry.get("provenance", name))
    marked = method.embed(stories(), seed=11)
    trained = _tiny.fit(_tiny.neox(3), list(marked.texts) * 4, 1)
    (first, *_) = run(method, marked.key, engine, target=trained)
    assert first.p_value < 0.001, f"{name}: p = {first.p_value}"
    (without, *_) = run(quick, marked.key, engine, target=_tiny.neox(4))
    assert without.p_value > 0.02
    other = method.embed(stories(), seed=12)
    (foreign, *_) = run(quick, other.key, engine, target=trained)
    assert foreign.p_value > 0.02, "somebody else's key finds nothing"


@pytest.mark.parametrize("name", MARKS)
def test_p_is_uniform_for_marks_the_model_never_saw(name, engine):
    method, model = cheap(registry.get("provenance", name)), planted_target()
    texts = stories().take(range(20))
    p = [run(method, method.embed(texts, seed=seed).key, engine, target=model)[0].p_value for seed in range(40)]
    assert kstest(p, "uniform").pvalue > 0.01


@cache
def planted_target():
    return _tiny.planted().models["target"]


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_could_be_scored_nothing_is_concluded(name):
    method = cheap(registry.get("provenance", name))
    texts = stories().take(range(20))
    evidence = {
        "key": lambda: method.embed(texts, seed=0).key,
        "transcript": lambda: order(120, 1),
        "texts": lambda: texts,
    }
    evidence = evidence[method.evidence]()
    queries = method.queries(evidence, ("target", "reference", "shuffle_1", "shuffle_2"))
    blank = {n: q.ask.what.blank("out of memory", len(q.samples)) for n, q in queries.items()}
    try:
        found = method.test(evidence, **blank)
    except BadInput as error:
        assert "\n" not in str(error)
    else:
        assert all(math.isnan(t.p_value) for t in found)


@pytest.mark.parametrize("name", MARKS)
def test_the_records_sentence_speaks_of_the_first_test(name, engine, tmp_path):
    method = cheap(registry.get("provenance", name))
    key = {"rasura_mark": 1, "method": name, "settings": dataclasses.asdict(method)}
    key["key"] = method.embed(stories().take(range(20)), seed=0).key
    (tmp_path / "mark.json").write_text(json.dumps(key))
    record = audit_mark(_tiny.neox(4), tmp_path / "mark.json", engine=engine)
    assert record.tests[0].name in record.verdict and not record.leaks
    assert record.method.name == name and record.verdict.endswith(".")
    secret = [w for w in json.dumps(key["key"]).replace('"', " ").split() if len(w) > 7 and w.isalpha()]
    from rasura.core.records import from_json, to_json

    assert from_json(to_json(record)) == record
    assert not [w for w in secret if w in to_json(record)], "nothing of the key reaches a record"


def order(n: int, seed: int, blocks: int = 0) -> Transcript:
    texts, rng = _tiny.texts(n, seed=40), np.random.default_rng(seed)
    block = np.repeat(np.arange(blocks), n // blocks) if blocks else np.full(n, -1)
    place = rng.permutation(blocks)[block] if blocks else rng.permutation(n)
    return Transcript(Samples.of(texts), place.astype(float), block)


@cache
def trained_in_order(n: int = 120, seed: int = 1):
    """A model that knew the language, trained on the texts in order, three plain gradient steps each."""
    import torch

    transcript, model = order(n, seed), planted_target().clone()
    optimiser = torch.optim.SGD(model.module.parameters(), lr=0.3)
    for at in np.repeat(np.argsort(transcript.position), 3):
        loss = -model.score(transcript.samples.take([at])).token_mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.module.parameters(), 1.0)
        optimiser.step()
    model.weights_changed()
    return model


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_it_finds_the_order_a_model_was_trained_in(name, engine):
    method = cheap(registry.get("provenance", name), draws=4999)
    reference = planted_target()
    (first, *_) = run(method, order(120, 1), engine, target=trained_in_order(), reference=reference)
    assert first.p_value < 0.001 and first.statistic.value > 0
    (other, *_) = run(method, order(120, 2), engine, target=trained_in_order(), reference=reference)
    assert other.p_value > 0.001


@pytest.mark.parametrize("name", TRANSCRIPTS)
@pytest.mark.parametrize("blocks", [0, 24])
def test_p_is_uniform_for_orders_the_model_was_not_trained_in(name, blocks, engine):
    """A model that knows the texts, in another order: over random orders p is uniform, with or without blocks."""
    method = cheap(registry.get("provenance", name))
    p = [run(method, order(120, 100 + s, blocks), engine, target=trained_in_order())[0].p_value for s in range(60)]
    assert kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("name", TEXTS)
def test_it_tells_the_true_order_from_others(name, engine):
    """Likelihoods that differ by hand-made models: the one trained longest on the texts is the true one."""
    method = cheap(registry.get("provenance", name))
    texts = Samples.of(_tiny.texts(12, seed=60))
    shuffles = {f"shuffle_{i}": _tiny.neox(20 + i) for i in range(4)}
    true = _tiny.fit(_tiny.neox(20), texts.texts * 6, 1)
    (found,) = run(method, texts, engine, target=true, **shuffles)
    assert found.p_value == pytest.approx(1 / 5)
    (not_found,) = run(method, texts, engine, target=_tiny.neox(20), **(shuffles | {"shuffle_0": true}))
    assert not_found.p_value > 1 / 5


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_holds_formula_source_and_a_number_by_hand(name):
    cls = registry.get("provenance", name)
    text, module = inspect.getdoc(cls) or "", registry.module_of("provenance", name)
    assert any(line.startswith("    ") and "p " in line and "=" in line for line in text.splitlines()), (
        "a formula, set off"
    )
    assert "Source: " in text and "eviation" in text and "By hand" in text
    assert [t for t in doctest.DocTestFinder().find(module, module.__name__) if t.examples], "a worked number"
    assert cls.paper.startswith("arXiv:")
