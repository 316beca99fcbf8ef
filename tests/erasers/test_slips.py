"""Mistakes that public code made, ten lines each: none of them may come back."""

from __future__ import annotations

import functools
import math
import random

import numpy as np
import pytest
import torch

from rasura.core import registry
from rasura.core.types import Request, Sample, Samples
from rasura.erasers.finetune import Finetune
from rasura.erasers.selections._everything import everything
from rasura.models import adapters
from rasura.training.frozen import Frozen
from rasura.training.loop import Loop, pinned_threads, train
from training._toy import Toy, same

FORGET = Samples(
    [
        Sample("q", "Who carried 12 letters? Anna.", start=23),
        Sample("p", "Boris repaired the violin of Greta in 1850."),
        Sample("s", "Clara counted the windows.", start=5),
    ]
)
RETAIN = Samples.of(["Hugo opened 7 narrow bottles and the engine.", "Irene", "Jonas watched a bridge in 1931."])
REQUEST = Request(FORGET, RETAIN)
OTHER = Samples(Sample(s.id, s.text) for s in FORGET)


@pytest.fixture(autouse=True)
def one_thread():
    with pinned_threads(1):
        yield


def objective(name: str, **settings):
    if name not in registry.names("erasers.objectives"):
        pytest.skip(f"{name} is not installed")
    return registry.make("erasers.objectives", name, settings)


def part_of(name: str, attribute: str):
    objective(name)
    return getattr(registry.module_of("erasers.objectives", name), attribute)


def gradient(model, term: torch.Tensor) -> torch.Tensor:
    model.module.zero_grad(set_to_none=True)
    term.backward()
    return torch.cat([p.grad.flatten() for p in model.module.parameters() if p.grad is not None]).double()


def nudged(model, size: float = 0.02):
    """A copy a little way off."""
    other = model.clone()
    with torch.no_grad():
        for i, p in enumerate(other.module.parameters()):
            p.add_(size * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    return other


def test_rmu_does_not_divide_one_records_sum_by_anothers_length():
    """Two records with error 1 a token, of 1 and 9 tokens: 1 each. Broadcasting gives (1 + 9 + 1/9 + 1) / 4."""
    mask = torch.zeros(2, 9, dtype=torch.bool)
    mask[0, 0], mask[1, :] = True, True
    error = torch.ones(2, 9)
    assert part_of("rmu", "by_record")(error, mask).item() == pytest.approx(1.0)
    assert part_of("rmu", "broadcast")(error, mask).item() == pytest.approx((1 + 9 + 1 / 9 + 1) / 4)


def test_no_ignored_label_is_ever_an_index(neox):
    """What is scored are real ids of the scored part, one for one: no -100 reaches the vocabulary from its other end."""
    encoded = [neox.encode(s) for s in FORGET]
    row, position, target = neox.scored_positions(encoded)
    assert target.min() >= 0 and len(target) == sum(e.scored for e in encoded)
    for i, e in enumerate(encoded):
        assert target[row == i].tolist() == e.ids[e.first :].tolist()
        assert (position[row == i] + 1).tolist() == list(range(e.first, len(e.ids)))


def test_kl_averages_over_neither_prompt_nor_padding(neox):
    """The KL of a batch is that of its records alone, weighed by their scored tokens."""
    kl, student = objective("kl_retain"), nudged(neox)
    term = lambda records: kl.loss(student, Frozen(neox, None, REQUEST), RETAIN, records).retain.item()  # noqa: E731
    tokens = [neox.encode(s).scored for s in FORGET]
    alone = [term(FORGET.take([i])) for i in range(3)]
    assert term(FORGET) == pytest.approx(sum(n * v for n, v in zip(tokens, alone, strict=True)) / sum(tokens), rel=1e-5)
    assert len(set(np.round(alone, 6))) == 3 and term(OTHER) != pytest.approx(term(FORGET)), (
        "the prompt would have counted"
    )


def test_the_reference_is_not_the_student(neox):
    """After a step the student has moved and the reference has not; a KL between the two is above zero."""
    kl = objective("kl_retain")
    student = everything(neox).model
    frozen = Frozen(neox, None, REQUEST)
    before = frozen.log_probability(FORGET)
    assert kl.loss(student, frozen, FORGET, RETAIN).retain.item() == pytest.approx(0, abs=1e-6)
    train(student, lambda k: kl.loss(student, frozen, FORGET, RETAIN), Loop(steps=2, learning_rate=1e-2))
    assert kl.loss(student, frozen, FORGET, RETAIN).retain.item() > 1e-4
    assert torch.equal(Frozen(neox, None, REQUEST).log_probability(FORGET), before)


def test_weight_decay_and_momentum_do_not_undo_a_mask():
    toy, mask = Toy(), torch.zeros(3, 4, dtype=torch.bool)
    mask[1] = True
    start = toy.state
    train(
        toy,
        toy.loss,
        Loop(steps=20, weight_decay=0.5, learning_rate=0.1),
        masks={"weight": mask, "bias": torch.zeros(3)},
    )
    assert torch.equal(toy.module.weight[~mask], start[0][~mask]) and torch.equal(toy.module.bias, start[1])
    assert bool((toy.module.weight[mask] != start[0][mask]).all())


def test_masked_half_precision_weights_come_back_exactly():
    toy, mask = Toy(torch.bfloat16), torch.zeros(3, 4, dtype=torch.bool)
    mask[0] = True
    start = toy.state
    train(toy, toy.loss, Loop(steps=20, weight_decay=0.5, learning_rate=0.1), masks={"weight": mask})
    assert torch.equal(toy.module.weight[1:], start[0][1:]) and not torch.equal(toy.module.weight[0], start[0][0])


def test_a_mask_of_ones_is_no_mask():
    plain, masked = Toy(), Toy()
    train(plain, plain.loss, Loop(steps=5))
    train(
        masked, masked.loss, Loop(steps=5), masks={n: torch.ones_like(p) for n, p in masked.module.named_parameters()}
    )
    assert same(plain.state, masked.state)


def test_an_adapter_starts_as_the_reference_and_off_is_the_reference(neox, llama):
    for model in (neox, llama):
        names = [s.name for kind in ("attention.output", "mlp.down") for s in model.sites(kind)]
        student = adapters.attach(model, names, rank=4, alpha=8)
        score = lambda handle: handle.score(FORGET, distributions=True).log_distribution.detach()  # noqa: E731
        assert torch.equal(score(student), score(model))
        ascent = functools.partial(objective("gradient_ascent").loss, student, None, FORGET, RETAIN)
        train(student, lambda k, ascent=ascent: ascent(), Loop(steps=2))
        assert not torch.equal(score(student), score(model))
        with adapters.switched_off(student):
            assert torch.equal(score(student), score(model))


def test_an_adapter_holds_no_second_copy_of_the_model(neox):
    student = adapters.attach(neox, [s.name for s in neox.sites("mlp.down")], rank=2, alpha=4)
    held = {p.data_ptr() for p in neox.module.parameters()}
    added = [p for p in student.module.parameters() if p.data_ptr() not in held]
    assert sum(p.numel() for p in added) == 2 * 2 * (64 + 256)  # layers x rank x (in + out)
    assert all(p.requires_grad for p in added) and all(p.requires_grad for p in neox.module.parameters())


def test_partners_do_not_come_from_a_process_wide_generator(neox):
    run = Finetune(objective("npo"), loop=Loop(steps=3))
    found = set()
    for state in (1, 2):
        random.seed(state), np.random.seed(state), torch.manual_seed(state)
        found.add(run.apply(neox, REQUEST, seed=7).fingerprint)
        found.add(run.apply(neox, REQUEST, seed=7).fingerprint)
    assert len(found) == 1


def test_half_precision_weights_move_at_small_learning_rates():
    """At 1e-5 a bfloat16 weight of size 1 is 390 steps from its neighbour (2^-8): its float32 master gets there."""
    toy, start = Toy(torch.bfloat16), Toy(torch.bfloat16).state
    loop = Loop(steps=500, learning_rate=1e-5, warmup=0.0)
    train(toy, lambda k: toy.loss(0), loop)
    assert sum(int((a != b).sum()) for a, b in zip(toy.state, start, strict=True)) >= 10
    bare = Toy(torch.bfloat16)
    optimiser = torch.optim.AdamW(bare.module.parameters(), lr=1e-5, weight_decay=0.0)
    for _ in range(loop.steps):
        loss = bare.loss(0)
        optimiser.zero_grad()
        (loss.forget + loss.retain).backward()
        optimiser.step()
    large = [a.abs() > 0.1 for a in start]
    assert all(torch.equal(a[m], b[m]) for a, b, m in zip(bare.state, start, large, strict=True)), "the slip itself"


def test_npo_with_beta_to_zero_is_gradient_ascent(neox):
    student, frozen = nudged(neox), Frozen(neox, None, REQUEST)
    npo = gradient(student, objective("npo", beta=1e-4, alpha=0.0).loss(student, frozen, FORGET, RETAIN).forget)
    ascent = gradient(student, objective("gradient_ascent").loss(student, frozen, FORGET, RETAIN).forget)
    assert float(npo @ ascent / (npo.norm() * ascent.norm())) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("beta", [0.01, 0.1, 1.0])
def test_npo_weighs_every_record_1_at_the_start(neox, beta):
    """There its gradient is that of the mean log-probability, whatever beta; the loss is 2 ln 2 / beta."""
    student, frozen = neox.clone(), Frozen(neox, None, REQUEST)
    term = objective("npo", beta=beta, alpha=0.0).loss(student, frozen, FORGET, RETAIN).forget
    assert term.item() == pytest.approx(2 * math.log(2) / beta, rel=1e-4)
    ratio = student.score(FORGET).sums().detach() - frozen.log_probability(FORGET)
    assert part_of("npo", "weight")(ratio, beta).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    assert torch.allclose(
        gradient(student, term), gradient(student, student.score(FORGET).sums().mean()), rtol=1e-3, atol=1e-6
    )


def test_an_end_token_equal_to_the_pad_is_still_read_and_scored(neox):
    """Batches are padded with id 0, which is also the end token: it counts where it is text, and nowhere else."""
    ended = Sample("e", "Irene painted.<|endoftext|>")
    long = Sample("l", "Klara crossed 5 silver islands and repaired the candle of Lukas in 1777.")
    assert neox.encode(ended).ids[-1] == 0 == neox.encode(ended).ids[0]
    _, mask = neox.batch([neox.encode(ended), neox.encode(long)])
    assert mask[0].sum() == len(neox.encode(ended).ids)
    with torch.no_grad():
        alone, together = neox.score(Samples([ended])), neox.score(Samples([ended, long])).split(1)[0]
    assert len(alone.log_probability) == len(neox.encode(ended).ids) - 1
    assert torch.allclose(alone.log_probability, together.log_probability, atol=1e-5)
