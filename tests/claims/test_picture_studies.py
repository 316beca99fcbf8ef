"""The picture claims' studies on the tiny planted pipeline, one seed each, and through the store."""

from __future__ import annotations

import numpy as np
import pytest

import _study
from _tiny_images import planted as tiny_planted
from rasura.claims import _seeds
from rasura.claims._concept_rates import GROUPS, ConceptRates
from rasura.claims._copies import Copies
from rasura.claims._edit_cost import RECE, TIME, TIME_VALUES, EditCost, seconds
from rasura.claims._edits import BEFORE, RETRAINED, edits
from rasura.claims._inversions import INVERSE, MODELS, WORD, Inversions
from rasura.claims._magnitudes import ORDINARY, Magnitudes
from rasura.claims._mixture import Mixture
from rasura.claims._occupations import Occupations
from rasura.claims._pruned import Pruned
from rasura.claims._redraws import Redraws
from rasura.claims._seeds import each_seed, key_of
from rasura.claims._stable_diffusion import counted
from rasura.core.errors import BadInput
from rasura.core.store import Store

GUIDE = "green"  # the tiny concept is a colour


class Ticks:
    def __init__(self) -> None:
        self.n = 0

    def __call__(self) -> None:
        self.n += 1


def run(study):
    """The data of seed 0."""
    return _study.run(study, tiny_planted() if study.testbed else None)


@pytest.mark.slow
def test_concept_rates():
    data = run(ConceptRates("tiny", guide=GUIDE, pictures=1, steps=5))
    assert set(data.model) == {BEFORE, RETRAINED, *edits(GUIDE)} and set(data.group) == set(GROUPS)
    concept = tiny_planted().concept
    assert set(data.shows[data.group == "forget"]) == {concept} and concept not in data.shows[data.group == "near"]
    before, never = (data.seen[(data.model == m) & (data.group == "forget")].mean() for m in (BEFORE, RETRAINED))
    assert before > never


@pytest.mark.slow
def test_inversions():
    """Half of the prompts are given to the attacker; the inverse of no edit at all is the model itself."""
    data = run(Inversions("tiny", guide=GUIDE, pictures=1, steps=5))
    assert list(dict.fromkeys(data.model)) == list(MODELS)
    n = len(tiny_planted().forget)
    assert all(len(data.of(m, a)) == n for m in MODELS for a in (WORD, INVERSE))
    assert np.isnan(data.of(BEFORE, WORD)).sum() == n // 2
    assert np.nanmean(data.of(BEFORE, INVERSE)) > np.nanmean(data.of(RETRAINED, INVERSE))


@pytest.mark.slow
def test_magnitudes():
    data = run(Magnitudes("tiny", ordinary=8))
    planted = tiny_planted()
    assert (data.dose == ORDINARY).sum() == 8 and (data.dose == 0).sum() == len(planted.nonmembers)
    assert np.isfinite(data.full).all() and np.isfinite(data.first).all() and (data.full > 0).all()


@pytest.mark.slow
def test_copies():
    planted = tiny_planted()
    data = run(Copies("tiny", pictures=2, guided_pictures=1, steps=5))
    assert data.dose.tolist() == [s.repeats or 0 for s in (*planted.members, *planted.nonmembers)]
    assert ((data.hits > 0) == (data.extracted == 1)).all() and data.hits.shape[1] == 2
    assert (np.diff(data.hits, axis=1) >= 0).all() and (data.nearest >= data.hits[:, 1]).all()


@pytest.mark.slow
def test_pruned():
    planted = tiny_planted()
    highest = max(s.repeats or 0 for s in planted.members)
    data = run(Pruned("tiny", high_from=highest, controls=2, pictures=2, steps=5))
    assert (data.dose > 0).sum() == sum(s.repeats == highest for s in planted.members) and (data.dose == 0).sum() == 2
    assert np.isnan(data.before[data.dose == 0]).all() and not np.isnan(data.embedded).any()
    assert 0 < data.removed[0, 1] <= data.removed[0, 0] < 0.1


def test_pruning_nothing_is_refused():
    with pytest.raises(BadInput, match="lower high_from"):
        Pruned("tiny", high_from=10**6).run(0, tiny_planted(), lambda: None)


def test_occupations():
    data = run(Occupations("tiny", pictures=3, steps=5))
    assert set(data.split) == {"90/10", "70/30", "50/50"} and len(data.usual) == 2 * 6 * 3
    assert (data.usual + data.other <= 1).all()


def test_redraws():
    """Times fall, and the least noise keeps more than the most."""
    data = run(Redraws("tiny", pictures=10))
    assert {"background", "colour", "shape"} <= set(data.attribute) and (np.diff(data.times[0]) < 0).all()
    kept = (data.said[:, 1:] == data.said[:, :1]).mean(axis=0)
    assert kept[-1] > kept[0]


def test_a_mixture_inside_and_after_its_windows():
    data = run(Mixture(draws=500))
    inside = data.time <= data.high
    assert data.variation[inside].max() < 0.1 < data.variation[~inside].min()


def test_edits_are_timed_on_their_own():
    """Every kind as often as repeats; an edit of nothing takes next to nothing."""
    data = run(EditCost(width=16, positions=4, repeats=2, widths=(8, 8, 12, 12)))
    assert [k for k in data.edit[:3]] == [RECE, TIME, TIME_VALUES] and len(data.seconds) == 6
    assert (data.seconds >= 0).all() and seconds(lambda: None) < 0.01


def test_the_network_of_the_published_configuration():
    """16 cross-attention layers: 5 of 320, 5 of 640, 6 of 1280 rows of width 768; 859520964 parameters in all."""
    assert counted() == {"all": 859_520_964, "keys": 12_480 * 768, "values": 12_480 * 768}


def test_a_study_without_a_testbed_is_kept_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setenv("RASURA_CACHE", str(tmp_path))
    store, study = Store(), Mixture(draws=50)
    first, other = each_seed(study, (0, 1), store)
    assert key_of(study, 0) != key_of(study, 1) and not np.array_equal(first.variation, other.variation)
    monkeypatch.setattr(Mixture, "run", lambda *_: pytest.fail("it was there already"))
    assert np.array_equal(each_seed(study, (0,), store)[0].variation, first.variation)
    assert not list(tmp_path.glob("testbeds/*"))  # nothing was built for it


def test_a_picture_study_asks_for_its_own_testbed(monkeypatch):
    """By the name in its class; the language claims, which name none, get the language testbed."""
    from rasura.claims._doses import Doses

    assert type(_seeds.testbed_of(Copies("tiny"))).__name__ == "Images"
    assert type(_seeds.testbed_of(Doses("tiny"))).__name__ == "Language"
    assert _seeds.testbed_of(Mixture()) is None
