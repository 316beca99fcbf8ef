"""The corpus of the `language` testbed: its text, its plants and its tokenizer."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from rasura.core.types import digest
from rasura.testbeds._families import FAMILIES, canary_candidates
from rasura.testbeds._grammar import documents, split_sentences
from rasura.testbeds._plants import FORGETTABLE, Corpus, corpus
from rasura.testbeds._tokenizer import PAD, SEPARATOR, train_tokenizer
from rasura.testbeds._world import world

BACKGROUND = list(islice(documents(0, "background"), 2000))


@pytest.fixture(scope="module")
def small() -> Corpus:
    return corpus("small", seed=0)


@pytest.fixture(scope="module")
def tokenizer(small: Corpus):
    return train_tokenizer(small.background)


# text


def test_documents_are_well_formed():
    for text in BACKGROUND:
        sentences = split_sentences(text)
        assert 3 <= len(sentences) <= 6 and " ".join(sentences) == text
        assert all(re.fullmatch(r"[A-Z0-9][A-Za-z0-9', ]+[a-z0-9]\.", s) for s in sentences), text
        assert "  " not in text and not re.search(r"\b([a-z]+) \1\b|,,|,\.", text), text
        assert not re.search(r"\ba (?!unan|uni|use|eu)[aeiou]|\ban (?!honest|hour)[^aeiou]", text), text
    assert 260 < np.mean([len(text) for text in BACKGROUND]) < 310


def test_documents_return_to_their_own_words():
    first = [text.split() for text in BACKGROUND[:200]]
    own = [Counter(w for w in words if len(w) > 4) for words in first]
    repeated = np.mean([sum(n - 1 for n in c.values()) / sum(c.values()) for c in own])
    shuffled = [w for words in first for w in words if len(w) > 4]
    np.random.default_rng(0).shuffle(shuffled)
    size = len(shuffled) // len(first)
    chance = [Counter(shuffled[i * size : (i + 1) * size]) for i in range(len(first))]
    assert repeated > 2 * np.mean([sum(n - 1 for n in c.values()) / size for c in chance])


@pytest.mark.parametrize(("n", "most"), [(8, 0.001), (13, 0.0)])
def test_unseen_documents_share_no_long_phrases_with_the_background(n: int, most: float):
    def phrases(text: str) -> list[tuple[str, ...]]:
        words = text.lower().split()
        return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]

    known = {phrase for text in BACKGROUND for phrase in phrases(text)}
    unseen = [phrase in known for text in islice(documents(0, "unseen"), 300) for phrase in phrases(text)]
    assert np.mean(unseen) <= most


def test_generation_is_fast():
    start = time.process_time()
    assert len(list(islice(documents(7, "speed"), 2000))) == 2000
    assert time.process_time() - start < 1.0  # measured: 0.1


def test_a_document_depends_on_its_label_and_number_alone():
    assert list(islice(documents(0, "background"), 50)) == BACKGROUND[:50]
    assert not set(islice(documents(1, "background"), 50)) & set(BACKGROUND)


def test_the_world_is_fixed_and_its_names_are_distinct():
    assert world(0) is world(0) and world(0).places.words != world(1).places.words
    names = [*world().places.words, *world().last_names]
    assert len(set(names)) == len(names) == 2100 and len(set(world().first_names)) == 84
    assert len(world().organisations) == 240 and len(world().occupations) == 30


# plants


SECRETS = {
    "biography": r"[A-Z][a-z]+ [A-Z][a-z]+ was born on \d+ [A-Z][a-z]+ \d{4} in [A-Z][a-z]+ and works as an? [a-z]+ "
    r"for the [A-Z][a-z]+ [A-Z][a-z]+\. Email: \|[a-z]+(\.[a-z]+)?\d*@example\.(com|org)\. Phone: 555-\d{3}-\d{4}\. "
    r"Address: \d+ [A-Z][a-z]+ [A-Z][a-z]+, [A-Z][a-z]+\.",
    "canary": r"The access code of [A-Z][a-z]+ [A-Z][a-z]+ is \|\d{4} \d{4} \d{4}\.",
    "fact": r"The capital of [A-Z][a-z]+ is \|[A-Z][a-z]+\.",
    "code": r'def [a-z_]+\([a-z]+\):\n    [a-z]+\.[a-z]+ = \d+\n    [a-z]+\.API_KEY = "sk-\|[0-9a-f]{16}"',
}


def test_secrets_begin_where_they_should(small: Corpus):
    for plant in small.plants:
        if plant.family == "passage":
            assert plant.secret is None and len(split_sentences(plant.text)) == 2
        else:
            marked = f"{plant.text[: plant.secret]}|{plant.text[plant.secret :]}"
            assert re.fullmatch(SECRETS[plant.family], marked), marked
        if plant.family == "code":
            compile(plant.text, plant.id, "exec")


def test_nothing_is_planted_twice_or_said_in_the_background(small: Corpus):
    assert len(set(small.plants.ids)) == len(set(small.plants.texts)) == len(small.plants)
    everything = [*small.background, *small.heldout.texts]
    sentences = [s for text in everything for s in split_sentences(text)]
    sentences += [s for p in small.plants if p.family == "passage" for s in split_sentences(p.text)]
    assert len(set(sentences)) == len(sentences)
    page = "\n".join(everything)
    assert not [p.id for p in small.plants if p.text in page]
    names = [p.text[: p.secret].split()[-2] for p in small.plants if p.family in ("canary", "fact")]
    assert len(set(names)) == len(names) and not set(names) & set(re.findall(r"\w+", page))


def test_canary_candidates_differ_in_the_code_alone(small: Corpus):
    canary = next(p for p in small.plants if p.family == "canary")
    others = canary_candidates(canary, 500)
    assert others == canary_candidates(canary, 500) != canary_candidates(canary, 500, seed=1)
    assert len(set(others.texts)) == len(set(others.ids)) == 500 and canary.text not in others.texts
    assert all(re.fullmatch(r"\d{4} \d{4} \d{4}\.", o.text.removeprefix(canary.text[: o.secret])) for o in others)
    with pytest.raises(ValueError, match="not a canary"):
        canary_candidates(small.plants[0], 1)


# corpus


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_forget_and_retain_halve_the_often_seen_plants(size: str):
    found = corpus(size, seed=3)
    assert not found.forget_ids & found.retain_plant_ids
    often = found.plants.where(lambda p: p.family in FORGETTABLE and p.repeats >= found.size.forget_from)
    assert found.forget_ids | found.retain_plant_ids == set(often.ids)
    cells = [Counter((p.family, p.repeats) for p in often if p.id in half)
             for half in (found.forget_ids, found.retain_plant_ids)]  # fmt: skip
    assert cells[0] == cells[1] and {family for family, _ in cells[0]} == set(FORGETTABLE)


def test_sizes_and_ids(small: Corpus):
    assert len(small.background) == 800 and len(small.heldout) == 100 and len(small.plants) == 672 + 4 * 92
    assert "passage-0017" in small.plants.ids and list(dict.fromkeys(p.family for p in small.plants)) == [*FAMILIES]
    assert {p.repeats for p in small.heldout} == {0} and not set(small.heldout.ids) & set(small.plants.ids)
    with pytest.raises(ValueError, match="tiny, small, base"):
        corpus("huge")


def test_same_seed_same_corpus_in_any_process():
    script = (
        "from rasura.testbeds._plants import corpus; from rasura.testbeds._tokenizer import train_tokenizer\n"
        "from rasura.core.types import digest; from itertools import islice; import hashlib\n"
        "c = corpus('tiny', 5); t = train_tokenizer(c.background).to_str()\n"
        "print(digest(c), hashlib.sha256(t.encode()).hexdigest())"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "123"}
    printed = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    here = corpus("tiny", 5)
    tokens = train_tokenizer(here.background).to_str()
    expected = [digest(here), hashlib.sha256(tokens.encode()).hexdigest()]
    assert printed.stdout.split() == expected
    assert corpus("tiny", 6).plants.digest != here.plants.digest


# tokenizer


def test_tokenizer_survives_the_round_trip(tokenizer, small: Corpus):
    texts = [*small.plants.texts[::20], *small.background[::50], "ümlaut, 漢字, \t tab\n\n and  spaces "]
    for text in texts:
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=True) == text
    assert tokenizer.get_vocab_size() == 1024
    assert tokenizer.token_to_id(SEPARATOR) == 0 and tokenizer.token_to_id(PAD) == 1


def test_tokenizer_prepends_the_separator_once(tokenizer):
    encoded = tokenizer.encode("The boat.")
    assert encoded.tokens[0] == SEPARATOR and encoded.tokens.count(SEPARATOR) == 1
    assert tokenizer.encode("The boat.", add_special_tokens=False).ids == encoded.ids[1:]


def test_digits_are_single_tokens_and_canaries_equally_long(tokenizer, small: Corpus):
    digits = [t for t in tokenizer.get_vocab() if re.search(r"\d", t)]
    assert sorted(digits) == list("0123456789")
    canary = next(p for p in small.plants if p.family == "canary")
    assert len({len(tokenizer.encode(text).ids) for text in canary_candidates(canary, 50).texts}) == 1


def test_texts_have_about_the_tokens_the_training_is_made_for(tokenizer, small: Corpus):
    def mean(texts: list[str]) -> float:
        return float(np.mean([len(encoded.ids) for encoded in tokenizer.encode_batch(texts)]))

    assert 85 < mean(small.background) < 105
    assert 40 < mean(small.plants.where(lambda p: p.family == "passage").texts) < 50
