"""Who is planted how often: nothing but a model may tell members from non-members."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from rasura.core.types import Sample
from rasura.testbeds._doses import assign_doses, match_twins
from rasura.testbeds._plants import SIZES, Corpus, corpus


def auc(positive: list[float], negative: list[float]) -> float:
    ranks = rankdata([*positive, *negative])[: len(positive)]
    return (ranks.sum() - len(positive) * (len(positive) + 1) / 2) / (len(positive) * len(negative))


def lengths(found: Corpus, family: str, dose: int) -> list[int]:
    return [len(p.text) for p in found.plants if p.family == family and p.repeats == dose]


@pytest.mark.parametrize("seed", range(5))
def test_length_tells_no_dose_from_non_members(seed: int):
    found = corpus("small", seed)
    for family, counts in SIZES["small"].plants.items():
        plants = [p for p in found.plants if p.family == family]
        assert Counter(p.repeats for p in plants) == counts
        bound = 0.5 / min(counts.values()) + 0.01  # 1/(2 B), and a little for ties across the edges of blocks
        for dose in set(counts) - {0}:
            distance = abs(auc(lengths(found, family, dose), lengths(found, family, 0)) - 0.5)
            assert distance <= bound and (counts[dose] < 32 or distance <= 0.1)


@settings(max_examples=50, deadline=None)
@given(
    counts=st.dictionaries(st.sampled_from([0, 1, 2, 8, 64]), st.integers(0, 9), max_size=5),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_any_design_has_its_counts_and_its_twins(counts: dict[int, int], seed: int, data: st.DataObject):
    sizes = st.lists(st.integers(1, 30), min_size=sum(counts.values()), max_size=sum(counts.values()))
    samples = [Sample(str(i), "x" * n) for i, n in enumerate(data.draw(sizes))]
    doses = assign_doses(samples, counts, seed)
    assert Counter(doses) == {dose: count for dose, count in counts.items() if count}
    twins = match_twins(samples, counts, doses, seed)
    members = [str(i) for i, dose in enumerate(doses) if dose]
    assert sorted(twins, key=int) == (members if counts.get(0) else [])
    assert all(doses[int(twin)] == 0 for twin in twins.values())


@pytest.mark.parametrize("counts", [{0: 4, 1: 4, 8: 4}, {0: 9, 1: 3}])
def test_every_sample_is_as_likely_to_be_left_out_and_either_twin_to_be_planted(counts: dict[int, int]):
    samples = [Sample(str(i), "x" * (3 * i + 1)) for i in range(12)]
    drawn = [assign_doses(samples, counts, seed) for seed in range(2000)]
    for dose, count in counts.items():
        share = np.mean(np.array(drawn) == dose, axis=0)
        assert abs(share - count / 12).max() < 0.05  # binomial standard error .011
    pairs = [p for seed, d in enumerate(drawn) for p in match_twins(samples, counts, d, seed).items()]
    assert abs(np.mean([int(member) > int(twin) for member, twin in pairs]) - 0.5) < 0.03


def test_twins_are_as_long_as_their_members():
    small = corpus("small", seed=0)
    by_id = {p.id: p for p in small.plants}
    assert set(small.twins) == {p.id for p in small.plants if p.repeats}
    pairs = [(by_id[member], by_id[twin]) for member, twin in small.twins.items()]
    assert all(twin.repeats == 0 and twin.family == member.family for member, twin in pairs)
    assert np.mean([abs(len(a.text) - len(b.text)) for a, b in pairs]) < 2  # characters; texts have 30 to 240
    assert max(Counter(small.twins.values()).values()) <= 2


def test_a_design_for_another_number_of_samples_is_refused():
    with pytest.raises(ValueError, match="3 samples asked for, 1 samples given"):
        assign_doses([Sample("a", "text")], {0: 1, 1: 2}, seed=0)


def test_words_tell_no_members_from_non_members():
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline

    scores = []
    for seed in range(3):
        plants = [p for p in corpus("small", seed).plants if p.family == "passage" and p.repeats in (0, 1)]
        label = np.array([p.repeats for p in plants])
        blind = make_pipeline(CountVectorizer(), LogisticRegression(solver="liblinear"))
        guess = cross_val_predict(blind, [p.text for p in plants], label, cv=5, method="predict_proba")[:, 1]
        scores.append(auc(list(guess[label == 1]), list(guess[label == 0])))
    assert abs(np.mean(scores) - 0.5) < 0.07, scores  # standard error of the mean of three about .016
