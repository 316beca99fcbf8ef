"""Membership beyond what sets the two sides apart without memory."""

from __future__ import annotations

from metrics._losses import TWINS, data
from rasura.metrics.membership_gap import MembershipGap


def test_what_sets_forget_records_apart_for_other_reasons_cancels():
    """Forget records are easier than the twins under every model, by .5: each AUC is far above 1/2, the gap is 0."""
    easier, twins = data(TWINS - 0.5), data(TWINS)
    found = MembershipGap().estimate(easier, twins, easier, twins)
    assert found.value == 0.0 and found.low < 0 < found.high
