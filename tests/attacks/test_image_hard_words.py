"""Searches for prompts that can be typed: what is proposed is what is drawn, and a prompt that works is settled."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import _coin_judge
from rasura.attacks import _hard_words, _soft_words
from rasura.attacks._drawing import Plan, counted
from rasura.core.errors import BadInput
from rasura.core.types import Request, Samples


class Sees:
    """A judge that sees the concept always, or never."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer

    def sees(self, pictures, shows):
        return torch.full((len(pictures),), self.answer)


def search(model, rows, texts, answer: bool = False) -> _hard_words.Search:
    samples = Samples.of(texts)
    request = Request(samples, Samples(), "ring", Sees(answer))
    return _hard_words.Search(
        model, request, samples, rows, _soft_words.vocabulary(model, "ring"), Plan(6, 1, 3), 0, 2, 4.0
    )


@pytest.mark.parametrize("row", [[None, None, "a", "red", "ring"], ["a", None, "red", "ring", None], [None]])
def test_a_proposal_is_read_back_as_the_tokens_that_were_searched(row):
    model = _coin_judge.handle()
    ids = [None if w is None else _soft_words.word_ids(model, w)[0] for w in row]
    one = search(model, [ids], ["a red ring"])
    chosen = np.arange(sum(i is None for i in ids))[None] + 4
    text = one.prompts(chosen)[0]
    fresh = iter(one.words.ids[chosen[0]].tolist())
    assert _soft_words.word_ids(model, text) == [next(fresh) if i is None else i for i in ids]


def test_a_prompt_that_works_as_it_is_needs_no_search():
    model, taken = _coin_judge.handle(), []
    one = search(model, [[None, 320]], ["a red ring"], answer=True)
    with counted(model) as counter:
        one.go(taken.append, lambda: np.zeros((1, 1), dtype=int))
        found = one.result(counter)
    assert not taken and one.found == {0: "a red ring"} and found.score.tolist() == [1.0]
    assert found.spent.steps == 0 and found.spent.samples == 2 and found.spent.queries == 2 * 2 * 2
    assert found.evidence[0].startswith("1 of 1 prompts need no search")


def test_where_nothing_works_all_steps_are_taken_and_the_last_proposal_is_drawn():
    model, taken = _coin_judge.handle(), []
    one = search(model, [[None, 320]], ["a red ring"])
    with counted(model) as counter:
        one.go(taken.append, lambda: np.full((1, 1), len(taken)))
        found = one.result(counter)
    assert taken == list(range(6)) and not one.found and found.score.tolist() == [0.0]
    assert one.last[0].split()[0] == one.words.words[6]
    assert found.spent.samples == 1 + 3  # one scored, three looks


def test_nothing_to_search_is_said():
    model = _coin_judge.handle()
    everything = " ".join(w for w in model.tokenizers[0].get_vocab())
    with pytest.raises(BadInput):
        _soft_words.vocabulary(model, everything)
