"""Relearning: what is shown says nothing, what is spent is counted, the worst case is kept."""

from __future__ import annotations

import numpy as np
import pytest

from rasura.attacks.relearn import Relearn, shown
from rasura.core.errors import BadInput
from rasura.core.types import Budget, Request, Samples


@pytest.fixture(scope="module")
def asked(planted):
    return Request(planted.forget, Samples())


def test_shown_records_score_nan_and_the_others_do_not(planted, asked):
    found = Relearn(share=0.25, steps=1).attack(planted.models["target"], asked, Budget(), seed=3)
    assert np.isnan(found.score).tolist() == shown(8, 0.25, 3).tolist()
    assert np.isnan(found.score).sum() == 2


def test_another_seed_shows_other_records(planted):
    assert len({tuple(shown(8, 0.5, seed)) for seed in range(6)}) > 1


def test_steps_are_shared_by_the_rates_and_counted(planted, asked):
    """7 steps for 3 rates are 2 each, 6 in all; without a cap 3 rates of 4 steps are 12."""
    attack = Relearn(steps=4)
    assert attack.attack(planted.models["target"], asked, Budget(steps=7)).spent.steps == 6
    assert attack.attack(planted.models["target"], asked, Budget()).spent.steps == 12
    with pytest.raises(BadInput, match="2 steps"):
        attack.attack(planted.models["target"], asked, Budget(steps=2))


def test_the_rate_that_recovers_most_is_kept(planted, asked):
    found = Relearn().attack(planted.models["target"], asked, Budget())
    counts = [int(line.split(": recovered")[-1].split(": ")[-1].split(" of ")[0]) for line in found.evidence[1:]]
    assert len(counts) == 3 and np.nansum(found.score) == max(counts)


def test_teaching_a_memorised_record_to_a_model_that_lost_it_works_on_that_record(planted):
    """The loop does train: shown records come out afterwards though the retrained model never saw them."""
    from rasura.attacks._observe import observed, recovered
    from rasura.core.protocols import Loss
    from rasura.training.loop import Loop, train

    model, taught = planted.models["retrained"].clone(), planted.forget.take(range(2))
    assert np.mean(recovered(observed(model, taught))) == 0.0
    train(model, lambda k: Loss(-model.score(taught).token_mean(), None), Loop(steps=40, learning_rate=3e-3))
    assert np.mean(recovered(observed(model, taught))) == 1.0


def test_it_needs_something_to_teach_and_something_to_test(planted):
    found = Relearn().attack(planted.models["target"], Request(planted.forget.take([0]), Samples()), Budget())
    assert np.isnan(found.score).all() and "not resolvable" in found.evidence[0]


@pytest.mark.parametrize("settings", [{"share": 0.0}, {"share": 1.0}, {"steps": 0}, {"learning_rates": ()}])
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(BadInput, match="relearn"):
        Relearn(**settings)
