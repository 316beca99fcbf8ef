"""Tuning a soft prompt: the loss falls, the same seed gives the same vectors, training stops by held-out records."""

from __future__ import annotations

import pytest
import torch

from conformance._marked import marked
from rasura.core.errors import BadInput
from rasura.models.soft_prompt import SoftPrompted, first_rows
from rasura.training.soft_prompt import SoftPromptTuning, _loss, _span, smoothed_loss, tune

QUICK = SoftPromptTuning(vectors=4, learning_rate=0.05, warmup=2, batch=4, epochs=6, validation=0.25)


def test_smoothing_weighs_the_hardest_tokens_of_each_record():
    """Records of losses 1 2 3 and 4: mean 10/4; the two largest of the first and the one of the second: (2 + 3 + 4)/3."""
    rows = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0])]
    assert float(smoothed_loss(rows, 0.7, 2)) == pytest.approx(2.5 + 0.7 * 3)
    assert float(smoothed_loss(rows, 0.0, 2)) == 2.5


def test_the_loss_falls_and_the_model_is_left_alone(planted):
    model, known = planted.models["retrained"], marked(planted.forget)  # records it does not know yet
    before = model.fingerprint
    vectors = tune(model, known, QUICK)
    spans = [_span(model, s, QUICK) for s in known]
    with torch.no_grad():
        losses = [float(_loss(SoftPrompted(model, v), known, spans, QUICK)) for v in (first_rows(model, 4), vectors)]
    assert losses[1] < losses[0] - 0.1
    model.weights_changed()
    assert model.fingerprint == before and vectors.shape == (4, 64) and not vectors.requires_grad
    assert torch.equal(vectors, tune(model, known, QUICK))


def test_exactly_the_suffix_is_learned(planted):
    """The last four tokens of each record, where its secret begins: no more, no less."""
    model, known = planted.models["target"], marked(planted.forget)
    spans = [_span(model, s, QUICK) for s in known]
    assert all(end - begin == 4 and end == model.encode(s).scored for s, (begin, end) in zip(known, spans, strict=True))


def test_it_needs_some_records(planted):
    with pytest.raises(BadInput, match="at least 4"):
        tune(planted.models["target"], marked(planted.forget.take(range(3))), QUICK)


@pytest.mark.parametrize("settings", [{"vectors": 0}, {"alpha": -1.0}, {"validation": 1.0}, {"largest": 0}])
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(BadInput, match="soft prompt"):
        SoftPromptTuning(**settings)
