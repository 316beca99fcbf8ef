"""Order tests: their p values against the obvious slow ones, and the slips of the authors' code."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, spearmanr

from rasura.core.errors import BadInput
from rasura.core.types import Ragged, Samples
from rasura.data.transcripts import Transcript
from rasura.provenance._math import order_p_value, student_p_value
from rasura.provenance.palimpsest_observational import PalimpsestObservational
from rasura.provenance.palimpsest_query import PalimpsestQuery

METHOD = PalimpsestQuery(prefix_tokens=0, window=0, minimum_tokens=1, draws=999)


def data(values):
    return SimpleNamespace(log_probability=Ragged.of([[v, v] for v in values]))


def transcript(position, block=None):
    n = len(position)
    return Transcript(
        Samples.of([f"t{i}" for i in range(n)]),
        np.asarray(position, float),
        np.asarray(block if block is not None else [-1] * n),
    )


@settings(max_examples=25)
@given(st.lists(st.integers(0, 4), min_size=4, max_size=4))
def test_permuted_orders_agree_with_all_orders(values):
    order, y = np.arange(len(values)), np.array(values, float)
    if np.ptp(y) == 0:
        return
    rho = [spearmanr(p, y).statistic for p in permutations(order)]
    exact = np.mean(np.array(rho) >= spearmanr(order, y).statistic - 1e-9)
    assert order_p_value(order, y, 3000) == pytest.approx(exact, abs=0.04)


def test_student_agrees_with_scipy():
    x, y = np.arange(30), np.random.default_rng(1).standard_normal(30)
    found = spearmanr(x, y, alternative="greater")
    assert student_p_value(float(found.statistic), 30) == pytest.approx(found.pvalue)


def test_slip_positions_are_ranked_not_inverted():
    """np.argsort(order) is the inverse of the order: right only where the texts lie in it. Here they do not."""
    rng = np.random.default_rng(3)
    position = rng.permutation(60)
    exact, *_ = METHOD.test(transcript(position), data(position * 0.1))
    assert exact.statistic.value == pytest.approx(1.0) and exact.p_value == 0.001
    assert abs(spearmanr(np.argsort(position), position).statistic) < 0.5


def test_slip_one_sided_later_is_better_known():
    position = np.arange(40)
    assert METHOD.test(transcript(position), data(-0.1 * position))[0].p_value > 0.99


def test_the_reference_is_subtracted():
    rng = np.random.default_rng(0)
    difficulty, position = rng.standard_normal(80) * 5, rng.permutation(80)
    target = difficulty + 0.02 * position
    with_it = METHOD.test(transcript(position), data(target), data(difficulty))
    without = METHOD.test(transcript(position), data(target))
    assert with_it[0].p_value == 0.001 and without[0].p_value > 0.01
    assert with_it[-1].p_value > 0.01, "the reference itself knows no order"


def test_a_reference_of_the_same_order_is_shown():
    position = np.arange(60)
    tests = METHOD.test(transcript(position), data(0.2 * position), data(0.1 * position))
    assert tests[-1].p_value == 0.001 and "reference" in tests[-1].name


def test_blocks_are_permuted_where_texts_of_a_block_resemble_each_other():
    """Shards of one source in random order: text by text the test is wrong, block by block it is right."""
    by_text, by_block = [], []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        place, level = rng.permutation(24), rng.standard_normal(24)
        block = np.repeat(np.arange(24), 8)
        y = level[block] + 0.1 * rng.standard_normal(192)
        position = place[block] * 8 + np.tile(np.arange(8), 24)
        by_text.append(METHOD.test(transcript(position), data(y))[0].p_value)
        by_block.append(METHOD.test(transcript(position, block), data(y))[0].p_value)
    assert kstest(by_block, "uniform").pvalue > 0.01
    assert kstest(by_text, "uniform").pvalue < 0.01


def test_the_window():
    method = PalimpsestQuery(prefix_tokens=2, window=3, minimum_tokens=1)
    rows = SimpleNamespace(log_probability=Ragged.of([[9.0, 9, 1, 2, 3, 9], [9.0, 9, 4], [9.0]]))
    np.testing.assert_allclose(method._known(rows), [2.0, 4.0, np.nan])


def test_too_few_texts_and_one_line_about_it():
    with pytest.raises(BadInput, match="^palimpsest_query: 19 texts[^\n]*$"):
        METHOD.test(transcript(range(19)), data(range(19)))


def test_partition_finds_text_taken_from_later_training_and_nothing_else():
    rng = np.random.default_rng(0)
    training = [" ".join(f"w{k}" for k in rng.integers(0, 400, 30)) for _ in range(80)]
    position = rng.permutation(80)
    late = [training[i] for i in np.argsort(position)[-12:]]
    method = PalimpsestObservational(draws=1999)
    there = Transcript(Samples.of(training), position.astype(float), np.full(80, -1))
    assert method.partition(Samples.of([" ".join(t.split()[5:20]) for t in late]), there).p_value < 0.01
    foreign = [" ".join(f"w{k}" for k in rng.integers(0, 400, 30)) for _ in range(12)]
    assert method.partition(Samples.of(foreign), there).p_value > 0.01


def test_partition_drops_what_everybody_says():
    method = PalimpsestObservational(most=1)
    assert method.matches(Samples.of(["the cat"]), Samples.of(["the dog", "the cow"])).tolist() == [0.0, 0.0]


def test_reshuffles_are_needed():
    with pytest.raises(BadInput, match="shuffle_1"):
        PalimpsestObservational().queries(Samples.of(["a"]), ("target",))


def test_reshuffled_orders_by_hand():
    def likelihood(value):
        return SimpleNamespace(log_probability=Ragged.of([[value, value], [np.nan] if value is None else [value]]))

    (found,) = PalimpsestObservational().test(
        Samples.of(["a", "b"]), likelihood(-1.0), shuffle_1=likelihood(-2.0), shuffle_2=likelihood(-3.0)
    )
    assert found.p_value == pytest.approx(1 / 3) and found.note == "rank 1 of 3"
    assert found.statistic.value == pytest.approx(-3 + 7.5)
