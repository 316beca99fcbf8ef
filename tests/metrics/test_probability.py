"""Arithmetic mean over records of geometric means over tokens."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from rasura.core.types import Ragged
from rasura.metrics.probability import Probability


def test_it_is_the_mean_of_geometric_means():
    """Tokens 1/2, 1/8 have geometric mean 1/4; one token 3/4: mean 1/2. exp of the mean loss would be .433."""
    logs = Ragged.of([np.log([0.5, 0.125]), np.log([0.75])])
    assert Probability().estimate(SimpleNamespace(loss=-logs.mean())).value == pytest.approx(0.5, abs=1e-9)
