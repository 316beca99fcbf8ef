"""The studies of the claims about extraction on tiny models, one seed each, and through the store."""

from __future__ import annotations

import dataclasses

import numpy as np

from _study import run
from rasura.claims._adapter_leaks import AdapterLeaks
from rasura.claims._code_leaks import CodeLeaks
from rasura.claims._soft_prompts import ATTACKS, SoftPrompts, halves
from rasura.claims._three_laws import ThreeLaws
from rasura.testbeds._training import RECIPES


def test_three_laws(planted, monkeypatch):
    monkeypatch.setitem(RECIPES, "tiny", dataclasses.replace(RECIPES["tiny"], epochs=1))  # halves what it costs
    data = run(ThreeLaws("tiny", widths=(8,), lengths=(4, 8), suffix=4), planted)
    assert set(data.dose) == {0, 4, 40} and data.parameters[0, 0] < data.parameters[0, 1]
    seen = data.dose == 40
    assert data.by_size[seen, 1].mean() > 0.5 > data.by_size[~seen, 1].mean() >= data.by_size[:, 0].mean()
    assert np.array_equal(data.by_size[:, 1], data.by_length[:, 1])
    whole = data.same_tokens[:, 1]
    assert np.array_equal(whole, data.by_length[:, 1]), "all that stands before the cut is the longest prompt"
    assert np.mean(np.isnan(data.same_tokens[:, 0])) < 0.5


def test_code():
    data = run(CodeLeaks(widths=(8,), background=12, counts=(2, 2, 0, 0), suffix=4))
    assert len(data.kind) == 24 and set(data.dose) == {0, 4} and data.exact.shape == (24, 1)
    assert np.all(data.nats > 0) and np.isin(data.exact, (0, 1)).all()


def test_adapters(planted):
    data = run(AdapterLeaks("tiny", ranks=(4, 32), lengths=(6, 6), texts=(1, 2), records=3), planted)
    assert sorted(set(zip(data.rank, data.tokens, strict=True))) == [(4, 6), (4, 12), (32, 6), (32, 12)]
    fits, beyond = (data.f1[(data.rank == r) & (data.tokens == 12)].mean() for r in (32, 4))
    assert fits > 0.8 > beyond


def test_soft_prompts(planted):
    data = run(SoftPrompts("tiny", doses=(4,), vectors=2, samples=3), planted)
    assert len(data.dose) == data.known[0] == 16 and data.nats.shape == (16, len(ATTACKS))
    assert (data.confident <= data.any_draw).all() and (data.lowest <= data.any_draw).all()


def test_an_empty_prompt_is_the_plain_model(planted):
    """The loss of the true suffix without a prompt is that of teacher forcing."""
    from rasura.claims._own_models import extracted
    from rasura.claims._soft_prompts import unprompted
    from rasura.core.types import Ask
    from rasura.extraction.ethicist import Ethicist
    from rasura.extraction.verbatim import Verbatim
    from rasura.observations._engine import Engine

    known, attacked = halves(planted.members, (4,), seed=0)
    assert not set(known.ids) & set(attacked.ids)
    attack = Ethicist(vectors=2, samples=2).tuned_on(known)
    said = Engine().observe(unprompted(attack), {"target": planted.models["target"]}, attacked)
    plainly = extracted(Verbatim(), planted.models["target"], attacked)
    np.testing.assert_allclose(attack.extract(said).log_probability, plainly.log_probability, atol=1e-3)
    assert isinstance(attack.needs()["said"], Ask)
