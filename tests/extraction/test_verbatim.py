"""One teacher-forced pass says what greedy decoding would: against ``module.generate`` on three kinds of model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from golden._fixture import build_llama, build_neox
from rasura.core.types import Ask, Ragged, Sample, Samples
from rasura.extraction.verbatim import Verbatim
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenData, TokenStatistics


def extracted(extractor: Verbatim, model, samples: Samples):
    return extractor.extract(Engine().observe(Ask(TokenStatistics()), {"target": model}, samples))


def greedy(model, ids: np.ndarray, new: int) -> np.ndarray:
    """What transformers itself generates after ``ids``, without the end-of-text token."""
    prompt = torch.tensor(ids)[None]
    with torch.no_grad():
        out = model.module.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=new, do_sample=False, pad_token_id=1
        )
    return out[0, len(ids) :].numpy()


def ids_as_text(ids) -> str:
    return " ".join(str(int(i)) for i in ids)


@pytest.mark.parametrize("build", [build_neox, build_llama])
def test_agrees_with_generate_on_untrained_models(build):
    """Each prompt with the model's own greedy continuation (a hit) and with one token of it changed (a miss).

    The fixture's tokenizer reads decimal ids, so a text has exactly the ids it was made of. Continuations that hold
    special tokens have no such text and are skipped.
    """
    model, random = build(), np.random.RandomState(3)
    samples, expected = [], []
    for number in range(12):
        prompt = random.randint(3, 211, size=random.randint(3, 9))
        said = greedy(model, prompt, 6)
        if len(said) < 6 or (said < 3).any():
            continue
        wrong = said.copy()
        place = random.randint(6)
        wrong[place] = 3 + (wrong[place] - 2) % 208
        for name, rest in (("hit", said), ("miss", wrong)):
            text = ids_as_text([*prompt, *rest])
            samples.append(Sample(f"{name}-{number}", text, secret=len(ids_as_text(prompt))))
            expected.append(float(np.array_equal(greedy(model, prompt, 6), rest)))
    found = extracted(Verbatim(), model, Samples(samples))
    assert len(samples) >= 12 and 0.0 in expected and 1.0 in expected
    assert found.success.tolist() == expected
    assert (found.tokens == 6).all()


def test_agrees_with_generate_on_a_model_that_memorised(planted):
    """Halves of the plants and of their twins: some come out, some do not."""
    model = planted.models["target"]
    samples = Samples([*planted.members.take(range(20)), *planted.nonmembers.take(range(6))])
    found = extracted(Verbatim(), model, samples)
    for sample, success, tokens in zip(samples, found.success, found.tokens, strict=True):
        ids = model.encode(sample).ids
        said = greedy(model, ids[: len(ids) - tokens], int(tokens))
        assert float(np.array_equal(said, ids[len(ids) - tokens :])) == success
    assert 0.3 < found.success.mean() < 0.9


def tokens(ranks: list[list[int]], cut: list[int] | None = None) -> TokenData:
    rank = Ragged.of(ranks, np.int32)
    logs = Ragged.of([[-1.0] * len(r) for r in ranks], np.float32)
    n, reason = np.array([len(r) for r in ranks]), np.array([""] * len(ranks), dtype=object)
    return TokenData(logs, logs, logs, rank, np.array(cut) if cut else n, n, n, reason)


def test_the_last_token_counts():
    """Half of 4 tokens is the suffix; a miss on the very last one is a miss."""
    assert Verbatim().extract(tokens([[0, 0, 0, 1]])).success.tolist() == [0.0]


def test_what_stands_before_the_cut_does_not_count():
    assert Verbatim().extract(tokens([[9, 9, 0, 0]])).success.tolist() == [1.0]


def test_suffixes_are_cut_at_their_longest():
    """60 tokens, the secret from the fifth on: 50 of the other 56 are judged, so a miss on the 56th does not matter."""
    ranks = [0] * 60
    ranks[55] = 3
    found = Verbatim().extract(tokens([ranks], cut=[4]))
    assert found.tokens.tolist() == [50] and found.success.tolist() == [1.0]
    assert Verbatim(suffix_tokens=0).extract(tokens([ranks], cut=[4])).success.tolist() == [0.0]
    assert found.log_probability.tolist() == [-50.0]


def test_a_prefix_that_takes_everything_leaves_nothing_to_extract():
    found = Verbatim(prefix_tokens=4).extract(tokens([[0, 0, 0, 0], [0] * 6]))
    assert np.isnan(found.success).tolist() == [True, False]
    assert [bool(r) for r in found.reason] == [True, False]
