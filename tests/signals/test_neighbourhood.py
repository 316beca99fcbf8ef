"""Neighbours: which swaps are made, how they are scored, and the slips of public code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import _tiny
import _tiny_masked
from rasura.core.errors import BadInput, NeedsRole
from rasura.core.types import Ask, Ragged, Sample, Samples
from rasura.observations._engine import Engine
from rasura.observations._swaps import Span, Swap, Words, best
from rasura.observations.neighbour_statistics import NeighbourLikelihoods, NeighbourStatistics
from rasura.observations.neighbour_texts import NeighbourTexts
from signals._named import signal
from signals.test_slips import token_data

TEXT = "David answered 79 broken letters and crossed the teacher of Klara in 1594."
SOURCES = ("masked", "reference", "random")


def models():
    return {"target": _tiny.neox(), "reference": _tiny.neox(seed=1), "masked": _tiny_masked.masked()}


def neighbours(what: NeighbourTexts, samples: Samples, given_models=None) -> list[list[str]]:
    data = Engine().observe(Ask(what, of=what.role), given_models or models(), samples)
    return [row[:count].tolist() for row, count in zip(data.texts, data.count, strict=True)]


def test_a_minimum_over_neighbours():
    """Slip: the smallest difference. Right: minus the mean: -1 - (-2 - 3)/2 = 1.5."""
    likelihoods = NeighbourLikelihoods(Ragged.of([[-2.0, -3.0], []], np.float64), np.array(["", "none"], dtype=object))
    scores = signal("neighbourhood").score(token_data([-1.0] * 8, [-1.0] * 8), likelihoods)
    assert scores[0] == 1.5 and np.isnan(scores[1])


@pytest.mark.parametrize("source", SOURCES)
def test_every_neighbour_differs_in_one_word(source):
    """And in nothing else: no blank, capital or sign changes elsewhere, as when a text is joined from tokens anew."""
    found = neighbours(NeighbourTexts(source, neighbours=20), Samples.of([TEXT]))[0]
    assert len(found) == len(set(found)) == 20 and TEXT not in found
    for text in found:
        left = next(i for i, (a, b) in enumerate(zip(text, TEXT, strict=False)) if a != b)
        right = next(i for i, (a, b) in enumerate(zip(text[::-1], TEXT[::-1], strict=False)) if a != b)
        swapped = TEXT[left : max(left, len(TEXT) - right)]
        assert not swapped.strip() or " " not in swapped.strip()


def test_the_chance_given_that_it_is_another_token():
    """p(c)/(1 - p(x_j)), also where p(x_j) is all but 1 and 1 - p is lost in rounding."""
    masked = _tiny_masked.bert()
    ids = masked.places(TEXT).ids
    at = np.array([3, 7])
    found, chance = masked.likely(ids, at, 5, 0.0, 0)
    with torch.no_grad():
        p = masked.module(input_ids=torch.from_numpy(ids)[None]).logits[0].softmax(-1).numpy().astype(np.float64)
    for row, (j, likely, scores) in enumerate(zip(at, found, chance, strict=True)):
        others = p[j] / (1 - p[j, ids[j]])
        others[ids[j]] = 0
        assert likely.tolist() == np.argsort(-others)[:5].tolist(), row
        np.testing.assert_allclose(scores, np.sort(others)[::-1][:5], rtol=1e-4)
    with torch.no_grad():
        masked.module.cls.predictions.decoder.bias[ids[3]] += 60.0  # the token there is certain
    assert np.isfinite(masked.likely(ids, at[:1], 5, 0.0, 0)[1]).all()


def test_a_place_is_partly_hidden_and_no_other():
    """Dropout p = 1 hides a token's embedding altogether; p = 0 shows it; between, the draw is the seed's."""
    masked = _tiny_masked.masked()
    ids, at = masked.places(TEXT).ids, np.array([5])
    shown, hidden = (masked.likely(ids, at, 3, p, 0)[1] for p in (0.0, 1.0))
    one, again, other = (masked.likely(ids, at, 3, 0.7, seed)[1] for seed in (1, 1, 2))
    assert not np.allclose(shown, hidden) and one.tolist() == again.tolist() != other.tolist()
    changed = ids.copy()
    changed[5] = ids[6]
    np.testing.assert_allclose(masked.likely(changed, at, 300, 1.0, 0)[1].sum(), 1, atol=0.2)


@settings(max_examples=5)
@given(st.integers(0, 1000), st.sampled_from([1, 3, 7]))
def test_places_looked_at_together_and_one_by_one(seed, size):
    masked = _tiny_masked.masked()
    ids = masked.places(_tiny.texts(1, seed)[0]).ids
    at = np.arange(1, 1 + size)
    together = masked.likely(ids, at, 4, 0.7, seed)
    for row, j in enumerate(at):
        alone = masked.likely(ids, at[row : row + 1], 4, 0.7, seed)
        np.testing.assert_allclose(together[1][row], alone[1][0], atol=1e-5)
        assert j == at[row]


def test_the_reference_model_offers_its_next_tokens():
    """Source "reference" against the obvious loop: the most likely other token over all places, by p(c)/(1 - p(x_t))."""
    reference = _tiny.neox(seed=1)
    ids = reference.tokenizer(TEXT)["input_ids"]
    with torch.no_grad():
        p = reference.module(input_ids=torch.tensor([ids])).logits[0].softmax(-1).numpy().astype(np.float64)
    offsets = reference.tokenizer(TEXT, return_offsets_mapping=True)["offset_mapping"]
    words, swaps = Words(reference.tokenizer), []
    for t in range(1, len(ids)):
        others = p[t - 1] / (1 - p[t - 1, ids[t]])
        b, e = offsets[t]
        span = Span(ids[t], b + (TEXT[b] == " "), e)
        for c in [c for c in np.argsort(-others)[:60].tolist() if c != ids[t] and words.written(TEXT, span, c)][:2]:
            swaps.append(Swap(span.begin, e, words.written(TEXT, span, c), others[c]))
    found = neighbours(NeighbourTexts("reference", neighbours=6, candidates=2), Samples.of([TEXT]))[0]
    assert found == best(TEXT, swaps, 6) or set(found) == set(best(TEXT, swaps, 6))


def test_which_words_fit():
    """A piece that goes on is not written as a word, a sign not as a word, and capitals survive a model without them."""
    tokenizer = _tiny_masked.wordpiece()
    words, vocabulary = Words(tokenizer), tokenizer.get_vocab()
    place = tokenizer("Anna ran.", return_offsets_mapping=True)
    ids, offsets = place["input_ids"], place["offset_mapping"]
    first = Span(ids[1], *offsets[1])
    assert words.written("Anna ran.", first, vocabulary["boris"]) == "Boris"
    assert words.written("anna ran.", first, vocabulary["boris"]) == "boris"
    going_on = next(i for piece, i in vocabulary.items() if piece.startswith("##"))
    for token in (going_on, vocabulary["."], vocabulary["[MASK]"]):
        assert words.written("Anna ran.", first, token) == ""
    assert words.written("Anna ran.", Span(ids[0], 0, 0), vocabulary["boris"]) == ""


@pytest.mark.parametrize("source", SOURCES)
def test_the_context_of_a_record_is_left_alone(source):
    half = TEXT.index("crossed")
    sample = Sample("q", TEXT, start=half)
    found = neighbours(NeighbourTexts(source, neighbours=8), Samples([sample]))[0]
    assert found and all(text.startswith(TEXT[:half]) for text in found)
    assert neighbours(NeighbourTexts(source), Samples([Sample("c", TEXT, start=len(TEXT)), Sample("e", "")])) == [
        [],
        [],
    ]


@pytest.mark.parametrize("source", SOURCES)
def test_neighbours_do_not_depend_on_order_and_company(source):
    what, samples = NeighbourTexts(source, neighbours=6), Samples.of([*_tiny.texts(3, 7), TEXT])
    assert neighbours(what, samples.take([3, 1]))[::-1] == [neighbours(what, samples)[i] for i in (1, 3)]
    again = NeighbourTexts(source, neighbours=6, seed=1)
    assert (neighbours(again, samples) == neighbours(what, samples)) == (source == "reference")  # no draw in that one


def test_pads_in_the_loss_of_a_neighbour():
    """Slip: neighbours are scored with padding, or without the tokens of probability 1. Right: each as if alone."""
    what = NeighbourStatistics(NeighbourTexts("reference", neighbours=12))
    given_models, samples = models(), Samples.of([TEXT, " ".join(_tiny.texts(2, 5))])
    data = Engine().observe(Ask(what), given_models, samples)
    for row, texts in zip(data.mean_log_probability, neighbours(what.texts, samples, given_models), strict=True):
        alone = [given_models["target"].score(Samples.of([t])).sample_means().item() for t in texts]
        np.testing.assert_allclose(row, alone, atol=1e-5)


def test_a_neighbour_too_long_for_the_context_is_left_out():
    """The text fills the context to the last token; some swaps are cut into more tokens by the target, and are dropped."""
    target = _tiny.neox()
    text = target.fit(Samples.of([" ".join(_tiny.texts(9, 5))]), truncate=True)[0].text
    what = NeighbourStatistics(NeighbourTexts("masked", neighbours=40))
    data = Engine().observe(Ask(what), {**models(), "target": target}, Samples.of([text]))
    assert len(target.encode(Sample("0", text)).ids) >= 127
    assert 0 < data.mean_log_probability.lengths[0] <= 40 and np.isfinite(data.mean_log_probability.values).all()


def test_the_bill_and_the_roles():
    assert NeighbourStatistics(NeighbourTexts(neighbours=9)).passes == (9, 0)
    assert [NeighbourTexts(s).passes for s in SOURCES] == [(64, 0), (1, 0), (0, 0)]
    assert [NeighbourTexts(s).role for s in SOURCES] == ["masked", "reference", "target"]
    with pytest.raises(NeedsRole, match="masked"):
        Engine().observe(Ask(NeighbourStatistics()), {"target": _tiny.neox()}, Samples.of([TEXT]))


def test_a_model_of_the_wrong_kind_is_named():
    with pytest.raises(BadInput, match="masked language model"):
        neighbours(NeighbourTexts("masked"), Samples.of([TEXT]), {"masked": _tiny.neox()})
    with pytest.raises(BadInput, match="need a language model; this is BertForMaskedLM"):
        neighbours(NeighbourTexts("reference"), Samples.of([TEXT]), {"reference": _tiny_masked.bert()})


@pytest.mark.parametrize(
    "setting", [{"source": "t5"}, {"neighbours": 0}, {"candidates": 0}, {"dropout": 1.5}, {"dropout": -0.1}]
)
def test_settings_that_make_no_sense(setting):
    with pytest.raises(BadInput, match=next(iter(setting))):
        signal("neighbourhood", **setting)
