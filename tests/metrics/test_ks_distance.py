"""A distance of distributions: both faults, equal means, and what noise alone gives."""

from __future__ import annotations

import numpy as np

from metrics._losses import KNOWN, RETRAINED, RNG, SHUNNED, estimate


def test_it_sees_both_faults_and_equal_means():
    """Half the records known, half shunned: the means agree with the retrained model's, the distributions do not."""
    half = np.where(np.arange(60) % 2, RETRAINED - 2.0, RETRAINED + 2.0)
    assert estimate("ks_distance", KNOWN).value == estimate("ks_distance", SHUNNED).value == 1.0
    assert estimate("ks_distance", half).value >= 0.45


def test_it_says_what_noise_alone_gives():
    """Two samples of 60 from one distribution differ by .8276 sqrt(2/60) = .151 half of the time."""
    found = estimate("ks_distance", RNG.normal(2.5, 0.2, size=60))
    assert "half of the time" in found.note
    assert abs(float(found.note.split("exceed ")[1].split()[0]) - 0.151) < 0.04
