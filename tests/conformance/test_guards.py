"""Every guard: the concept is drawn less often and the rest as before, the model itself is untouched, and it shows.

Bounds are on a model that draws the concept reliably: with the guard its rate falls to at most ``FALLEN`` of what it was,
and the rate at which other prompts show what they say falls by at most ``PRICE``. A guard that cannot keep one of the two
says why in a class attribute, with the bound it keeps: ``leaves_direct_prompts``, ``costs_the_rest``: (reason, bound).
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

import _tiny_images
import _tiny_pipelines
from rasura.core import registry
from rasura.core.errors import BadInput
from rasura.core.protocols import Treatment
from rasura.core.types import Request, Samples
from rasura.models.text_to_image import TextToImage

NAMES = registry.fitting("guards", "images")
FALLEN, PRICE = 0.5, 0.2
STEPS, EACH, MOST = 10, 2, 14
PROMPTS = ["a red ring", "a blue cat"]
RANDOM = Request(Samples.of(["a red ring"]), Samples.of(["a blue cat", "a photo of a dog"]), concept="ring")


@pytest.fixture(scope="module")
def planted():
    return _tiny_images.planted()


@pytest.fixture(scope="module")
def asked(planted):
    return Request(planted.forget, planted.retain, planted.concept, planted.judge)


@pytest.fixture(params=NAMES)
def guard(request):
    cls = registry.get("guards", request.param)
    settings = getattr(cls, "testbed_settings", {})
    assert bool(settings) == hasattr(cls, "testbed_reason"), "settings of their own need a reason"
    return cls(**settings)


def drawn(model, samples: Samples, n: int = EACH) -> torch.Tensor:
    with torch.no_grad():
        embedded = model.embed(samples.texts).repeat(n)
        seeds = range(len(samples) * n)
        return model.decode(model.sample(embedded, list(seeds), steps=STEPS))


def rate(model, judge, samples: Samples) -> float:
    """Share of pictures that show what their prompt says."""
    samples = samples.take(range(0, len(samples), -(-len(samples) // MOST)))
    pictures = drawn(model, samples).unflatten(0, (len(samples), EACH))
    return float(np.mean([judge.sees(p, s.shows).float().mean() for p, s in zip(pictures, samples, strict=True)]))


@pytest.fixture(scope="module")
def rates(planted, asked):
    """(concept, near, far) of a model, each measured once."""
    done: dict = {}

    def of(name, model):
        if name not in done:
            parts = (planted.forget, planted.more["near"], planted.more["far"])
            done[name] = [rate(model, planted.judge, part) for part in parts]
        return done[name]

    return of


def test_it_keeps_the_protocol(guard):
    assert isinstance(guard, Treatment) and guard.suppression is True
    assert list(inspect.signature(guard.run).parameters) == [
        "model",
        "request",
        "seed",
        "engine",
        "checkpoint",
        "progress",
    ]


def test_the_concept_is_drawn_less(guard, planted, asked, rates):
    before = rates("plain", planted.models["target"])[0]
    after = rates(guard, guard.apply(planted.models["target"], asked))[0]
    assert before > 0.6
    reason, bound = getattr(guard, "leaves_direct_prompts", ("", FALLEN))
    assert after <= bound * before and (reason or bound == FALLEN)


def test_the_rest_is_drawn_as_before(guard, planted, asked, rates):
    before = rates("plain", planted.models["target"])[1:]
    after = rates(guard, guard.apply(planted.models["target"], asked))[1:]
    price = max(b - a for b, a in zip(before, after, strict=True))
    reason, bound = getattr(guard, "costs_the_rest", ("", PRICE))
    assert price <= bound and (reason or bound == PRICE)


def test_detached_the_model_draws_what_it_drew(guard, planted, asked):
    """The caller's handle and the weights behind it, bit by bit."""
    model, some = planted.models["target"], planted.forget.take([0, 1])
    before, weights = drawn(model, some, 1), model.clone().fingerprint
    guarded = guard.apply(model, asked)
    behind = drawn(guarded, some, 1)
    assert torch.equal(drawn(model, some, 1), before) and not torch.equal(behind, before)
    assert model.clone().fingerprint == weights and not model.guards


def test_a_guarded_handle_is_another_model_and_is_not_saved(guard, planted, asked, tmp_path):
    model = planted.models["target"]
    guarded = guard.apply(model, asked)
    assert guarded.fingerprint != model.fingerprint
    assert guarded.fingerprint == guard.apply(model, asked).fingerprint
    assert asked.concept in repr(guarded.guards[-1])
    assert len(guarded.treatments) == len(model.treatments) + 1
    with pytest.raises(BadInput, match="guard"):
        guarded.save(str(tmp_path / "guarded"))


def test_the_same_seed_gives_the_same_pictures(guard, planted, asked):
    guarded, some = guard.apply(planted.models["target"], asked, seed=3), planted.forget.take([0])
    assert torch.equal(drawn(guarded, some), drawn(guarded, some))
    assert torch.equal(drawn(guarded, some), drawn(guard.apply(planted.models["target"], asked, seed=3), some))


def test_a_run_tells_its_story(guard, planted, asked):
    done = guard.run(planted.models["target"], asked, seed=0)
    assert done.model.guards and done.transcript.steps == () and done.stopped
    assert all(isinstance(v, float) for v in done.derived.values()) and isinstance(done.warnings, tuple)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_it_guards_both_classes_of_pipeline(guard, kind, prediction):
    model = TextToImage(getattr(_tiny_pipelines, kind)(prediction=prediction), name=kind)
    guarded = guard.apply(model, RANDOM)
    with torch.no_grad():
        plain, behind = (m.sample(m.embed(PROMPTS), [1, 2], steps=3) for m in (model, guarded))
        alone = guarded.sample(guarded.embed(PROMPTS[1:]), [2], steps=3)
    assert torch.isfinite(behind).all() and behind.shape == plain.shape
    apart = (
        behind[1:] - alone
    ).abs()  # a guard may have a threshold, and rounding put single entries on its other side
    assert apart.median() < 1e-3 and apart.mean() < 0.05, "a picture must not depend on its batch"
    assert (behind[:1] - alone).abs().mean() > 0.5


def test_without_a_concept_it_says_so_in_one_line(guard):
    model = TextToImage(_tiny_pipelines.sd1(), name="sd1")
    with pytest.raises(BadInput) as refusal:
        guard.apply(model, Request(RANDOM.forget, RANDOM.retain))
    assert "concept" in str(refusal.value) and "\n" not in str(refusal.value)
