"""Other beginnings: the same words must be asked for, and a secret never lies in the prompt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rasura.attacks.prefixes import Prefixes, completes, without_first_words
from rasura.core.errors import BadInput
from rasura.core.types import Budget, Request, Sample, Samples


def test_words_are_dropped_with_their_blank_and_positions_move_along():
    sample = Sample("a", "The code of Anna is 4071.", start=4, secret=20)
    for words in range(1, 5):
        shorter = without_first_words(sample, words)
        assert sample.text.endswith(shorter.text) and shorter.text[shorter.secret :] == "4071."
        assert shorter.start == max(0, 4 - (len(sample.text) - len(shorter.text)))


def test_words_are_never_dropped_into_the_secret():
    """The fifth word ends at 19, the secret begins at 20; the sixth is the secret."""
    sample = Sample("a", "The code of Anna is 4071.", secret=20)
    assert without_first_words(sample, 5).text == " 4071."
    assert without_first_words(sample, 6) is None
    assert without_first_words(Sample("b", "One two"), 2) is None


def test_dropping_words_keeps_the_tokens_that_are_asked_for(planted):
    model = planted.models["target"]
    for sample in planted.forget:
        shorter = without_first_words(sample, 2)
        a, b = model.encode(sample).ids, model.encode(shorter).ids
        assert np.array_equal(a[-8:], b[-8:]) and len(b) < len(a)


def test_a_later_start_is_asked_for_the_same_words(planted):
    """Greedy decoding from the shortened prompt, done by transformers itself, agrees with the score."""
    import torch

    model, attack = planted.models["target"], Prefixes(contexts=(), dropped=(2,))
    request = Request(planted.forget, Samples())
    line = attack.attack(model, request, Budget()).evidence[-1]
    hits = 0
    for sample in planted.forget:
        ids, shorter = model.encode(sample).ids, model.encode(without_first_words(sample, 2)).ids
        left = len(ids) - 1 - (len(ids) - 1) // 2  # the first token is not scored
        with torch.no_grad():
            out = model.module.generate(
                torch.tensor(shorter[:-left])[None], max_new_tokens=left, do_sample=False, pad_token_id=1
            )
        hits += np.array_equal(out[0, -left:].numpy(), ids[-left:]) and out.shape[1] == len(shorter)
    assert f": recovered {hits} of 8" in line.replace("dropped:", "dropped: recovered") and 0 < hits < 8


def test_one_way_in_is_enough(planted):
    request = Request(planted.forget, Samples())
    found = Prefixes().attack(planted.models["target"], request, Budget())
    usual = Prefixes(contexts=(), dropped=()).attack(planted.models["target"], request, Budget())
    assert (found.score >= usual.score).all() and len(found.evidence) == 7


def test_a_marked_secret_is_not_moved(planted):
    """Other cuts would give away part of the secret or ask for more than it."""
    records = Samples(replace(s, secret=len(s.text) - 4) for s in planted.forget)
    found = Prefixes().attack(planted.models["target"], Request(records, Samples()), Budget())
    assert not any("%" in line for line in found.evidence if not line.endswith(" 0 records"))


def test_a_budget_leaves_out_the_last_word_counts():
    rank = np.zeros(60, dtype=int)
    rank[55] = 1
    assert completes(rank, 5) and not completes(rank, 6)  # 50 tokens: 5..54, and 6..55


def test_queries_are_capped(planted):
    request = Request(planted.forget, Samples())
    for budget, expected in ((8, 8), (20, 16), (1000, 32)):
        assert Prefixes().attack(planted.models["target"], request, Budget(queries=budget)).spent.queries == expected


@pytest.mark.parametrize("settings", [{"contexts": (1.0,)}, {"contexts": (-0.1,)}, {"dropped": (0,)}])
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(BadInput, match="prefixes"):
        Prefixes(**settings)
