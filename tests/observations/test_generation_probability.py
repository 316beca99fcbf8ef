"""Scores of what was drawn: the same numbers as a plain pass over the same tokens, exactly the drawn ones."""

from __future__ import annotations

import numpy as np

from conformance._marked import marked
from rasura.core.types import Ask, Sample, Samples
from rasura.observations._draw_scores import draw_scores
from rasura.observations._engine import Engine
from rasura.observations.generation_probability import GenerationProbability
from rasura.observations.generations import Generations
from rasura.observations.token_statistics import TokenStatistics


def test_a_records_own_words_score_as_in_a_plain_pass(planted):
    """All suffix tokens from the first to the last, and none of the prompt's: public scorers are off by one here."""
    samples, model = marked(planted.forget.take(range(3))), planted.models["target"]
    plain = Engine().observe(Ask(TokenStatistics()), planted.models, samples)
    true = [model.encode(s).ids[-4:] for s in samples]
    cuts = plain.tokens - 4
    found = draw_scores(model, samples, cuts, [[t, t] for t in true])
    for i, scores in enumerate(found):
        row = plain.log_probability[i]
        assert np.allclose(scores.draws[0], row[-4:], atol=1e-4) and np.array_equal(*scores.draws)
        assert abs(scores.prompt - row[:-4].sum()) < 1e-3 and scores.prompt_tokens == cuts[i]


def test_what_the_target_said_is_scored_under_target_and_base(planted):
    samples = marked(planted.forget.take(range(4)))
    said = Generations(0, 0, samples_each=3, temperature=1.0, top_k=10)
    models = {"target": planted.models["target"], "base": planted.models["reference"]}
    engine = Engine()
    data = engine.observe(Ask(said), models, samples)
    scores = {role: engine.observe(Ask(GenerationProbability(said), of=role), models, samples) for role in models}
    for role, found in scores.items():
        assert np.array_equal(found.lengths, data.lengths) and not any(found.reason)
        assert (found.log_probability.values <= 0).all(), role
    assert scores["target"].log_probability.values.mean() > scores["base"].log_probability.values.mean()
    alone = engine.observe(Ask(GenerationProbability(said), of="base"), models, samples.take([2]))
    assert np.allclose(alone.log_probability[0], scores["base"].log_probability[2], atol=1e-4)


def test_a_record_without_continuation_is_empty_and_says_why(planted):
    said = Generations(samples_each=2, temperature=1.0)
    samples = Samples([Sample("empty", "Anna watched.", start=13), planted.forget[0]])
    found = Engine().observe(Ask(GenerationProbability(said)), planted.models, samples)
    assert [bool(r) for r in found.reason] == [True, False]
    assert np.isnan(found.prompt[0]) and found.log_probability.lengths[0] == 0 and found.lengths[0].sum() == 0


def test_a_draw_beyond_the_models_context_is_not_scored(planted):
    model, sample = planted.models["target"], planted.forget[0]
    found = draw_scores(model, [sample], np.array([2]), [[np.arange(200) % 50]])[0]
    assert "longer" in found.reason and np.isnan(found.prompt)
