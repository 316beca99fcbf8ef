"""Distances of pictures, cliques, and the two extractions built on them, against the obvious way to write them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.core.errors import BadInput
from rasura.core.types import Ragged
from rasura.extraction._dose import rate
from rasura.extraction.nearest_picture import NearestPicture
from rasura.extraction.tile_cliques import TileCliques
from rasura.observations.generated_images import ImageData
from rasura.stats._pictures import clique, distances, l2_distances, ssim, tile_distances

SEEDS = st.integers(0, 2**16)


def pictures(seed, n, height=9, width=6):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def data(*rows, reason=None):
    """One row of pictures a sample."""
    side = next((len(row[0]) for row in rows if len(row)), 1)
    reasons = np.array([("" if len(row) else "no picture") for row in rows] if reason is None else reason, dtype=object)
    flat = Ragged.of([np.array(row, dtype=np.uint8).ravel() for row in rows], np.uint8)
    return ImageData(flat, np.full(len(rows), side), reasons)


def grey(value, side=4):
    return np.full((side, side, 3), value, dtype=np.uint8)


@given(SEEDS, st.integers(1, 3))
def test_tiles_against_four_loops(seed, grid):
    a, b = pictures(seed, 2), pictures(seed + 1, 3)
    expected = np.zeros((2, 3))
    for i, j in np.ndindex(2, 3):
        for row in np.array_split(np.arange(9), grid):
            for column in np.array_split(np.arange(6), grid):
                where = np.ix_(row, column)
                gap = (a[i][where].astype(float) - b[j][where].astype(float)) / 255
                expected[i, j] = max(expected[i, j], np.sqrt(np.mean(gap**2)))
    np.testing.assert_allclose(tile_distances(a, b, grid), expected, atol=1e-9)


@given(SEEDS)
def test_the_worst_tile_is_at_least_the_whole_and_distances_are_symmetric(seed):
    a = pictures(seed, 4)
    assert (tile_distances(a, a, 3) >= l2_distances(a, a) - 1e-9).all()
    np.testing.assert_allclose(tile_distances(a, a, 3), tile_distances(a, a, 3).T, atol=1e-9)
    assert not np.diag(tile_distances(a, a, 3)).any()


def test_tiles_see_what_a_plain_background_hides():
    """Two white pictures whose one corner differs: .25 on the whole (delta .3 would call them copies), 1 in the tile."""
    a, b = grey(255), grey(255)
    b[0, 0] = 0
    assert l2_distances(a[None], b[None]) == 0.25 and tile_distances(a[None], b[None], 4) == 1.0


def test_pictures_that_cannot_be_compared_are_refused():
    for wrong in (
        lambda: tile_distances(pictures(0, 1), pictures(0, 1, 6, 6)),
        lambda: tile_distances(pictures(0, 1), pictures(0, 1), 7),
        lambda: tile_distances(pictures(0, 1), pictures(0, 1), 0),
        lambda: distances(pictures(0, 1), pictures(0, 1), "colour"),
    ):
        with pytest.raises(BadInput):
            wrong()


def similarity(a, b, window):
    """The definition, one window at a time."""
    x, y, found = a / 255.0, b / 255.0, []
    for i, j, c in np.ndindex(x.shape[0] - window + 1, x.shape[1] - window + 1, 3):
        p, q = (v[i : i + window, j : j + window, c].ravel() for v in (x, y))
        cov = np.cov(p, q)
        up = (2 * p.mean() * q.mean() + 1e-4) * (2 * cov[0, 1] + 9e-4)
        found.append(up / ((p.mean() ** 2 + q.mean() ** 2 + 1e-4) * (cov[0, 0] + cov[1, 1] + 9e-4)))
    return np.mean(found)


@given(SEEDS)
def test_ssim_against_the_formula(seed):
    a, b = pictures(seed, 1)[0], pictures(seed + 1, 1)[0]
    for window in (3, 6):
        assert ssim(a, b, window) == pytest.approx(similarity(a, b, window), abs=1e-9)
    assert ssim(a, b, 7) == pytest.approx(ssim(a, b, 6))  # cut to the shorter side
    assert ssim(a, a) == pytest.approx(1) and ssim(a, b) == pytest.approx(ssim(b, a))
    np.testing.assert_allclose(distances(a[None], np.stack([a, b]), "ssim")[0], [0, 1 - ssim(a, b)], atol=1e-12)


@given(SEEDS, st.integers(1, 8), st.floats(0.2, 0.9), st.integers(1, 8))
def test_cliques_against_all_subsets(seed, n, share, enough):
    rng = np.random.default_rng(seed)
    near = np.triu(rng.random((n, n)) < share, 1)
    near = near | near.T
    largest = max(
        size
        for size in range(n + 1)
        if any(all(near[i, j] for i, j in combinations(nodes, 2)) for nodes in combinations(range(n), size))
    )
    found = clique(near, enough)
    assert all(near[i, j] for i, j in combinations(found, 2))
    assert len(found) >= min(largest, enough) and len(found) <= largest


def test_cliques_are_found_in_large_graphs_at_once():
    rng = np.random.default_rng(0)
    near = np.triu(rng.random((300, 300)) < 0.2, 1)
    near[np.ix_(range(0, 120, 10), range(0, 120, 10))] = True
    near = np.triu(near, 1) | np.triu(near, 1).T
    assert len(clique(near, 12)) == 12 and len(clique(near, 300)) == 12
    assert len(clique(np.ones((300, 300), dtype=bool), 300)) == 300


@given(SEEDS, st.floats(0.05, 0.6))
def test_no_smaller_threshold_than_the_distance_gives_success(seed, threshold):
    rng = np.random.default_rng(seed)
    row = rng.integers(0, 256, (1, 8, 8, 3)) + rng.integers(0, 80, (6, 8, 8, 3))
    drawn = data(np.clip(row, 0, 255))
    found = TileCliques(n=6, clique=3, threshold=threshold).extract(drawn)
    if found.success[0]:
        assert found.distance[0] < threshold
    below = TileCliques(n=6, clique=3, threshold=float(found.distance[0])).extract(drawn)
    assert below.success[0] == 0


def test_a_chain_of_near_copies_is_no_clique():
    """Each is near the next, the first far from the last: a memory comes back as one picture, not as a drift."""
    drawn = data([grey(v) for v in (0, 30, 60, 90)])
    found = TileCliques(n=4, clique=3, threshold=0.15).extract(drawn)
    assert found.success.tolist() == [0.0] and found.hits.tolist() == [pytest.approx(2 / 3)]
    assert found.distance[0] == pytest.approx(30 / 255) and found.drawn[0] == 1


def test_only_its_own_picture_counts_and_only_when_near():
    real = data([grey(0)], [grey(100)], [grey(255)])
    drawn = data([grey(90), grey(20)], [grey(10), grey(5)], [grey(200), grey(190)])
    found = NearestPicture(n=2, threshold=0.1).extract(drawn, real)
    assert found.success.tolist() == [1, 0, 0] and found.hits.tolist() == [0.5, 0, 0]
    np.testing.assert_allclose(found.distance, [20 / 255, 90 / 255, 55 / 255], atol=1e-9)
    assert found.drawn.tolist() == [1, 0, 0]
    assert rate(found.success).value == pytest.approx(1 / 3)


def test_the_adaptive_distance_by_hand():
    """Drawn 20; candidates 0, 100, 255 lie 20, 80 and 235 away: 20 / (.5 (20 + 80)/2) = .8 with two neighbours."""
    real, drawn = data([grey(0)], [grey(100)], [grey(255)]), data([grey(20)], [grey(100)], [grey(255)])
    found = NearestPicture(n=1, rule="adaptive", neighbours=2, threshold=0.85).extract(drawn, real)
    assert found.distance[0] == pytest.approx(0.8) and found.success.tolist() == [1, 1, 1]
    everyone = NearestPicture(n=1, rule="adaptive").extract(drawn, real)
    assert everyone.distance[0] == pytest.approx(20 / (0.5 * (20 + 80 + 235) / 3))


@given(SEEDS)
def test_more_candidates_only_take_successes_away(seed):
    rng = np.random.default_rng(seed)
    real = rng.integers(0, 256, (6, 1, 4, 4, 3))
    drawn = np.clip(real + rng.integers(-60, 60, (6, 3, 4, 4, 3)), 0, 255)
    for rule in ("l2", "tile"):
        how = NearestPicture(n=3, rule=rule, threshold=0.2)
        few = how.extract(data(*drawn[:3]), data(*real[:3])).success
        many = how.extract(data(*drawn), data(*real)).success[:3]
        assert (many <= few).all()


def test_two_records_with_the_same_picture_are_both_extracted():
    real, drawn = data([grey(0)], [grey(0)], [grey(255)]), data([grey(3)], [grey(4)], [grey(200)])
    assert NearestPicture(n=1).extract(drawn, real).success.tolist() == [1, 1, 0]


def test_what_cannot_be_judged_says_why():
    real, drawn = data([], [grey(1)], [grey(9)]), data([grey(1)], [], [grey(9)], reason=["", "out of memory", ""])
    found = NearestPicture(n=1).extract(drawn, real)
    assert np.isnan(found.success[:2]).all() and found.reason.tolist() == ["no picture", "out of memory", ""]
    cliques = TileCliques(n=2, clique=2).extract(data([], [grey(1)], [grey(2), grey(2)]))
    assert np.isnan(cliques.success[:2]).all() and cliques.success[2] == 1
    assert cliques.reason.tolist() == ["no picture", "no picture could be compared", ""]
    nobody = NearestPicture(n=1).extract(data([grey(1)]), data([]))
    assert np.isnan(nobody.success).all() and nobody.reason.tolist() == ["no picture"]
    for found in (NearestPicture().extract(data(), data()), TileCliques().extract(data())):
        assert found.success.shape == (0,) and not rate(found.success).known


def test_settings_that_mean_nothing_are_refused():
    for wrong in (lambda: TileCliques(n=4, clique=5), lambda: TileCliques(clique=1), lambda: NearestPicture(rule="x")):
        with pytest.raises(BadInput):
            wrong()
