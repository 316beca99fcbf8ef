"""Which feed-forward weights are pruned, against the obvious way, and what a request must bring."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import _tiny_pipelines
from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.types import Ask, Request, Samples
from rasura.models.text_to_image import TextToImage
from rasura.observations._engine import Engine
from rasura.observations.neuron_activations import NeuronActivations
from rasura.training.loop import pinned_threads

REQUEST = Request(Samples.of(["a red ring", "a ring"]), Samples.of(["a cat", "a dog"]), concept="ring")


@pytest.fixture(autouse=True)
def one_thread():
    with pinned_threads(1):
        yield


def handle() -> TextToImage:
    return TextToImage(_tiny_pipelines.sd1(prediction="v_prediction"), name="sd1")


def wanda(**more):
    if "wanda" not in registry.names("erasers.pruning"):
        pytest.skip("wanda is not installed")
    return registry.make("erasers.pruning", "wanda", {"steps": 4, "tau": 2, **more})


def part(name: str):
    wanda()
    return getattr(registry.module_of("erasers.pruning", "wanda"), name)


@given(out=st.integers(1, 5), width=st.integers(1, 9), share=st.sampled_from([0.01, 0.3, 1.0]), seed=st.integers(0, 50))
def test_flags_are_the_obvious_ones(out, width, share, seed):
    """Row by row with sorted lists; scores of random numbers have no ties."""
    rng = np.random.default_rng(seed)
    w, a, b = rng.normal(size=(out, width)), rng.random(width), rng.random(width)
    found = part("flagged")(*(torch.from_numpy(v) for v in (w, a, b)), share)
    keep = max(1, round(share * width))
    for i in range(out):
        best = sorted(range(width), key=lambda j: -abs(w[i, j]) * a[j])[:keep]
        assert found[i].tolist() == [j in best and a[j] > b[j] for j in range(width)]


@pytest.mark.parametrize("votes", [0.0, 0.5])
def test_masks_are_votes_over_the_first_steps(votes):
    """Weights flagged in more than votes * tau steps, from statistics looked up by hand."""
    model, settings = handle(), wanda(votes=votes, share=0.05, base="retain")
    masks = settings.masks(model, REQUEST)
    engine, ask = Engine(), Ask(NeuronActivations(steps=4, stop=2))
    norms = [
        np.sqrt(np.mean([r for r in engine.observe(ask, {"target": model}, part_).squares], axis=0)).reshape(2, -1)
        for part_ in (REQUEST.forget, REQUEST.retain)
    ]
    at = 0
    for site in model.sites("feed_forward.out"):
        w = model.module.get_submodule(site.name).weight.detach()
        a, b = (torch.from_numpy(n[:, at : at + w.shape[1]]).float() for n in norms)
        flags = [part("flagged")(w, a[i], b[i], 0.05) for i in range(2)]
        expected = flags[0] | flags[1] if votes == 0 else flags[0] & flags[1]
        assert torch.equal(masks[site.name], expected), site.name
        at += w.shape[1]
    assert sum(int(m.sum()) for m in masks.values()) > 0


def test_only_masked_weights_become_zero():
    model, settings = handle(), wanda()
    masks, result = settings.masks(model, REQUEST), settings.run(model, REQUEST)
    old, removed = dict(model.named_parameters()), 0
    for name, p in result.model.named_parameters():
        mask = masks.get(name.removesuffix(".weight"), torch.zeros_like(p, dtype=torch.bool))
        assert torch.equal(p[~mask], old[name][~mask]) and not p[mask].any(), name
        removed += int(mask.sum())
    assert removed == result.derived["weights removed"] > 0
    assert result.derived["share of all weights removed"] == removed / model.parameters
    assert (result.stopped, result.transcript.steps, result.warnings) == ("pruned", (), ())


def test_a_set_compared_with_itself_removes_nothing_and_says_so():
    result = wanda(base="retain").run(handle(), Request(REQUEST.forget, REQUEST.forget))
    assert result.derived["weights removed"] == 0 and "nothing was pruned" in result.warnings[0]


def test_sets_of_different_size_are_compared_by_their_average():
    """Repeating every base prompt changes nothing; sums would let the larger set win."""
    one = wanda(base="retain").masks(handle(), REQUEST)
    more = Samples.of([*REQUEST.retain.texts, *REQUEST.retain.texts])
    again = wanda(base="retain").masks(handle(), dataclasses.replace(REQUEST, retain=more))
    assert part("overlap")(one, again) == 1.0


def test_overlap_of_two_masks():
    overlap = part("overlap")
    a, b = {"x": torch.tensor([1, 1, 0, 0]).bool()}, {"x": torch.tensor([0, 1, 1, 0]).bool()}
    assert overlap(a, a) == 1.0 and overlap(a, b) == pytest.approx(1 / 3) and overlap(a, {"x": ~a["x"]}) == 0.0
    nothing = {"x": torch.zeros(4).bool()}
    assert np.isnan(overlap(nothing, nothing))


def test_without_a_concept_the_empty_prompt_is_the_base():
    plain = dataclasses.replace(REQUEST, concept=None)
    auto, empty = (wanda(base=b).masks(handle(), plain) for b in ("auto", "empty"))
    assert all(torch.equal(auto[n], empty[n]) for n in auto)


@pytest.mark.parametrize(
    ("request_", "settings", "message"),
    [
        (Request(Samples(), REQUEST.retain), {}, "the forget set is empty"),
        (Request(REQUEST.forget, Samples()), {"base": "retain"}, "give a retain set"),
        (Request(REQUEST.forget, Samples(), concept="cat"), {}, "no forget prompt names the concept 'cat'"),
        (REQUEST, {"kind": "nonsense"}, "no kind of site is called"),
    ],
)
def test_what_cannot_work_is_one_clear_line(request_, settings, message):
    with pytest.raises(Exception, match=message) as error:
        wanda(**settings).apply(handle(), request_)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("settings", [{"share": 0.0}, {"tau": 9}, {"votes": 1.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(BadInput, match="expected"):
        wanda(**settings)
