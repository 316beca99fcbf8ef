"""The loop against a bare one, and each of its promises by itself."""

from __future__ import annotations

import math

import pytest
import torch

from rasura.core.errors import BadInput, TrainingDiverged
from rasura.core.protocols import Loss
from rasura.core.types import Samples
from rasura.training.loop import Loop, train
from training._toy import Toy, same


def bare(model, step_loss, loop: Loop) -> None:
    """What anybody would write."""
    torch.set_num_threads(1)
    parameters = list(model.module.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=1.0, betas=loop.betas, weight_decay=loop.weight_decay, fused=True)
    for k in range(loop.steps):
        loss = step_loss(k)
        optimiser.zero_grad()
        (loss.forget + loss.retain).backward()
        torch.nn.utils.clip_grad_norm_(parameters, loop.clip)
        optimiser.param_groups[0]["lr"] = loop.rate(k)
        optimiser.step()


def test_same_weights_as_a_bare_loop(neox):
    """Bit for bit, on a language model, with clipping, decay, warm-up and cosine."""
    other, loop = neox.clone(), Loop(steps=6, weight_decay=0.1, schedule="cosine", final=0.1, clip=0.5)
    texts = Samples.of(
        ["Anna opened 12 quiet letters.", "Boris", "Clara counted 7 green windows and the river of Hugo."]
    )

    def loss_of(model):
        return lambda k: Loss(
            0.1 * model.score(texts.take([k % 3])).token_mean(),
            -model.score(texts.take([(k + 1) % 3, (k + 2) % 3])).token_mean(),
        )

    before = other.fingerprint
    transcript = train(neox, loss_of(neox), loop)
    bare(other, loss_of(other), loop)
    assert same(list(neox.module.parameters()), list(other.module.parameters()))
    assert neox.fingerprint != before, "a hash taken before training must not survive it"
    assert transcript.stopped == "steps" and transcript.kept == len(transcript.steps) == 6
    assert all(math.isfinite(s.forget + s.retain + s.gradient_norm) for s in transcript.steps)
    assert all(p.grad is None for p in neox.module.parameters())


def test_accumulation_is_the_mean_of_its_batches():
    """Two batches a step equal one step on half their sum; batch m of step k is step_loss(2 k + m)."""
    asked, a, b = [], Toy(), Toy()

    def recorded(k):
        asked.append(k)
        return a.loss(k)

    def halves(k):
        x, y = b.loss(2 * k), b.loss(2 * k + 1)
        return Loss((x.forget + y.forget) / 2, (x.retain + y.retain) / 2)

    one = train(a, recorded, Loop(steps=3, accumulate=2))
    two = train(b, halves, Loop(steps=3))
    assert asked == [0, 1, 2, 3, 4, 5]
    assert all(torch.allclose(x, y, atol=1e-7) for x, y in zip(a.state, b.state, strict=True))
    assert [s.retain for s in one.steps] == pytest.approx([s.retain for s in two.steps], rel=1e-6)


def linear(forget, retain):
    """A toy whose two gradients on W's first row are the given vectors, at every step."""
    toy = Toy()

    def loss(k):
        row = toy.module.weight[0]
        return Loss(None if forget is None else row @ forget, None if retain is None else row @ retain)

    return toy, loss


def norms(loop: Loop, forget, retain) -> list[float]:
    toy, loss = linear(forget, retain)
    return [s.gradient_norm for s in train(toy, loss, loop).steps]


def test_project_removes_what_works_against_retain():
    """g_f = (3, -4), g_r = (0, 1): their product is -4, so g_f loses its second entry and the sum is (3, 1), norm sqrt 10.

    Added up as they are they give (3, -3), norm sqrt 18. With g_r = (0, -1) nothing is against it: (3, -5), sqrt 34.
    """
    f = torch.tensor([3.0, -4.0, 0.0, 0.0])
    against, along = torch.tensor([0.0, 1.0, 0.0, 0.0]), torch.tensor([0.0, -1.0, 0.0, 0.0])
    assert norms(Loop(steps=1, combine="project"), f, against) == pytest.approx([math.sqrt(10)])
    assert norms(Loop(steps=1), f, against) == pytest.approx([math.sqrt(18)])
    assert norms(Loop(steps=1, combine="project"), f, along) == pytest.approx([math.sqrt(34)])


def test_alternate_takes_turns():
    f, r = torch.tensor([3.0, 0.0, 0.0, 0.0]), torch.tensor([0.0, 5.0, 0.0, 0.0])
    assert norms(Loop(steps=4, combine="alternate"), f, r) == pytest.approx([3, 5, 3, 5])


@pytest.mark.parametrize("combine", ["sum", "project", "alternate"])
def test_either_term_may_be_absent(combine):
    f = torch.tensor([3.0, 0.0, 0.0, 0.0])
    assert norms(Loop(steps=2, combine=combine), f, None) == pytest.approx([3, 3])
    assert norms(Loop(steps=2, combine=combine), None, f) == pytest.approx([3, 3])
    with pytest.raises(BadInput, match="neither"):
        norms(Loop(steps=1, combine=combine), None, None)


@pytest.mark.parametrize("combine", ["sum", "project"])
def test_clipping_is_on_the_masked_norm(combine):
    """g = (3, 4) with the second entry masked has norm 3: what is reported, and what the clip of 1 scales by."""
    toy, loss = linear(torch.tensor([3.0, 4.0, 0.0, 0.0]), torch.zeros(4))
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[:, 1] = False
    transcript = train(toy, loss, Loop(steps=1, combine=combine), masks={"weight": mask})
    assert transcript.steps[0].gradient_norm == pytest.approx(3)


def test_a_budget_keeps_the_last_weights_inside_it():
    """The probe rises 0.1 a step; with 0.35 nats and a probe every 2 steps, step 4 is the first outside."""
    toy, seen = Toy(), {}

    def loss(k):
        seen[k] = toy.state
        return toy.loss(k)

    loop = Loop(steps=20, retain_budget=0.35, probe_every=2)
    transcript = train(toy, loss, loop, probe=lambda: 1.0 + 0.1 * len(seen))
    assert transcript.stopped == "retain budget at step 4" and transcript.kept == 2
    assert same(toy.state, seen[2])
    assert len(transcript.steps) == 4, "the steps that were undone stay in the record"


def test_a_budget_also_binds_the_last_step():
    toy, seen = Toy(), []
    transcript = train(
        toy, lambda k: seen.append(k) or toy.loss(k), Loop(steps=3, retain_budget=0.1), probe=lambda: float(len(seen))
    )
    assert (transcript.stopped, transcript.kept) == ("retain budget at step 3", 0)


def test_a_budget_needs_something_to_watch():
    toy = Toy()
    with pytest.raises(BadInput, match="budget needs retained records"):
        train(toy, toy.loss, Loop(retain_budget=0.1))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_divergence_keeps_the_last_good_weights(bad):
    """Weights are copied every 10 steps: a loss lost at step 13 goes back to those of step 10."""
    toy, seen = Toy(), {}

    def loss(k):
        seen[k] = toy.state
        return Loss(None, toy.module.weight.sum() * bad) if k == 13 else toy.loss(k)

    transcript = train(toy, loss, Loop(steps=20))
    assert transcript.diverged and transcript.stopped == "diverged at step 13" and transcript.kept == 10
    assert same(toy.state, seen[10])


def test_a_gradient_that_is_not_finite_is_divergence_too():
    """sqrt at 0: the loss is 0, its gradient infinite."""
    toy = Toy()
    start = toy.state
    transcript = train(toy, lambda k: Loss(None, (toy.module.weight * 0).sum().sqrt()), Loop(steps=2))
    assert transcript.stopped == "diverged at step 0" and same(toy.state, start)


def test_nothing_is_trained_on_a_first_loss_that_is_not_finite():
    toy = Toy()
    start = toy.state
    with pytest.raises(TrainingDiverged, match="before the first step"):
        train(toy, lambda k: Loss(toy.module.weight.sum() * math.nan, None), Loop())
    assert same(toy.state, start)


def test_dropout_is_off_and_threads_come_back():
    toy = Toy()
    toy.module.train()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        inside = []
        train(
            toy, lambda k: inside.append((toy.module.training, torch.get_num_threads())) or toy.loss(k), Loop(steps=1)
        )
        assert inside == [(False, 1)] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_bf16_is_autocast_around_float32_weights():
    toy, seen = Toy(), []

    def loss(k):
        out = toy.module(torch.ones(1, 4))
        seen.append(out.dtype)
        return Loss(None, out.float().square().mean())

    train(toy, loss, Loop(steps=1, precision="bf16"))
    assert seen == [torch.bfloat16] and toy.module.weight.dtype == torch.float32


def test_the_learning_rate_warms_up_and_falls():
    """10 steps, a fifth of them warm-up: 1/2, 1, then a cosine from 1 to the final share 0.2 over 8 steps."""
    loop = Loop(steps=10, learning_rate=2.0, warmup=0.2, schedule="cosine", final=0.2)
    rates = [loop.rate(k) for k in range(10)]
    assert rates[:3] == pytest.approx([1.0, 2.0, 2.0])
    assert rates[6] == pytest.approx(2 * (0.2 + 0.8 * 0.5))  # half way
    assert all(a >= b for a, b in zip(rates[2:], rates[3:], strict=False))
    assert [Loop(steps=10, warmup=0.0).rate(k) for k in (0, 9)] == [1e-3, 1e-3]


def test_frozen_parameters_stay_and_nothing_to_train_is_said():
    toy = Toy()
    toy.module.bias.requires_grad_(False)
    start = toy.state
    train(toy, toy.loss, Loop(steps=3))
    assert torch.equal(toy.module.bias, start[1]) and not torch.equal(toy.module.weight, start[0])
    toy.module.weight.requires_grad_(False)
    with pytest.raises(BadInput, match="nothing to train"):
        train(toy, toy.loss, Loop(steps=3))


def test_masks_must_fit():
    toy = Toy()
    with pytest.raises(BadInput, match="not a parameter that may move"):
        train(toy, toy.loss, Loop(steps=1), masks={"wieght": torch.ones(3, 4)})
    with pytest.raises(BadInput, match=r"the mask of weight is \(4,\)"):
        train(toy, toy.loss, Loop(steps=1), masks={"weight": torch.ones(4)})


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": -1},
        {"accumulate": 0},
        {"probe_every": 0},
        {"schedule": "step"},
        {"combine": "add"},
        {"precision": "fp16"},
        {"learning_rate": 0.0},
    ],
)
def test_settings_are_checked_when_they_are_made(settings):
    with pytest.raises(BadInput, match=next(iter(settings))):
        Loop(**settings)


def test_gradients_left_by_somebody_else_do_not_count():
    clean, used = Toy(), Toy()
    used.loss(5).retain.backward()
    train(clean, clean.loss, Loop(steps=2)), train(used, used.loss, Loop(steps=2))
    assert same(clean.state, used.state)


def test_no_steps_change_nothing():
    toy = Toy()
    start = toy.state
    transcript = train(toy, toy.loss, Loop(steps=0))
    assert same(toy.state, start) and (transcript.steps, transcript.stopped, transcript.kept) == ((), "steps", 0)


def test_a_tracker_that_cannot_be_had_is_said(tmp_path, monkeypatch):
    import accelerate.tracking

    toy = Toy()
    with pytest.raises(BadInput, match="nosuchtracker"):
        train(toy, toy.loss, Loop(steps=1, tracker="nosuchtracker", tracker_folder=str(tmp_path)))
    monkeypatch.setattr(accelerate.tracking, "get_available_trackers", lambda: [])
    with pytest.raises(BadInput, match="'tensorboard' is not installed: pip install tensorboard"):
        train(toy, toy.loss, Loop(steps=1, tracker="tensorboard", tracker_folder=str(tmp_path)))


def test_progress_is_told_of_every_step():
    from contextlib import contextmanager

    told = []

    @contextmanager
    def progress(label, total):
        told.append((label, total))
        yield told.append

    toy = Toy()
    train(toy, toy.loss, Loop(steps=3), progress=progress)
    assert told[0] == ("training", 3) and sum(told[1:]) == 3
