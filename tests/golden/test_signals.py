"""Membership signals against the numbers of the authors' own code.

Provenance: locuslab/open-unlearning, commit d3d7cf9 (2025-12-24): its membership metrics run as they are on the
unperturbed Llama of ``golden/_fixture.py``, forget items = FORGET, hold-out = HOLDOUT (seed 10), transformers 4.45.1,
torch 2.13 on the CPU, float32, one thread. Values were printed to 6 digits after the point, AUCs to 4.

That code differs from the formulas our signals state, and every test derives its variant from our observation and our
kernel, so that what agrees is the arithmetic and what differs is named:

- orientation: it reports losses (lower = member) and the AUC of hold-out over forget;
- Min-K%, Min-K%++ and the gradient norm leave out the last labelled token; ours score it;
- its gradient norm is the *mean over parameter tensors* of the L2 norms; ours is the norm of the concatenation.

What is printed there with the last token in (loss) is held against the signal's own ``score``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from golden._fixture import FORGET, HOLDOUT, build_llama
from rasura.core.types import Samples
from rasura.observations.gradient_norms import GradientNorms
from rasura.observations.token_statistics import TokenStatistics
from rasura.stats.roc import auc
from rasura.stats.token_scores import lowest_mean, standardised
from signals._named import signal

BACKS = ("signals.loss", "signals.min_k", "signals.min_k_plus_plus", "signals.gradient_norm")

DIGITS = 1.5e-6  # one and a half units of the last printed digit: float32, other versions of the libraries


@pytest.fixture(scope="module")
def model():
    return build_llama()


@pytest.fixture(scope="module")
def statistics(model):
    return {
        name: TokenStatistics().measure(model, batch.samples)
        for name, batch in (("forget", FORGET), ("holdout", HOLDOUT))
    }


def without_last_token(samples: Samples) -> Samples:
    return Samples(replace(s, text=s.text.rpartition(" ")[0]) for s in samples)


def test_loss(statistics):
    """All labelled tokens. Length-normalised probability .00379163 is mean_i exp(-loss_i)."""
    scores = signal("loss", minimum_tokens=1).score(statistics["forget"])
    np.testing.assert_allclose(-scores, [5.504486, 5.697886, 5.533188], atol=DIGITS)
    assert np.exp(scores).mean() == pytest.approx(0.00379163, abs=1.5e-8)
    holdout = signal("loss", minimum_tokens=1).score(statistics["holdout"])
    assert auc(scores, holdout) == pytest.approx(0.3333, abs=5e-5)


def test_min_k(statistics):
    """Labelled tokens without the last, k = .4; and the AUC at k = .2."""

    def theirs(data, k):
        return np.array([-lowest_mean(row[:-1], k) for row in data.log_probability])

    forget, holdout = (theirs(statistics[name], 0.4) for name in ("forget", "holdout"))
    np.testing.assert_allclose(forget, [6.685504, 6.357975, 6.082843], atol=DIGITS)
    np.testing.assert_allclose(holdout, [6.022381, 5.608744, 6.108325], atol=DIGITS)
    assert auc(holdout, forget) == pytest.approx(0.1111, abs=5e-5)
    assert auc(theirs(statistics["holdout"], 0.2), theirs(statistics["forget"], 0.2)) == pytest.approx(0.2222, abs=5e-5)


def test_min_k_is_that_arithmetic_over_all_tokens(model):
    """On texts cut by one token the signal itself says what the authors' code says of the whole ones."""
    data = TokenStatistics().measure(model, without_last_token(FORGET.samples))
    scores = signal("min_k", k=0.4, minimum_tokens=1).score(data)
    np.testing.assert_allclose(-scores, [6.685504, 6.357975, 6.082843], atol=DIGITS)


def test_min_k_plus_plus(statistics, model):
    """Labelled tokens without the last, k = .4, variance floored at 1e-6; then the signal itself on the cut texts.

    The authors' code takes sigma^2 = sum p (log p)^2 - mu^2 in float32. Here mu^2 is about 27 and sigma^2 about .3, so
    one rounding of mu^2 is 27 * 2^-23 = 3e-6, which is 1e-5 of sigma^2 and up to 1.5e-5 in z: what they printed lies up
    to 2.0e-5 from the same formula in float64. Hence a tolerance of 3e-5 against the print and of 3e-6 (relative)
    against float64; ours sums p (log p - mu)^2.
    """

    def theirs(data):
        rows = zip(data.log_probability, data.mean, data.deviation, strict=True)
        return np.array([-lowest_mean(standardised(*(column[:-1] for column in row)), 0.4) for row in rows])

    forget, holdout = theirs(statistics["forget"]), theirs(statistics["holdout"])
    np.testing.assert_allclose(forget, [2.620168, 2.176889, 1.598969], atol=3e-5)
    np.testing.assert_allclose(holdout, [1.445156, 0.742709, 1.307285], atol=3e-5)
    assert auc(holdout, forget) == 0.0
    exact = [_exact_min_k_plus_plus(model, sample) for sample in FORGET.samples]
    np.testing.assert_allclose(forget, exact, rtol=3e-6)
    cut = TokenStatistics().measure(model, without_last_token(FORGET.samples))
    np.testing.assert_allclose(-signal("min_k_plus_plus", k=0.4, minimum_tokens=1).score(cut), exact, rtol=3e-6)


def _exact_min_k_plus_plus(model, sample) -> float:
    """The authors' formula with both moments in float64."""
    encoded = model.encode(sample)
    with torch.no_grad():
        logits = model.module(input_ids=torch.from_numpy(encoded.ids)[None]).logits[0].double()
    log_p = torch.log_softmax(logits[encoded.first - 1 : -2], dim=-1)
    mean, square = ((log_p.exp() * log_p**power).sum(-1) for power in (1, 2))
    chosen = log_p.gather(1, torch.from_numpy(encoded.ids[encoded.first : -1, None])).squeeze(1)
    z = (chosen - mean) / (square - mean**2).clamp(min=1e-6).sqrt()
    return -lowest_mean(z.numpy(), 0.4)


def test_gradient_norm(model):
    """Labelled tokens without the last; the mean over tensors of L2 norms. Ours joins the same norms to the L2 norm of
    the concatenation, sqrt(sum of squares), which is larger and ranks otherwise."""
    data = {
        name: GradientNorms().measure(model, without_last_token(b.samples))
        for name, b in (("forget", FORGET), ("holdout", HOLDOUT))
    }
    means = {name: d.of_parameters("2").mean() for name, d in data.items()}
    np.testing.assert_allclose(means["forget"], [1.451699, 1.127488, 1.235438], atol=DIGITS)
    assert auc(means["holdout"], means["forget"]) == pytest.approx(0.3333, abs=5e-5)
    joined = -signal("gradient_norm", "2", minimum_tokens=1).score(data["forget"])
    np.testing.assert_allclose(
        joined, [np.sqrt(np.sum(row.astype(float) ** 2)) for row in data["forget"].l2], rtol=1e-6
    )
    assert (joined > means["forget"]).all()
