"""The composite: who is drawn, what is refused, resume, and what the result tells."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
import torch

from rasura.core.errors import BadInput
from rasura.core.protocols import Loss, Treatment
from rasura.core.types import Request, Sample, Samples
from rasura.erasers.finetune import Finetune
from rasura.observations._engine import Engine
from rasura.training.loop import Loop, pinned_threads

FORGET = Samples(Sample(f"f{i}", f"Anna opened {i} letters.", family="passage") for i in range(10, 15))
NEAR = Samples(Sample(f"n{i}", f"Boris repaired {i} violins.", family="passage") for i in range(10, 14))
FAR = Samples(Sample(f"b{i}", f"Clara counted {i} windows.") for i in range(10, 30))
REQUEST = Request(FORGET, Samples([*NEAR, *FAR]))


@dataclass(frozen=True)
class Watched:
    """Descends the loss on everything and remembers what it was shown."""

    needs_retain: ClassVar[bool] = False
    seen: list = field(default_factory=list, compare=False)

    def loss(self, model: Any, frozen: Any, forget: Samples, retain: Samples) -> Loss:
        self.seen.append((forget, retain))
        f, r = model.score(Samples([*forget, *retain])).split(len(forget))
        frozen.once("watched strength", lambda: 0.5)
        return Loss(0.1 * f.token_mean(), -r.token_mean() if retain else None)


@pytest.fixture(autouse=True)
def one_thread():
    with pinned_threads(1):
        yield


def test_it_is_a_treatment_and_says_what_it_did(neox):
    run = Finetune(Watched(), loop=Loop(steps=2))
    assert isinstance(run, Treatment)
    result = run.run(neox, REQUEST, seed=3)
    assert result.model.treatments == ("Watched (all, 2 steps at 0.001), seed 3",)
    assert (result.stopped, result.warnings, result.derived) == ("steps", (), {"watched strength": 0.5})
    assert [s.step for s in result.transcript.steps] == [0, 1]


def test_half_of_a_retain_batch_is_of_the_forget_sets_own_family(neox):
    watched = Watched()
    Finetune(watched, loop=Loop(steps=5)).apply(neox, REQUEST)
    for forget, retain in watched.seen:
        assert len(forget) == 4 and Counter(s.family for s in retain) == {"passage": 4, "": 4}
    forgotten = Counter(s.id for forget, _ in watched.seen for s in forget)
    assert set(forgotten.values()) == {4}, "20 draws from 5 records: each four times"


@pytest.mark.parametrize(("near", "retain"), [(0.0, REQUEST.retain), (1.0, REQUEST.retain), (0.5, FAR), (0.5, NEAR)])
def test_without_two_kinds_the_retain_set_is_drawn_evenly(neox, near, retain):
    watched = Watched()
    Finetune(watched, loop=Loop(steps=len(retain)), near=near, retain_batch=2).apply(neox, Request(FORGET, retain))
    assert set(Counter(s.id for _, r in watched.seen for s in r).values()) == {2}


def test_what_cannot_be_used_is_said(neox):
    nothing = Sample("x", "")
    run = Finetune(Watched(), loop=Loop(steps=1))
    with pytest.raises(BadInput, match="the forget set is empty"):
        run.apply(neox, Request(Samples(), FAR))
    with pytest.raises(BadInput, match="no record of the forget set has a token to score"):
        run.apply(neox, Request(Samples([nothing]), FAR))
    result = run.run(neox, Request(Samples([nothing, *FORGET]), FAR))
    assert result.warnings == ("1 of 6 forget records have no token to score and were not trained on",)


@dataclass(frozen=True)
class Fragile:
    """Fails once at a step, as a machine does; its settings do not know."""

    needs_retain: ClassVar[bool] = True
    fail_at: ClassVar[list[int]] = []
    steps: ClassVar[list[int]] = []

    def loss(self, model: Any, frozen: Any, forget: Samples, retain: Samples) -> Loss:
        self.steps.append(1)
        if self.fail_at and len(self.steps) == self.fail_at[0]:
            self.fail_at.clear()
            raise KeyboardInterrupt
        f, r = model.score(Samples([*forget, *retain])).split(len(forget))
        return Loss(0.1 * (f.sums() - frozen.log_probability(forget)).mean(), -r.token_mean())


def test_a_killed_erasure_goes_on_where_it_was(neox, tmp_path):
    run = Finetune(Fragile(), loop=Loop(steps=9, checkpoint_every=3))
    Fragile.steps.clear()
    whole = run.apply(neox, REQUEST, seed=1)
    Fragile.steps.clear()
    Fragile.fail_at.append(8)
    with pytest.raises(KeyboardInterrupt):
        run.run(neox, REQUEST, seed=1, checkpoint=tmp_path)
    other = run.run(neox, REQUEST, seed=2, checkpoint=tmp_path)  # another run beside it does not take its place
    Fragile.steps.clear()
    resumed = run.run(neox, REQUEST, seed=1, checkpoint=tmp_path)
    assert len(Fragile.steps) == 3, "steps 6, 7 and 8"
    assert resumed.model.fingerprint == whole.fingerprint != other.model.fingerprint
    kept = [file.name for file in tmp_path.iterdir()]  # until whoever saves the model removes them
    assert len(kept) == 2 and all(name.startswith("training-") for name in kept)


def test_a_budget_is_watched_on_the_student_and_warned_of(neox):
    """Ascent on the retained records themselves: the loss on them rises at once."""

    @dataclass(frozen=True)
    class Ruin:
        needs_retain: ClassVar[bool] = True

        def loss(self, model, frozen, forget, retain):
            return Loss(model.score(retain).token_mean(), None)

    result = Finetune(Ruin(), loop=Loop(steps=40, retain_budget=0.5, probe_every=2)).run(neox, REQUEST)
    assert result.stopped.startswith("retain budget at step") and result.transcript.kept < 40
    with torch.no_grad():
        rise = neox.score(REQUEST.retain).token_mean() - result.model.score(REQUEST.retain).token_mean()
    assert 0 < rise.item() <= 0.55  # the probe is a fixed sample of all retained records (here 24 of 24)
    assert len(result.warnings) == 1 and "kept" in result.warnings[0]


def test_a_run_that_diverges_warns_and_keeps_good_weights(neox):
    @dataclass(frozen=True)
    class Lost:
        needs_retain: ClassVar[bool] = False
        calls: list = field(default_factory=list, compare=False)

        def loss(self, model, frozen, forget, retain):
            self.calls.append(1)
            return Loss(model.score(forget).token_mean() * (float("nan") if len(self.calls) == 3 else 1), None)

    result = Finetune(Lost(), loop=Loop(steps=5)).run(neox, REQUEST)
    assert result.stopped == "diverged at step 2" and "smaller learning rate" in result.warnings[0]
    assert all(bool(torch.isfinite(p).all()) for p in result.model.module.parameters())


def test_the_reference_pass_is_shared_through_the_engine(neox):
    engine = Engine()
    run = Finetune(Fragile(), loop=Loop(steps=2))
    run.run(neox, REQUEST, engine=engine), run.run(neox, REQUEST, engine=engine, seed=1)
    assert [(p.samples, p.computed) for p in engine.passes] == [(5, 5), (5, 0)]


def test_settings_are_the_recipe():
    run = Finetune(Fragile(), loop=Loop(steps=3))
    assert replace(run, forget_batch=2) != run == Finetune(Fragile(), loop=Loop(steps=3))
    assert "Loop(steps=3" in repr(run)
