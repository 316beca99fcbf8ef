"""Every attack on text-to-image models: it finds what is there, little where nothing is, and leaves the models alone.

An attack for which a bound cannot hold carries the reason, or the bound of its own, as a class attribute:
``retrained_gives`` (reason, highest mean score on a model that never saw the concept): what a composable concept gives
anyway. ``leaves_guards_out``: why an attack passes guards by. ``about`` is "pictures" for an attack on memorised pictures; others bring back a concept.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import _coin_judge
import _tiny_images
from conformance._picture_planted import memory
from rasura.core import registry
from rasura.core.errors import BadInput, RasuraError
from rasura.core.protocols import Attack
from rasura.core.types import Budget, Request

NAMES = registry.fitting("attacks", "images")
SLOW = [n for n in NAMES if getattr(registry.get("attacks", n), "about", "concept") == "pictures"]  # another training
FREE = Budget()


def made(name: str):
    cls = registry.get("attacks", name)
    settings = getattr(cls, "testbed_settings", {})
    assert bool(settings) == hasattr(cls, "testbed_reason"), "settings of their own need a reason"
    return cls(**settings)


@pytest.fixture(scope="module")
def planted():
    return _tiny_images.planted()


@pytest.fixture(params=[pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in NAMES])
def attack(request):
    return made(request.param)


@pytest.fixture(scope="module")
def models(planted):
    """By what an attack is about: the model that saw it and the one that did not."""
    return {"concept": planted.models, "pictures": {"target": memory().model, "retrained": planted.models["target"]}}


@pytest.fixture(scope="module")
def asked(planted):
    """By what an attack is about: concept prompts, or pictures that were memorised, with others that never were."""
    return {
        "concept": Request(planted.forget.take(range(min(12, len(planted.forget)))), planted.retain, planted.concept, planted.judge),
        "pictures": Request(memory().many, memory().never.take(range(8))),
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(models, asked):
    """Each attack on each model once for all tests."""
    done: dict = {}

    def go(attack, role):
        if (attack, role) not in done:
            about = getattr(attack, "about", "concept")
            roles = models[about]
            done[attack, role] = attack.attack(roles[role], asked[about], FREE, before=roles["target"])
        return done[attack, role]

    return go


def test_an_attack_says_what_access_it_needs(attack):
    assert isinstance(attack, Attack)
    assert attack.access in ("black-box", "grey-box", "white-box")
    assert list(inspect.signature(attack.attack).parameters) == ["model", "request", "budget", "seed", "before"]


def test_it_recovers_from_the_untreated_model(attack, run):
    assert np.nanmean(run(attack, "target").score) >= 0.5


@pytest.mark.slow
def test_it_recovers_little_from_a_model_that_never_saw_it(attack, run):
    reason, most = getattr(attack, "retrained_gives", ("", 0.05))
    found = np.nanmean(run(attack, "retrained").score)
    assert found <= most and (reason or most <= 0.05)
    assert np.nanmean(run(attack, "target").score) >= found + 0.25


def test_one_score_a_forget_record_and_its_pictures(attack, run, asked, planted):
    found, n = run(attack, "target"), len(asked[getattr(attack, "about", "concept")].forget)
    assert found.score.shape == (n,) and found.score.dtype == np.float64
    known = found.score[~np.isnan(found.score)]
    assert len(known) and ((known >= 0) & (known <= 1)).all()
    side = planted.models["target"].resolution
    assert found.pictures.dtype == np.uint8 and found.pictures.shape[0] == n
    assert found.pictures.shape[2:] == (side, side, 3) and found.pictures.shape[1] >= 1


def test_evidence_does_not_name_what_was_forgotten(attack, run, asked):
    found = run(attack, "target")
    assert found.evidence
    said = {w.strip(".,:;").lower() for line in found.evidence for w in line.split()}
    what = asked[getattr(attack, "about", "concept")]
    named = (
        {what.concept} if what.concept else {w for s in what.forget for w in s.text.split()} - {"of", "a", "in", "the"}
    )
    assert not named & said


def small(name: str):
    """Few steps and pictures, by the fields that count them."""
    cls = registry.get("attacks", name)
    counts = {
        "steps": 4,
        "timesteps": 2,
        "updates": 2,
        "checks": 2,
        "pictures": 2,
        "draw_steps": 2,
        "batch": 2,
        "points": 6,
        "controls": 1,
    }
    fields = {name: field.type for name, field in cls.__dataclass_fields__.items()}
    few = {name: value for name, value in counts.items() if name in fields}
    none = {name: () for name, kind in fields.items() if kind.startswith("tuple")}
    return cls(**{**getattr(cls, "testbed_settings", {}), **few, **none})


@pytest.fixture(scope="module")
def random_pair():
    """Two random pipelines of each class: the model attacked, and one to be the model from before."""
    return {kind: (_coin_judge.handle(kind), _coin_judge.handle(kind, seed=1)) for kind in ("sd1", "sdxl")}


@pytest.fixture(scope="module")
def what(tmp_path_factory):
    return _coin_judge.request(tmp_path_factory.mktemp("pictures"), n=3)


@pytest.fixture(scope="module")
def free(random_pair, what):
    """One attack of each without a budget, on the first class."""
    done: dict = {}

    def go(name):
        if name not in done:
            model, before = random_pair["sd1"]
            done[name] = small(name).attack(model, what, FREE, seed=5, before=before)
        return done[name]

    return go


@pytest.mark.parametrize("name", NAMES)
class TestOnRandomPipelines:
    """What needs no trained model, on the classes of Stable Diffusion 1 and SDXL."""

    @pytest.mark.parametrize("kind", ["sd1", "sdxl"])
    def test_the_models_are_left_as_they_were(self, name, kind, random_pair, what):
        """Weights, gradients, flags, hooks."""
        pair = random_pair[kind]
        parts = [p for m in pair for p in m.module.parameters()]
        parts[3].requires_grad_(False)
        for m in pair:
            m.embed(["a ring"])  # libraries hang hooks of their own on first use
        values, flags, hooks = [p.detach().clone() for p in parts], [p.requires_grad for p in parts], _hooks(pair)
        small(name).attack(pair[0], what, FREE, before=pair[1])
        assert all(bool((p == v).all()) and p.grad is None for p, v in zip(parts, values, strict=True))
        assert [p.requires_grad for p in parts] == flags and _hooks(pair) == hooks

    def test_the_same_seed_gives_the_same_scores(self, name, random_pair, what, free):
        model, before = random_pair["sd1"]
        one, two = free(name), small(name).attack(model, what, FREE, seed=5, before=before)
        assert np.array_equal(one.score, two.score, equal_nan=True) and one.spent == two.spent
        assert np.array_equal(one.pictures, two.pictures)

    def test_budgets_cap_what_is_spent(self, name, random_pair, what, free):
        """Half of what the attack takes when nothing limits it, kind by kind: kept to, or refused in one line."""
        model, before = random_pair["sd1"]
        assert free(name).spent.queries > 0 and free(name).spent.samples > 0
        for kind in ("steps", "queries", "samples"):
            most = getattr(free(name).spent, kind)
            if not most:
                continue
            try:
                spent = small(name).attack(model, what, Budget(**{kind: most // 2}), before=before).spent
            except BadInput as refusal:
                assert "budget" in str(refusal) and "\n" not in str(refusal)
            else:
                assert 0 < getattr(spent, kind) <= most // 2

    def test_a_budget_too_small_for_anything_is_refused(self, name, random_pair, what):
        model, before = random_pair["sd1"]
        with pytest.raises(BadInput, match="budget"):
            small(name).attack(model, what, Budget(queries=1), before=before)

    def test_what_is_missing_is_said_in_one_line(self, name, random_pair, what, tmp_path):
        """No judge, no concept, no pictures, no model from before: an attack that needs it says so, others go on."""
        bare, (model, before) = _coin_judge.request(tmp_path, n=3, pictures=False), random_pair["sd1"]
        cases = [
            (Request(what.forget, what.retain, what.concept), before),
            (Request(what.forget, what.retain, None, what.judge), before),
            (bare, before),
            (what, None),
        ]
        refused = 0
        for request, earlier in cases:
            try:
                small(name).attack(model, request, FREE, before=earlier)
            except RasuraError as refusal:
                assert "\n" not in str(refusal) and len(str(refusal)) < 240
                refused += 1
        assert refused

    def test_it_meets_the_guard(self, name, random_pair, what, free):
        """Behind a guard that no longer listens to prompts other pictures are drawn, unless the attack says why not."""
        model, before = random_pair["sd1"]
        deaf = model.with_guard(Deaf())
        found = small(name).attack(deaf, what, FREE, seed=5, before=before)
        scored = ~np.isnan(found.score)
        same = np.array_equal(found.pictures[scored], free(name).pictures[scored])
        assert same == bool(getattr(registry.get("attacks", name), "leaves_guards_out", ""))


def _hooks(models) -> list[int]:
    return [len(part._forward_hooks) + len(part._forward_pre_hooks) for m in models for part in m.module.modules()]


class Deaf:
    """A guard under which the network says nothing depends on the prompt."""

    def __repr__(self) -> str:
        return "Deaf()"

    def steer(self, model, embedded, guidance, steps):
        nothing = model.nothing(len(embedded))
        return lambda x, i, t: model.output(x, t, nothing) + 0 * embedded.hidden.sum()
