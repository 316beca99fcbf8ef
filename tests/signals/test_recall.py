"""ReCaLL: the same tokens in both passes, nothing that does not fit, and the slips of public code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Ask, Sample, Samples
from rasura.observations._engine import Engine
from rasura.observations.conditional_statistics import (
    NO_ROOM,
    NOTHING_IN_FRONT,
    ConditionalStatistics,
    _rows_without_memory,
    _without_front,
)
from rasura.observations.token_statistics import TokenStatistics
from signals._named import signal

SHOTS = tuple(f"{text} " for text in _tiny.texts(3, 50))


def log_probabilities(model, ids):
    """The obvious way: log p of every token but the first."""
    with torch.no_grad():
        logits = model.module(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    return logits[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].numpy()


def behind(model, text, shots=SHOTS):
    """(log p of the scored tokens behind the shots, alone) from two passes over ids that were cut apart."""
    front, own = (model.tokenizer(t)["input_ids"] for t in ("".join(shots), text))
    bare = without_separator(model, own)
    scored = len(own) - 1  # alone, the first token has nothing before it; behind the shots it is left out as well
    return log_probabilities(model, [*front, *bare])[-scored:], log_probabilities(model, own)


def without_separator(model, ids):
    """Without what the tokenizer puts in front of every text: behind the shots it would begin another document."""
    return ids[1:] if ids[0] in model.tokenizer.all_special_ids else ids


def observed(recall, model, samples):
    return recall.score(
        **{name: Engine().observe(ask, {"target": model}, samples) for name, ask in recall.needs().items()}
    )


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.integers(0, 3), st.sampled_from(["neox", "llama"]))
def test_shared_memory_gives_what_reading_everything_again_gives(seed, shots, name):
    model, texts = getattr(_tiny, name)(), [*_tiny.texts(2, seed), _tiny.texts(1, seed + 1)[0][:30]]
    found = ConditionalStatistics(SHOTS[:shots]).measure(model, Samples.of(texts))
    for text, row in zip(texts, found.log_probability, strict=True):
        expected = behind(model, text, SHOTS[:shots])[0] if shots else []
        np.testing.assert_allclose(row, expected, atol=2e-5)


def test_the_slow_way_is_kept_for_models_without_memory():
    model, samples = _tiny.llama(), Samples.of(_tiny.texts(3, 8))
    fast = ConditionalStatistics(SHOTS).measure(model, samples).log_probability
    front = np.array(model.tokenizer("".join(SHOTS))["input_ids"])
    with torch.inference_mode():
        slow = list(_rows_without_memory(model, front, [_without_front(model, model.encode(s)) for s in samples]))
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_the_ratio_and_the_difference_by_hand():
    model, text = _tiny.neox(), _tiny.texts(1, 12)[0]
    conditional, alone = (row.mean() for row in behind(model, text))
    samples = Samples.of([text])
    assert observed(signal("recall", prefix=SHOTS), model, samples)[0] == pytest.approx(conditional / alone, abs=1e-5)
    difference = observed(signal("recall", form="difference", prefix=SHOTS), model, samples)[0]
    assert difference == pytest.approx(alone - conditional, abs=1e-5)


def test_a_mean_over_prefix_and_target(planted):
    """Slip: one mean over the shots and the text. Right: the text's tokens alone, and the same ones in both passes."""
    model, text = planted.models["target"], planted.members[0].text
    front, own = (model.tokenizer(t)["input_ids"] for t in ("".join(SHOTS), text))
    diluted = log_probabilities(model, [*front, *own]).mean() / log_probabilities(model, own).mean()
    score = observed(signal("recall", prefix=SHOTS), model, Samples.of([text]))[0]
    assert abs(score / diluted - 1) > 0.03
    data = {n: a.what.measure(model, Samples.of([text])) for n, a in signal("recall", prefix=SHOTS).needs().items()}
    assert data["conditional"].tokens.tolist() == data["statistics"].tokens.tolist() == [len(own) - 1]


def test_text_and_prefix_cut_as_one_string():
    """Slip: the joined string is cut, and tokens run across the seam. Right: the text's own tokens, whatever precedes."""
    model, text = _tiny.neox(), "ridges and the letters of Klara in 1594."
    shot = "Anna painted a broken b"
    one = model.tokenizer(shot + text)["input_ids"]
    apart = [*model.tokenizer(shot)["input_ids"], *without_separator(model, model.tokenizer(text)["input_ids"])]
    assert one != apart
    row = ConditionalStatistics((shot,)).measure(model, Samples.of([text])).log_probability[0]
    np.testing.assert_allclose(row, behind(model, text, (shot,))[0], atol=2e-5)


def test_the_sign_on_planted_records(planted):
    """Slip: LL(x|P) over the *loss*, so that members score lowest. Right: they score highest."""
    hot, unseen = planted.members.take(range(16)), planted.nonmembers.take(range(16))
    recall = signal("recall").prefixed_by(planted.heldout)
    scores = observed(recall, planted.models["target"], Samples([*hot, *unseen]))
    assert (scores > 0).all() and np.median(scores[:16]) > np.median(scores[16:])


def test_as_many_of_the_last_shots_as_fit():
    """The context is 128 tokens. Nothing is cut in the middle, nothing raises, and what has no room says so."""
    model = _tiny.neox()
    shots = tuple(f"{text} " for text in _tiny.texts(8, 60))
    short, long = _tiny.texts(1, 3)[0], " ".join(_tiny.texts(4, 4))
    longest = " ".join(_tiny.texts(9, 5))
    data = ConditionalStatistics(shots).measure(model, model.fit(Samples.of([short, long, longest]), truncate=True))
    room = [128 - len(without_separator(model, model.tokenizer(t)["input_ids"])) for t in (short, long)]
    sizes = [len(model.tokenizer("".join(shots[8 - m :]))["input_ids"]) for m in range(1, 9)]
    assert data.shots.tolist()[:2] == [sum(size <= r for size in sizes) for r in room]
    assert 3 <= data.shots[0] < 8 and data.shots[2] == 0 and data.reason.tolist() == ["", "", NO_ROOM]
    np.testing.assert_allclose(data.log_probability[0], behind(model, short, shots[8 - data.shots[0] :])[0], atol=2e-5)
    scores = observed(signal("recall", prefix=shots), model, model.fit(Samples.of([short, longest]), truncate=True))
    assert np.isfinite(scores).tolist() == [True, False]


def test_a_memorised_text_is_bounded():
    """Slip: a loss of 0 alone divides by nothing. Right: ``clamp`` nats count instead."""
    from rasura.signals.recall import relative

    assert relative(np.array([2.0]), np.array([0.0]), "ratio", 1e-3).tolist() == [2000.0]


def test_without_texts_in_front_it_says_so():
    model, samples = _tiny.neox(), Samples.of(_tiny.texts(2, 3))
    with pytest.raises(BadInput, match="no texts to put in front"):
        observed(signal("recall"), model, samples)
    assert ConditionalStatistics().measure(model, samples).reason.tolist() == [NOTHING_IN_FRONT] * 2
    with pytest.raises(BadInput, match="was given none"):
        signal("recall").prefixed_by(Samples.of(["", " "]))


def test_the_first_shots_of_the_pool_parted_by_a_blank():
    recall = signal("recall", shots=2).prefixed_by(Samples.of(["One.", "", "Two.", "Three."]))
    assert recall.prefix == ("One. ", "Two. ") and recall.shots == 2
    assert "One" not in repr(recall)  # texts of others stay out of logs


def test_the_seam_is_no_new_document():
    """Slip: a separator between shots and text. Right: both tiny tokenizers put one in front of all, none in between."""
    for model in (_tiny.neox(), _tiny.llama()):
        text = _tiny.texts(1, 3)[0]
        front, own = (model.tokenizer(t)["input_ids"] for t in (SHOTS[0], text))
        row = ConditionalStatistics(SHOTS[:1]).measure(model, Samples.of([text])).log_probability[0]
        parted = log_probabilities(model, [*front, *own])[-len(row) :]
        joined = log_probabilities(model, [*front, *without_separator(model, own)])[-len(row) :]
        assert own[0] in model.tokenizer.all_special_ids
        np.testing.assert_allclose(row, joined, atol=2e-5)
        assert np.abs(row - parted).max() > 1e-4


def test_only_the_answer_is_scored():
    """``start``: the question is read after the shots and never scored."""
    model, text = _tiny.llama(), " ".join(_tiny.texts(2, 3))
    sample = Sample("q", text, start=len(text) // 2)
    data = Engine().observe(Ask(ConditionalStatistics(SHOTS[:1])), {"target": model}, Samples([sample]))
    plain = TokenStatistics().measure(model, Samples([sample]))
    assert data.tokens.tolist() == plain.tokens.tolist()
    np.testing.assert_allclose(data.log_probability[0], behind(model, text, SHOTS[:1])[0][-data.tokens[0] :], atol=2e-5)


@pytest.mark.parametrize(
    ("setting", "word"), [({"shots": 0}, "shots"), ({"form": "sum"}, "form"), ({"clamp": 0.0}, "clamp")]
)
def test_settings_that_make_no_sense(setting, word):
    with pytest.raises(BadInput, match=word):
        signal("recall", **setting)
