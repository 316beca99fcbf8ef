"""Mistakes that published code of these signals has made, each shown not to be made here.

Every test states the slip, what it would give, and what is right; the numbers are worked out by hand.
"""

from __future__ import annotations

import numpy as np
import pytest

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Ask, Ragged, Sample, Samples
from rasura.models.causal_lm import CausalLM
from rasura.observations._engine import Engine
from rasura.observations.gradient_norms import GradientData, GradientNorms
from rasura.observations.token_statistics import TokenData, TokenStatistics
from signals._named import signal


def token_data(*rows, mean=None, deviation=None, text_bytes=100) -> TokenData:
    """Observed log-probabilities as they are given; the rest made up."""
    n, fill = len(rows), [np.full(len(row), 0.0) for row in rows]
    numbers = np.full(n, text_bytes, dtype=np.int64)
    return TokenData(
        Ragged.of(rows, np.float32),
        Ragged.of(mean if mean is not None else fill, np.float32),
        Ragged.of(deviation if deviation is not None else fill, np.float32),
        Ragged.of(fill, np.int32),
        np.array([len(row) for row in rows]),
        numbers,
        numbers,
        np.array([""] * n, dtype=object),
    )


def gradient_data(*rows) -> GradientData:
    norms = Ragged.of(rows, np.float32)
    flat = np.zeros(len(rows), dtype=np.float32)
    groups = np.array(["\n".join(f"w{i}" for i in range(len(row))) for row in rows], dtype=object)
    return GradientData(norms, norms, norms, flat, flat, flat, np.full(len(rows), 20), groups, groups)


def observed(method, model, samples, **more):
    models = {"target": model, **more}
    return method.score(**{name: Engine().observe(ask, models, samples) for name, ask in method.needs().items()})


def test_wrong_tail_of_min_k():
    """Slip: the k T smallest *losses*, which are the likeliest tokens (-1 here). Right: the least likely (-9)."""
    row = [-9.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -1.5]
    assert signal("min_k", k=0.1).score(token_data(row)).tolist() == [-9.0]
    assert signal("min_k", k=0.2).score(token_data(row)).tolist() == [-8.5]


def test_floor_of_k_t_is_zero():
    """Slip: floor(.05 * 9) = 0 tokens, whose mean is NaN. Right: at least one token."""
    row = [-1.0] * 8 + [-5.0]
    assert signal("min_k", k=0.05).score(token_data(row)).tolist() == [-5.0]
    assert signal("min_k_plus_plus", k=0.05).score(token_data(row, deviation=[[1.0] * 9])).tolist() == [-5.0]


def test_share_of_tokens_in_floating_point():
    """Slip: .29 * 100 = 28.999999999999996 floors to 28. Right: 29 tokens, of which 28 are -2 and one is -1."""
    row = [-2.0] * 28 + [-1.0] * 72
    assert signal("min_k", k=0.29).score(token_data(row)).tolist() == pytest.approx([-57 / 29])


def test_sign_of_the_gradient_norm(planted):
    """Slip: larger norm counts as member. Right: texts trained on 40 times move the weights less and score higher."""
    hot, unseen = planted.members.take(range(16)), planted.nonmembers.take(range(16))
    for order in ("1", "2", "inf"):
        scores = observed(signal("gradient_norm", order), planted.models["target"], Samples([*hot, *unseen]))
        assert (scores < 0).all() and np.median(scores[:16]) > np.median(scores[16:])


def test_mean_of_tensor_norms_instead_of_the_norm_of_the_concatenation():
    """Slip: mean(3, 4, 0) = 2.33, which every small tensor pulls down. Right: sqrt(9 + 16 + 0) = 5."""
    data = gradient_data([3.0, 4.0, 0.0])
    assert signal("gradient_norm", "2").score(data).tolist() == [-5.0]
    assert signal("gradient_norm", "1").score(data).tolist() == [-7.0]
    assert signal("gradient_norm", "inf").score(data).tolist() == [-4.0]


@pytest.mark.parametrize("name", ["neox", "llama"])
def test_padding_scored_as_a_target(name):
    """Slip: the mask of positions 0..n-2 scores the first pad of a shorter text. Right: the same tokens with company."""
    model = getattr(_tiny, name)()
    short, long = _tiny.texts(1, 3)[0], " ".join(_tiny.texts(3, 4))
    together = TokenStatistics().measure(model, Samples.of([short, long]))
    alone = TokenStatistics().measure(model, Samples.of([short]))
    length = len(model.encode(Samples.of([short])[0]).ids) - 1
    assert together.tokens[0] == alone.tokens[0] == length
    np.testing.assert_allclose(together.log_probability[0], alone.log_probability[0], atol=1e-5)


def test_unshifted_targets(planted):
    """Slip: the probability a token gets at its own position. Right: at the position before: a memorised text is then
    nearly certain, while read at its own position it is not."""
    model, sample = planted.models["target"], planted.members.take([0])
    encoded = model.encode(sample[0])
    import torch

    with torch.no_grad():
        logits = model.module(input_ids=torch.from_numpy(encoded.ids)[None]).logits[0].log_softmax(-1).numpy()
    shifted = logits[np.arange(len(encoded.ids) - 1), encoded.ids[1:]].mean()
    unshifted = logits[np.arange(len(encoded.ids)), encoded.ids].mean()
    assert observed(signal("loss"), model, sample)[0] == pytest.approx(shifted, abs=1e-4)
    assert shifted > -0.5 > -3 > unshifted


@pytest.mark.parametrize("name", ["loss", "min_k", "min_k_plus_plus", "gradient_norm"])
def test_a_score_that_depends_on_batch_mates(name):
    """Slip: one mean over all tokens of a batch, or pads in it. Right: the score a text has when it is alone."""
    model, samples = (
        _tiny.neox(),
        Samples.of([*_tiny.texts(3, 3), " ".join(_tiny.texts(3, 4)), "Anna opened the window of Boris."]),
    )
    together = observed(signal(name), model, samples)
    alone = [observed(signal(name), model, Samples([sample]))[0] for sample in samples]
    np.testing.assert_allclose(together, alone, rtol=1e-4)


def test_a_batch_loss_as_gradient():
    """Slip: the gradient of the batch's mean, the same for all. Right: each sample's own, and each of its own mean."""
    model, texts = _tiny.llama(), _tiny.texts(2, 3)
    data = GradientNorms().measure(model, Samples.of([texts[0], texts[0], texts[1]]))
    assert data.input_l2[0] == pytest.approx(data.input_l2[1], rel=1e-5)
    assert abs(data.input_l2[2] / data.input_l2[0] - 1) > 1e-3


def test_difference_cut_off_at_zero():
    """Slip: min(0, difference), which throws one side of the ranking away. Right: both signs."""
    target, reference = token_data([-1.0] * 8, [-3.0] * 8), token_data([-2.0] * 8, [-2.0] * 8)
    assert signal("reference").score(target, reference).tolist() == [1.0, -1.0]


@pytest.mark.parametrize("name", ["neox", "llama"])
def test_token_id_0_dropped_as_padding(name):
    """Slip: a mask of ids > 0, or everything after the first id 0 gone. Right: id 0 is a token like any other."""
    model = getattr(_tiny, name)()
    words = _tiny.texts(1, 3)[0].split()
    plain, with_zero = (
        Samples.of([f" {middle}".join([" ".join(words[:5]), " ".join(words[5:])])]) for middle in ("", "<|endoftext|>")
    )
    assert 0 in model.encode(with_zero[0]).ids[2:]
    before, after = (TokenStatistics().measure(model, s) for s in (plain, with_zero))
    assert after.tokens[0] == len(model.encode(with_zero[0]).ids) - 1 >= before.tokens[0]
    assert np.isfinite(observed(signal("loss"), model, with_zero)).all()


def test_loss_0_dropped():
    """Slip: tokens predicted with probability 1 leave the mean, (-4)/1. Right: they count, (0 * 7 - 4)/8."""
    assert signal("loss").score(token_data([0.0] * 7 + [-4.0])).tolist() == [-0.5]
    assert signal("min_k_plus_plus", k=1.0).score(token_data([0.0] * 8)).tolist() == [0.0]  # and 0/0 is not NaN


def test_unweighted_mean_over_the_vocabulary():
    """Slip: mean and deviation of log p over all v alike. Right: weighted by p. With p = (1/2, 1/4, 1/4) mu is
    -1.5 log 2 (unweighted: -5/3 log 2) and sigma .5 log 2, so the token of 1/4 has z = -1 (unweighted: -.71)."""
    import torch

    from rasura.observations.token_statistics import statistics

    logits = torch.tensor([[0.5, 0.25, 0.25]]).log().repeat(8, 1)
    log_p, mean, deviation, _ = (v.numpy() for v in statistics(logits, torch.full((8,), 2)))
    scores = signal("min_k_plus_plus").score(token_data(log_p, mean=[mean], deviation=[deviation]))
    assert scores.tolist() == pytest.approx([-1.0], abs=1e-5)


def test_sigma_that_rounds_to_nothing():
    """Slip: noise too small for the model's precision leaves every weight as it was, and all scores 0, a silent draw.
    Right: say so. In float32 sigma = 1e-12 vanishes beside weights of .02; in float64 it would not."""
    model, samples = _tiny.neox(), Samples.of(_tiny.texts(4, 3))
    with pytest.raises(BadInput, match=r"sigma=1e-12 vanishes"):
        observed(signal("mope", sigma=1e-12, pairs=1), model, samples)
    assert np.isfinite(observed(signal("mope", pairs=1), model, samples)).all()
    with pytest.raises(BadInput, match="sigma"):
        signal("mope", sigma=0.0)


def test_every_pair_of_noise_is_another(planted):
    """Slip: a seed whose high bits the generator ignores, so that all K pairs are one. Right: K pairs average K."""
    samples = planted.members.take(range(16, 22))
    one, same, three = (
        observed(signal("mope", sigma=0.05, **settings), planted.models["target"], samples)
        for settings in ({"pairs": 1}, {"pairs": 1, "seed": 0}, {"pairs": 3})
    )
    two, last = (
        observed(signal("mope", sigma=0.05, pairs=1, seed=k), planted.models["target"], samples) for k in (1, 2)
    )
    assert one.tolist() == same.tolist() and not np.allclose(one, two)
    np.testing.assert_allclose(three, np.mean([one, two, last], axis=0), atol=1e-6)


def test_both_signs_of_the_noise_cancel_the_slope(planted):
    """Slip: one-sided noise measures mostly sigma g.eps. Right: with both signs what is left goes with sigma squared:
    twice the sigma raises it fourfold, and one side alone is ten times as large."""
    model, samples = planted.models["target"], planted.nonmembers
    large, small = (observed(signal("mope", sigma=s, pairs=3), model, samples) for s in (0.002, 0.001))
    assert np.median(large / small) == pytest.approx(4, rel=0.02)
    asks = signal("mope", sigma=0.001, pairs=3).needs()
    base, plus = (Engine().observe(asks[name], {"target": model}, samples).loss for name in ("statistics", "plus_0"))
    assert np.median(np.abs(plus - base)) > 10 * np.median(np.abs(small))


def test_lowercase_ratio_on_caseless_text():
    """Slip: a ratio of 1, as if it said something. Right: lowering changes nothing, so it cannot be scored."""
    samples = Samples.of(
        [
            "anna opened the window and counted the bottles of the market",
            "Anna opened the window and counted the bottles of Boris",
        ]
    )
    scores = observed(signal("lowercase"), _tiny.neox(), samples)
    assert np.isnan(scores[0]) and np.isfinite(scores[1])


def test_reference_reads_with_its_own_tokenizer():
    """Slip: the target's token ids fed to the reference. Right: each model cuts the text itself, and then only totals per
    byte compare: (sum of the target - sum of the reference)/bytes; a mean over other tokens is refused."""
    target, letters = _tiny.neox(), _letters()
    samples = Samples.of(_tiny.texts(5, 3))
    with pytest.raises(BadInput, match="per=byte"):
        observed(signal("reference"), target, samples, reference=letters)
    scores = observed(signal("reference", per="byte"), target, samples, reference=letters)
    sums = [model.score(samples).sums().detach().double().numpy() for model in (target, letters)]
    sizes = np.array([len(s.text.encode()) for s in samples])
    np.testing.assert_allclose(scores, (sums[0] - sums[1]) / sizes, atol=1e-6)
    assert signal("reference", per="byte").across_vocabularies and not signal("reference").across_vocabularies
    assert letters.encode(samples[0]).scored > 2 * target.encode(samples[0]).scored


def _letters() -> CausalLM:
    """The same architecture over single bytes."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = {"<|endoftext|>": 0, **{c: i + 1 for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}}
    backend = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    return CausalLM(
        _tiny.neox(1).module,
        PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>", model_max_length=128),
    )


def test_a_short_text_is_given_a_number():
    """Slip: 0, or a mean over three tokens. Right: NaN below 8 scored tokens, for every model that scored too few."""
    seven, eight = token_data([-1.0] * 7, [-1.0] * 8), token_data([-2.0] * 8, [-2.0] * 8)
    for scores in (signal("loss").score(seven), signal("min_k").score(seven), signal("reference").score(seven, seven)):
        assert np.isnan(scores).tolist() == [True, False]
    assert np.isnan(signal("reference", per="byte").score(eight, seven)).tolist() == [True, False]
    assert signal("loss", minimum_tokens=7).score(seven).tolist() == [-1.0, -1.0]


def test_the_question_is_scored_with_the_answer():
    """Slip: the mean runs over the prompt. Right: ``start`` is context; its tokens are read and never scored."""
    model, text = _tiny.llama(), " ".join(_tiny.texts(2, 3))
    half = len(text) // 2
    data = Engine().observe(
        Ask(TokenStatistics()), {"target": model}, Samples([Sample("0", text), Sample("1", text, start=half)])
    )
    answer = data.tokens[1]
    assert 8 <= answer < data.tokens[0]
    assert signal("loss").score(data)[1] == pytest.approx(data.log_probability[0][-answer:].mean(), abs=1e-5)
