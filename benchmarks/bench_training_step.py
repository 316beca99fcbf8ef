"""One step of two erasers, forward and backward, against the obvious way with two models.

    python benchmarks/bench_training_step.py

Two GPT-NeoX shapes with random weights: hidden 256, 12 layers, 16,384 tokens; and Pythia-70m's (hidden 512, 6 layers, 50,304
tokens). 4 records to forget and 8 to keep, passages of which the second half is the answer that is scored. Losses are
first shown to be the same.

NPO. Ours: the reference's log-probabilities read back (they cost one pass before training, not counted), forget and retain
in one forward pass, the output matrix on scored positions only. Obvious: a second model asked at every step, forget and retain
passed separately, logits of all positions. Floor: 1.5x.

RMU. Ours: both models stopped at the layer of the loss, forget and retain in one pass. Obvious, as the authors' release does:
full forward passes of both models, the loss at the layer. Backward passes are the same. Floor: 3x.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from _side_by_side import compare, model, pythia, texts
from torch.nn import functional

from rasura.core.types import Request, Samples
from rasura.erasers.objectives.npo import NPO, push
from rasura.erasers.objectives.rmu import RMU, by_record
from rasura.models.fresh import gpt_neox, wrap_tokenizer
from rasura.training.frozen import Frozen


def request_of(records: Samples) -> Request:
    """Passages whose second half is scored."""
    answers = Samples(replace(s, start=len(s.text) // 2) for s in records.take(range(12)))
    return Request(answers.take(range(4)), answers.take(range(4, 12)))


def deep():
    """Hidden 256, 12 layers, 16,384 tokens."""
    tokenizer = wrap_tokenizer(model().tokenizer.backend_tokenizer, context=128)
    handle = gpt_neox(tokenizer, hidden=256, layers=12, heads=4, context=128, seed=0)
    handle.module.resize_token_embeddings(16_384, mean_resizing=False)
    return handle


def labelled(handle, samples) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(ids, mask, labels with -100 where nothing is scored), padded to the longest."""
    encoded = [handle.encode(s) for s in samples]
    ids, mask = handle.batch(encoded)
    labels = torch.full_like(ids, -100)
    for i, e in enumerate(encoded):
        labels[i, e.first : len(e.ids)] = ids[i, e.first : len(e.ids)]
    return ids, mask, labels


def token_losses(handle, samples) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T - 1) negative log-probabilities from logits of all positions, and which of them count."""
    ids, mask, labels = labelled(handle, samples)
    logits = handle.module(input_ids=ids, attention_mask=mask, use_cache=False).logits
    target = labels[:, 1:]
    losses = functional.cross_entropy(logits[:, :-1].flatten(0, 1), target.flatten(), reduction="none")
    return losses.view_as(target), target != -100


def npo_obvious(student, reference, request: Request) -> torch.Tensor:
    with torch.no_grad():
        before, _ = token_losses(reference, request.forget)
    own, _ = token_losses(student, request.forget)
    pushed = push(-own.sum(1) + before.sum(1), NPO().beta)
    kept, counted = token_losses(student, request.retain)
    return pushed + kept.sum() / counted.sum()


def hidden_of(handle, samples, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids, mask, labels = labelled(handle, samples)
    out = handle.module(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False)
    return out.hidden_states[layer + 1], labels != -100


def rmu_obvious(student, reference, request: Request, control: torch.Tensor, layer: int) -> torch.Tensor:
    forget, scored = hidden_of(student, request.forget, layer)
    retain, kept = hidden_of(student, request.retain, layer)
    with torch.no_grad():
        before, _ = hidden_of(reference, request.retain, layer)
    return by_record((forget - control).square().mean(-1), scored) + by_record(
        (retain - before).square().mean(-1), kept
    )


def ours(objective, student, frozen: Frozen, request: Request) -> torch.Tensor:
    loss = objective.loss(student, frozen, request.forget, request.retain)
    return loss.forget + loss.retain


def stepped(student, loss: torch.Tensor) -> None:
    loss.backward()
    student.module.zero_grad(set_to_none=True)


def side_by_side(what: str, student, fast, slow, floor: float) -> None:
    a, b = (float(way().detach()) for way in (fast, slow))
    assert abs(a - b) < 1e-5 * abs(b), f"two ways, one loss: {a} and {b}"
    ways = {"ours": lambda: stepped(student, fast()), "obvious": lambda: stepped(student, slow())}
    compare(what, ways, floor=floor, repeats=3)


def measure(what: str, handle, request: Request) -> None:
    reference, student = handle.clone(), handle.clone()
    with torch.no_grad():
        for p in student.module.parameters():
            p.add_(0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))  # some steps into training
    frozen = Frozen(handle, request=request)
    side_by_side(
        f"an NPO step on 4 + 8 records, {what}",
        student,
        lambda: ours(NPO(), student, frozen, request),
        lambda: npo_obvious(student, reference, request),
        floor=1.5,
    )
    objective = RMU()
    moved = objective.select(student, request).model
    layer, control = objective.at(moved), objective._control(frozen, objective.at(moved))
    side_by_side(
        f"an RMU step on 4 + 8 records, layer {layer} of {moved.layers}, {what}",
        moved,
        lambda: ours(objective, moved, frozen, request),
        lambda: rmu_obvious(moved, reference, request, control, layer),
        floor=3.0,
    )


if __name__ == "__main__":
    passages = texts(64)
    measure("hidden 256, 16,384 tokens", deep(), request_of(passages))
    wide = pythia(passages)[0]
    measure("hidden 512, 50,304 tokens", wide, request_of(wide.fit(passages, truncate=True)))
