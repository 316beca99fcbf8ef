"""Every record counts once."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from rasura.core.types import Ragged
from rasura.metrics.forget_loss import ForgetLoss


def test_every_record_counts_once_whatever_its_length():
    """1 token at 4 nats and 3 tokens at 1 nat: the mean over records is 2.5, over tokens it would be 1.75."""
    logs = Ragged.of([[-4.0], [-1.0, -1.0, -1.0]], np.float32)
    assert ForgetLoss().estimate(SimpleNamespace(loss=-logs.mean())).value == 2.5
