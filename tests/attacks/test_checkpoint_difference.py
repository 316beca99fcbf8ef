"""Two checkpoints give away who was erased."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.attacks.checkpoint_difference import CheckpointDifference, standing
from rasura.core.errors import NeedsRole
from rasura.core.types import Budget, Request, Samples
from rasura.stats.roc import auc

values = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=8)


@given(values, values)
def test_standing_is_the_share_below_and_its_mean_the_auc(forget, retain):
    expected = [np.mean([(r < f) + (r == f) / 2 for r in retain]) for f in forget]
    found = standing(np.array(forget), np.array(retain))
    assert found == pytest.approx(expected, abs=1e-12)
    assert np.mean(found) == pytest.approx(auc(forget, retain), abs=1e-12)


def test_unknown_losses_stay_unknown():
    found = standing(np.array([np.nan, 1.0]), np.array([0.0, np.nan]))
    assert np.isnan(found[0]) and found[1] == 1.0
    assert np.isnan(standing(np.array([1.0]), np.array([np.nan]))).all()


def test_the_old_model_is_needed(planted):
    with pytest.raises(NeedsRole, match="before"):
        CheckpointDifference().attack(planted.models["target"], Request(planted.forget, planted.retain), Budget())


def test_without_retained_records_nothing_can_be_said(planted):
    target = planted.models["target"]
    found = CheckpointDifference().attack(target, Request(planted.forget, Samples()), Budget(), before=target)
    assert np.isnan(found.score).all() and "not resolvable" in found.evidence[0]


def test_retained_records_are_drawn_by_seed_within_the_budget(planted):
    """30 queries are 15 records twice: 8 forget and 7 retained ones."""
    request, models = Request(planted.forget, planted.retain), planted.models
    runs = [
        CheckpointDifference().attack(models["reference"], request, Budget(queries=30), seed=s, before=models["target"])
        for s in (0, 0, 1)
    ]
    assert runs[0].spent.queries == 30
    assert np.array_equal(runs[0].score, runs[1].score) and not np.array_equal(runs[0].score, runs[2].score)
    assert set(np.round(runs[0].score * 14)) <= set(range(15))
