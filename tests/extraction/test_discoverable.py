"""The protocol: all lengths from one pass, the same answer as real generation, comparable lengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rasura.core.errors import BadInput
from rasura.core.types import Ask, Ragged, Samples
from rasura.extraction._similarity import matching_prefix
from rasura.extraction.discoverable import Discoverable
from rasura.observations._engine import Engine
from rasura.observations.generations import Generations
from rasura.observations.token_statistics import TokenData, TokenStatistics

ENGINE = Engine()


def observed(method, model, samples):
    return {key: ENGINE.observe(ask, {"target": model}, samples) for key, ask in method.needs().items()}


def some(planted) -> Samples:
    """Well learned, half learned and never seen."""
    return Samples([*planted.members.take([0, 1, 20, 21]), *planted.nonmembers.take(range(2))])


def ranks(*rows) -> TokenData:
    rank = Ragged.of(rows, np.int32)
    logs = Ragged.of([np.log(np.full(len(r), 0.5)) for r in rows])
    n = len(rows)
    return TokenData(logs, logs, logs, rank, rank.lengths, rank.lengths, rank.lengths, np.array([""] * n, dtype=object))


def curve(found, name):
    return next(c for c in found.curves if c.name == name)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.integers(1, 18), min_size=1, max_size=3), st.integers(0, 6))
def test_one_pass_says_what_generation_says(planted, lengths, m):
    """Exact match and tokens before the first error, for every length, from the ranks and from real greedy decoding."""
    method = Discoverable(context_lengths=tuple(sorted(lengths)), suffix_tokens=m, partial_credit=False)
    samples = some(planted)
    found = method.extract(**observed(method, planted.models["target"], samples))
    for column, k in enumerate(method.context_lengths):
        said = ENGINE.observe(Ask(Generations(k)), planted.models, samples)
        for i in range(len(samples)):
            n = int(found.tokens[i])
            true = said.true_ids[i][:n]
            equal = matching_prefix(said.ids[i][:n], true)
            assert curve(found, "tokens right before the first error").values[i, column] == equal
            assert curve(found, "word for word").values[i, column] == float(equal == n)


def test_exact_match_alone_asks_for_one_pass_whatever_the_lengths():
    exact = Discoverable(context_lengths=(8, 16, 32), partial_credit=False)
    assert exact.needs() == {"tokens": Ask(TokenStatistics())}
    assert set(Discoverable(context_lengths=(8, 16)).needs()) == {"tokens", "said_8", "said_16"}


def test_without_lengths_it_asks_what_the_other_extractors_ask():
    """The same greedy continuation as judging near copies: one pass for both."""
    asks = Discoverable(prefix_tokens=7).needs()
    assert asks["said_7"] == Ask(Generations(7, 50)) and asks["tokens"] == Ask(TokenStatistics())


def test_every_length_asks_for_as_many_tokens_of_the_same_records():
    """10 and 5 tokens, prompts of 2 and 6: the short record is judged at neither, the long one for 4 tokens at both."""
    data = ranks([9, 9, 0, 0, 0, 0, 0, 7, 0, 0], [0, 0, 0, 0, 0])
    found = Discoverable(context_lengths=(2, 6), partial_credit=False).extract(data)
    exact = curve(found, "word for word").values
    assert exact[0].tolist() == [1.0, 0.0] and np.isnan(exact[1]).all()
    assert curve(found, "tokens right before the first error").values[0].tolist() == [4.0, 1.0]
    assert found.tokens.tolist() == [4, 0] and found.success[0] == 0.0 and bool(found.reason[1])
    assert found.log_probability[0] == pytest.approx(4 * np.log(0.5))


def test_partial_credit_is_all_of_it_where_a_record_comes_out(planted):
    method = Discoverable(context_lengths=(10, 14))
    found = method.extract(**observed(method, planted.models["target"], some(planted)))
    exact = curve(found, "word for word").values
    assert exact.any() and not exact.all()
    for name in ("tokens right (Hamming)", "BLEU-4", "edit similarity"):
        values = curve(found, name).values
        assert np.array_equal(values == 1.0, exact == 1.0) and ((values >= 0) & (values <= 1)).all()
    assert {c.axis for c in found.curves} == {"tokens of context"} and found.curves[0].x == (10.0, 14.0)


def test_prompts_are_cut_from_the_records_tokens_and_never_read_again(planted):
    """What is compared are the record's own ids, at every cut, also in the middle of a word."""
    samples, model = some(planted), planted.models["target"]
    for k in (3, 8):
        said = ENGINE.observe(Ask(Generations(k, 50)), {"target": model}, samples)
        for i, sample in enumerate(samples):
            encoded = model.encode(sample)
            assert np.array_equal(said.true_ids[i], encoded.ids[encoded.first + k :])


@pytest.mark.parametrize("lengths", [(0,), (8, 4), (4, 4), (-1, 3)])
def test_lengths_without_meaning_are_refused(lengths):
    with pytest.raises(BadInput, match="context_lengths"):
        Discoverable(context_lengths=lengths)
