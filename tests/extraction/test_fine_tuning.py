"""Extraction of a fine-tuning set: picks by loss ratio, suffix tokens alone, ablation, lengths."""

from __future__ import annotations

import numpy as np
import pytest

from conformance._marked import marked
from rasura.core.errors import BadInput, NeedsRole
from rasura.core.types import Ragged, Samples
from rasura.extraction.fine_tuning import FineTuning, loss_ratio
from rasura.observations._engine import Engine
from rasura.observations.generation_probability import GenerationProbabilityData
from rasura.observations.generations import GenerationData
from rasura.observations.token_statistics import TokenData

NONE = np.array([""], dtype=object)


def tokens(*log_p) -> TokenData:
    row = Ragged.of([log_p], np.float32)
    return TokenData(row, row, row, row, np.array([2]), row.lengths, row.lengths, NONE)


def said(draws, true) -> GenerationData:
    lengths = np.array([[len(d) for d in draws]])
    flat = Ragged.of([np.concatenate(draws)], np.int64)
    texts = np.array([[""] * len(draws)], dtype=object)
    return GenerationData(flat, lengths, lengths > 99, texts, Ragged.of([true], np.int64), NONE, np.array([2]), NONE)


def losses(prompt, *draws) -> GenerationProbabilityData:
    """Log-probabilities of the prompt's two tokens together, and of each draw's."""
    lengths = np.array([[len(d) for d in draws]])
    flat = Ragged.of([np.concatenate(draws)], np.float32)
    return GenerationProbabilityData(flat, lengths, np.array([prompt]), np.array([2]), NONE)


def by_hand(**settings):
    """Draws [5 6], [7 8], [7 8 9]; the record says 7 8. Prompt: -1 under the target, -2 under the base.

    The target likes 5 6 best (loss 1/4 against 3/4), and so does the base (1/2 against 6/4): q = 1/2 for both, unless the
    base likes 5 6 even better.
    """
    method = FineTuning(draws=3, suffix_tokens=2, **settings)
    target = losses(-1.0, [0.0, 0.0], [-1.0, -1.0], [-1.0, -1.0, -9.0])
    base = losses(-1.0, [0.0, 0.0], [-4.0, -3.0], [-4.0, -3.0, -9.0])
    own = tokens(-0.5, -0.5, -1.0, -1.0), tokens(-0.5, -0.5, -4.0, -3.0)
    drawn = {"said_0": said([[5, 6], [7, 8], [7, 8, 9]], [7, 8]), "target_0": target, "base_0": base}
    return method.extract(*own, **drawn)


def test_the_ratio_picks_what_fine_tuning_taught_and_the_loss_what_is_easy():
    """q(5 6) = (1/4)/(1/4) = 1, q(7 8) = (3/4)/(8/4) = .375: the ratio picks the record, the loss alone does not."""
    found = by_hand()
    measures = {c.name: c.values[0, 0] for c in found.curves}
    assert found.success.tolist() == [1.0] and found.hits.tolist() == [1.0]
    assert measures["word for word, any draw"] == 1.0
    assert measures["word for word, picked by fine-tuned loss alone"] == 0.0
    assert measures["draws the record itself beats"] == 1.0
    ratio, alone = found.rankings
    assert ratio.confidence[0] == pytest.approx(-0.375) and alone.confidence[0] == pytest.approx(-0.25)
    assert (ratio.correct[0], alone.correct[0]) == (1.0, 0.0)


def test_equal_draws_are_one_and_only_suffix_tokens_are_compared():
    """7 8 and 7 8 9 are the same answer to a record that ends after 8, and it counts once."""
    found = by_hand()
    assert found.tokens.tolist() == [2]
    assert next(c for c in found.curves if c.name.startswith("tokens right in the best")).values[0, 0] == 1.0


def test_a_base_model_that_is_certain_does_not_break_the_ratio():
    assert np.isfinite(loss_ratio(np.array([0.0, 1.0]), np.zeros(2), 1e-3)).all()
    assert loss_ratio(np.array([0.0]), np.array([0.0]), 1e-3)[0] == 0.0


def test_lengths_give_a_curve_and_share_the_passes_of_one_length(planted):
    method = FineTuning(draws=4, context_lengths=(8, 16))
    models = {"target": planted.models["target"], "base": planted.models["reference"]}
    samples = marked(planted.forget.take(range(4)))
    engine = Engine()
    data = {key: engine.observe(ask, models, samples) for key, ask in method.needs().items()}
    found = method.extract(**data)
    curve = next(c for c in found.curves if c.name == "word for word, any draw")
    assert curve.x == (8.0, 16.0) and curve.values.shape == (4, 2) and curve.axis == "tokens of context"
    assert np.array_equal(
        found.success, next(c for c in found.curves if c.name == "word for word, the pick").values[:, -1]
    )


def test_the_base_model_is_needed(planted):
    asks = FineTuning().needs()
    assert {ask.role for ask in asks.values()} == {"target", "base"}
    with pytest.raises(NeedsRole, match="base"):
        Engine().observe(asks["base_0"], {"target": planted.models["target"]}, Samples())


@pytest.mark.parametrize("settings", [{"draws": 0}, {"clamp": 0.0}, {"context_lengths": (4, 2)}])
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(BadInput, match="fine_tuning"):
        FineTuning(**settings)
