"""Verdicts per text: false discoveries stay below what was asked, and too few calibration texts mean no verdict."""

from __future__ import annotations

import numpy as np
import pytest

from rasura.core.errors import BadInput
from rasura.stats.decisions import verdicts


def test_false_discoveries_are_held_down_and_true_ones_made():
    rng, shares, found = np.random.default_rng(0), [], []
    for _ in range(300):
        seen, unseen, calibration = rng.normal(3, 1, 40), rng.normal(0, 1, 60), rng.normal(0, 1, 200)
        flagged = verdicts(np.concatenate([seen, unseen]), calibration, 0.1).flagged
        shares.append(flagged[40:].sum() / max(1, flagged.sum()))
        found.append(flagged[:40].mean())
    assert np.mean(shares) <= 0.1 + 2 * np.std(shares) / np.sqrt(300)
    assert np.mean(found) >= 0.6


def test_nothing_is_flagged_where_no_number_of_texts_could_be():
    found = verdicts([9.0] * 5, [0.0] * 10, 0.05)
    assert not found.flagged.any() and found.fewest == 10 and found.fewest > 5
    assert verdicts([9.0] * 10, [0.0] * 19, 0.05).flagged.all()  # exactly the fewest: 10/(.05 * 20) = 10


def test_what_cannot_be_scored_is_never_flagged():
    found = verdicts([np.nan, 9.0], [0.0] * 99, 0.05)
    assert found.flagged.tolist() == [False, True] and np.isnan(found.p_value[0])


@pytest.mark.parametrize(
    ("calibration", "rate", "message"), [([np.nan], 0.05, "no calibration"), ([0.0], 1.0, "strictly")]
)
def test_bad_input(calibration, rate, message):
    with pytest.raises(BadInput, match=message):
        verdicts([1.0], calibration, rate)
