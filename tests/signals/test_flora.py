"""FLoRa: which texts a model was fine-tuned on, told by its public base."""

from __future__ import annotations

import numpy as np
import pytest

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Samples
from rasura.observations.token_statistics import TokenStatistics
from rasura.stats.roc import auc
from signals._named import signal
from signals.test_slips import token_data


def test_by_hand():
    """Losses 1 after and 4 before: -1/4 and 3. Slip: the ratio itself, lower = member. Right: higher = member."""
    tuned, base = token_data([-1.0] * 8, [-3.0] * 8), token_data([-4.0] * 8, [-3.0] * 8)
    assert signal("flora").score(tuned, base).tolist() == [-0.25, -1.0]
    assert signal("flora", form="difference").score(tuned, base).tolist() == [3.0, 0.0]


def test_clamp_and_short_texts():
    tuned, base = token_data([-0.5] * 8, [-1.0] * 7), token_data([0.0] * 8, [-1.0] * 7)
    scores = signal("flora", clamp=0.1).score(tuned, base)
    assert scores[0] == -5.0 and np.isnan(scores[1])


def test_other_tokens_are_another_model():
    with pytest.raises(BadInput, match="different tokens"):
        signal("flora").score(token_data([-1.0] * 8), token_data([-1.0] * 9))
    assert [ask.role for ask in signal("flora").needs().values()] == ["target", "base"]
    for make in (lambda: signal("flora", form="sum"), lambda: signal("flora", clamp=0.0)):
        with pytest.raises(BadInput):
            make()


def test_texts_of_a_fine_tuning_stand_out_after_three_epochs(planted):
    """The base is a trained model; 24 texts of the same kind are held out. Near-perfect in the paper: > .9 here."""
    base = planted.models["reference"]
    texts = _tiny.texts(48, seed=77)
    tuned = _tiny.fit(base.clone(), texts[:24], epochs=3, lr=3e-3)
    data = [TokenStatistics().measure(model, Samples.of(texts)) for model in (tuned, base)]
    scores = signal("flora").score(*data)
    assert auc(scores[:24], scores[24:]) > 0.9
    assert auc(scores[:24], scores[24:]) >= auc(*np.split(signal("loss").score(data[0]), 2))
