"""Batches come from seed and step and nothing else."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from rasura.core.types import Samples
from rasura.training.partners import Partners


@given(n=st.integers(1, 12), size=st.integers(1, 9), seed=st.integers(0, 99))
def test_every_pass_uses_every_record_once(n, size, seed):
    """The first n steps hold size passes; the stream of records, cut every n, is a row of permutations."""
    draws = Partners(Samples.of(map(str, range(n))), size, seed)
    stream = [s.text for k in range(n) for s in draws.batch(k)]
    assert len(stream) == n * size
    for at in range(0, len(stream), n):
        assert Counter(stream[at : at + n]) == Counter(map(str, range(n)))


def test_no_process_wide_generator_takes_part():
    samples = Samples.of(map(str, range(20)))

    def drawn(state: int) -> list[Samples]:
        random.seed(state), np.random.seed(state), torch.manual_seed(state)
        draws = Partners(samples, 3, seed=5, name="retain")
        return [draws.batch(k) for k in (7, 0, 3)]  # out of order, as a resumed run asks

    assert drawn(1) == drawn(2)


def test_seed_and_name_matter():
    samples = Samples.of(map(str, range(20)))
    one, two, three = (Partners(samples, 20, seed, name).batch(0) for seed, name in ((0, "a"), (1, "a"), (0, "b")))
    assert len({one, two, three}) == 3


def test_an_empty_set_gives_empty_batches():
    assert Partners(Samples(), 4).batch(3) == Samples()
