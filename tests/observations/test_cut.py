"""Where prompts end: one rule, whether it is asked of one encoded record or of what was observed about many."""

from __future__ import annotations

import numpy as np
import pytest

import _tiny
from rasura.core.types import Sample, Samples
from rasura.observations._cut import cut_of
from rasura.observations.sampling_probability import SamplingProbability
from rasura.observations.token_statistics import TokenStatistics

TEXT = "Anna carried 12 quiet rivers and opened the engine of Felix in 1504."


@pytest.fixture(params=["neox", "llama"])
def model(request):
    return getattr(_tiny, request.param)()


def tokens(model, text):
    return len(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def test_secret_before_context_before_half(model):
    """Of T scored tokens: the secret's first token; else 0, as a context is not scored; else floor(T/2)."""
    start, secret = TEXT.index(" and"), TEXT.index(" in 1504")
    plain, context, marked, both = (
        Sample("0", TEXT),
        Sample("1", TEXT, start=start),
        Sample("2", TEXT, secret=secret),
        Sample("3", TEXT, start=start, secret=secret),
    )
    tail = tokens(model, TEXT[start:secret])
    expected = [tokens(model, TEXT) // 2, 0, tokens(model, TEXT[:secret]), tail]
    batch = Samples([plain, context, marked, both])
    assert [int(cut_of(model.encode(s))) for s in batch] == expected
    for data in (TokenStatistics().measure(model, batch), SamplingProbability().measure(model, batch)):
        assert cut_of(data).tolist() == expected


def test_a_given_length_overrides_and_is_bounded(model):
    batch = Samples([Sample("0", TEXT, secret=40), Sample("1", TEXT, start=len(TEXT) - 5)])
    short = model.encode(batch[1]).scored
    assert short < 6
    assert [int(cut_of(model.encode(s), 6)) for s in batch] == [6, short]
    assert cut_of(TokenStatistics().measure(model, batch), 6).tolist() == [6, short]


def test_a_record_without_scored_tokens_has_cut_0(model):
    empty = Sample("0", "")
    assert int(cut_of(model.encode(empty))) == 0
    assert cut_of(TokenStatistics().measure(model, Samples([empty]))).tolist() == [0]
    assert cut_of(TokenStatistics().blank("out of memory", 2), 5).tolist() == [0, 0]
    assert cut_of(TokenStatistics().blank("", 0)).dtype == np.int64
