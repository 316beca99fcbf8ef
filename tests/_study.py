"""What must hold of every claim's study, whatever it measures."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rasura.claims._seeds import revived, testbed_of
from rasura.core.store import Store
from rasura.core.types import plain


def run(study: Any, planted: Any = None) -> Any:
    """The data of seed 0. The study ticks as often as it says, names no testbed it does not use, and survives the way to
    another process; its data survive the store."""
    ticks: list[int] = []
    data = study.run(0, planted, lambda: ticks.append(1))
    assert len(ticks) == study.ticks and revived(plain(study)) == study
    assert (testbed_of(study) is None) == (planted is None)
    kept = Store()
    kept.write("k", data)
    back = kept.read("k", study.Data)
    for f in dataclasses.fields(data):
        a, b = getattr(data, f.name), getattr(back, f.name)
        assert a.shape == b.shape and (a.tolist() == b.tolist() or np.array_equal(a, b, equal_nan=True)), f.name
    return data
