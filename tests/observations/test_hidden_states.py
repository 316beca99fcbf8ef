"""Mean hidden states against transformers' own output."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import _tiny
from rasura.core.errors import BadInput
from rasura.core.types import Sample, Samples
from rasura.observations.hidden_states import HiddenStates

TEXTS = _tiny.texts(3, 12)


@pytest.mark.parametrize("name", ["neox", "llama"])
def test_it_is_the_mean_over_scored_tokens(name):
    model = getattr(_tiny, name)()
    samples = Samples([Sample("0", TEXTS[0], start=10), Sample("1", " ".join(TEXTS)), Sample("2", "")])
    first, same = (HiddenStates(layer=layer).measure(model, samples) for layer in (0, -2))
    assert first.mean.values.tolist() == same.mean.values.tolist()
    for i in (0, 1):
        encoded = model.encode(samples[i])
        with torch.no_grad():
            states = model.module(
                input_ids=torch.from_numpy(encoded.ids)[None], output_hidden_states=True
            ).hidden_states
        np.testing.assert_allclose(first.mean[i], states[1][0, encoded.first :].mean(0).numpy(), atol=1e-5)
    assert first.reason.tolist() == ["", "", "no token to score"] and np.isnan(first.matrix()[2]).all()


def test_a_layer_that_is_not_there():
    with pytest.raises(BadInput, match="layers 0 to 1"):
        HiddenStates(layer=7).measure(_tiny.neox(), Samples.of(TEXTS))
