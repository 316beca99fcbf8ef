"""Everything one forward pass says about tokens: the quick way against the formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from _tiny import neox
from rasura.core.types import Sample, Samples
from rasura.models._encoding import even_parts
from rasura.observations import token_statistics
from rasura.observations.token_statistics import TokenStatistics, statistics


def obvious(logits: torch.Tensor, target: torch.Tensor) -> tuple[np.ndarray, ...]:
    """Row by row in float64, with 0 log 0 = 0; rank by a stable sort."""
    found = []
    for row, t in zip(logits.double(), target.tolist(), strict=True):
        log_p = row.log_softmax(-1)
        p, finite = log_p.exp(), log_p.clamp(min=-1e4)
        mean = (p * finite).sum()
        deviation = (p * (finite - mean).square()).sum().sqrt()
        rank = torch.argsort(-row, stable=True).tolist().index(t)
        found.append((float(log_p[t]), float(mean), float(deviation), rank))
    return tuple(np.array(column) for column in zip(*found, strict=True))


@pytest.mark.parametrize("vocabulary", [2, 7, 1000])
@pytest.mark.parametrize("block", [1, 3000, 1 << 18])
def test_the_quick_way_is_the_formula(vocabulary: int, block: int, monkeypatch):
    monkeypatch.setattr(token_statistics, "BLOCK", block)
    torch.manual_seed(vocabulary)
    logits = torch.randn(11, vocabulary) * 4 + 50
    logits[3] = logits[3].round()  # ties
    logits[4] = 0.0  # nothing but ties
    logits[5, 1:] = -torch.inf  # certain
    logits[6] *= 20  # all but certain
    target = torch.arange(11) % vocabulary
    target[5] = 0
    for ours, theirs in zip(statistics(logits, target), obvious(logits, target), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=2e-5, atol=2e-4)
    assert statistics(logits, target)[3].dtype == torch.int32


def test_half_precision_logits_are_worked_on_in_single_precision():
    logits = torch.randn(5, 30).bfloat16()
    for ours, theirs in zip(
        statistics(logits, torch.arange(5)), statistics(logits.float(), torch.arange(5)), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_no_rows_have_no_statistics():
    assert [len(column) for column in statistics(torch.zeros(0, 9), torch.zeros(0, dtype=torch.long))] == [0] * 4


def texts() -> Samples:
    lengths = [3, 20, 1, 7, 24, 0, 20, 7]
    return Samples(
        Sample(str(i), " ".join(["lamp", "rope", "sand"][: i % 3 + 1] * n)[: 5 * n]) for i, n in enumerate(lengths)
    )


def test_a_batch_cut_where_texts_get_shorter_gives_the_rows_of_each_text_alone(monkeypatch):
    monkeypatch.setattr("rasura.models._encoding.PART_TOKENS", 16)
    model, batch = neox(), texts()
    encoded = model.encode_all(batch)
    with torch.no_grad():
        parts = list(even_parts(encoded, cut=True))
    assert len(parts) > 2 and [e for _, part in parts for e in part] == encoded
    assert len(list(even_parts(encoded, cut=False))) == 1
    together = TokenStatistics().measure(model, batch)
    for i, sample in enumerate(batch):
        alone = TokenStatistics().measure(model, Samples([sample]))
        np.testing.assert_allclose(together.log_probability[i], alone.log_probability[0], atol=1e-5)
        assert together.rank[i].tolist() == alone.rank[0].tolist()
        assert (together.reason[i], together.cut[i]) == (alone.reason[0], alone.cut[0])
    assert together.reason[5] == "no token to score"


def test_a_training_batch_cut_by_length_gives_the_same_scores_states_and_gradients(monkeypatch):
    monkeypatch.setattr("rasura.models._encoding.GRADIENT_PART_TOKENS", 16)
    model, batch, found = neox(), texts(), []
    weight = torch.randn(8, 200, generator=torch.Generator().manual_seed(0))
    for cuts in (True, False):
        model.cuts_batches = cuts
        scored, (hidden, mask) = model.score(batch), model.hidden_at(batch, 0)
        assert mask.sum(1).tolist() == scored.counts().tolist()
        loss = (scored.log_probability * weight.flatten()[: len(scored.row)]).sum()
        (loss + (hidden.square().mean(-1) * weight[:, : hidden.shape[1]] * mask).sum()).backward()
        gradients = [p.grad.clone() for p in model.module.parameters()]
        model.module.zero_grad()
        found.append((scored, hidden[mask], gradients))
    (a, seen, left), (b, whole, right) = found
    assert a.row.tolist() == b.row.tolist() == sorted(a.row.tolist())
    assert torch.allclose(a.log_probability, b.log_probability, atol=1e-5) and torch.allclose(seen, whole, atol=1e-5)
    assert all(torch.allclose(x, y, atol=1e-4) for x, y in zip(left, right, strict=True))


def test_an_answer_that_is_not_finite_empties_its_own_sample_only(monkeypatch):
    model, batch = neox(), texts()
    good = TokenStatistics().measure(model, batch)
    plain = token_statistics.statistics
    monkeypatch.setattr(token_statistics, "statistics", lambda logits, target: _spoiled(plain(logits, target)))
    data = TokenStatistics().measure(model, batch)
    assert data.tokens[0] == 0 and data.reason[0] == "the model's answer is not finite"
    assert data.tokens[1:].tolist() == good.tokens[1:].tolist()
    assert np.array_equal(data.mean[4], good.mean[4])


def _spoiled(columns: tuple) -> tuple:
    columns[0][0] = torch.nan  # the first token of the batch
    return columns


def test_many_texts_cut_into_tokens_at_once_are_cut_as_one_by_one():
    one, many = neox(), neox()
    batch = Samples([*texts(), Sample("q", "the lamp is red", start=8), Sample("s", "the lamp is red", secret=4)])
    for a, b in zip([one.encode(s) for s in batch], many.encode_all(batch), strict=True):
        assert a.ids.tolist() == b.ids.tolist() and (a.first, a.cut, a.scored_text) == (b.first, b.cut, b.scored_text)
