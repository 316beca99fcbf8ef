"""Run by every process of test_spread.py: each way of training alone and spread; rank 0 prints the differences as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

import _tiny
from rasura.core.types import Request, Sample, Samples
from rasura.erasers.finetune import Finetune
from rasura.erasers.objectives.gradient_ascent import GradientAscent
from rasura.erasers.objectives.gradient_difference import GradientDifference
from rasura.erasers.objectives.kl_retain import KLRetain
from rasura.erasers.objectives.npo import NPO
from rasura.erasers.objectives.rmu import RMU
from rasura.erasers.selections.all import All
from rasura.erasers.selections.lora import Lora
from rasura.erasers.selections.saliency import Saliency
from rasura.observations._engine import Engine
from rasura.observations._engine_accelerate import Together
from rasura.observations._engine_processes import Processes
from rasura.training import loop
from rasura.training.loop import Loop

LOOP = Loop(steps=6, learning_rate=1e-4, checkpoint_every=3)
WAYS = {
    "npo": Finetune(NPO(), All(), LOOP),
    "one row, more processes": Finetune(GradientAscent(), All(), LOOP, forget_batch=1),
    "token means of uneven records": Finetune(GradientDifference(), All(), LOOP, forget_batch=3, retain_batch=5),
    "divergences": Finetune(KLRetain(), All(), LOOP, forget_batch=3),
    "open-unlearning's divergence, not split": Finetune(KLRetain(variant="open-unlearning"), All(), LOOP),
    "hidden states": Finetune(RMU(layer=0), None, LOOP, forget_batch=3, retain_batch=3),
    "lora": Finetune(NPO(), Lora(), LOOP),
    "masks": Finetune(NPO(), Saliency(), LOOP),
    "two gradients": Finetune(GradientDifference(), All(), Loop(steps=6, learning_rate=1e-4, combine="project")),
    "budget": Finetune(GradientDifference(), All(), Loop(steps=6, learning_rate=1e-3, retain_budget=-0.5, probe_every=2)),
}  # fmt: skip


def request() -> Request:
    texts = [" ".join(t.split()[: 3 + 2 * i]) for i, t in enumerate(_tiny.texts(16, seed=21, sentences=2))]
    made = [Sample(str(i), t) for i, t in enumerate(texts)]
    return Request(Samples(made[:6]), Samples(made[6:]))


def difference(a: torch.nn.Module, b: torch.nn.Module) -> float:
    other = dict(b.named_parameters())
    return max(float((p.detach() - other[n].detach()).abs().max()) for n, p in a.named_parameters())


def interrupted(model, way, folder: Path, engine: Engine) -> torch.nn.Module:
    """Stopped after step 4 by an error in all processes, then run again from the checkpoint of step 3."""
    original, calls = loop.Run._step, []

    def step(self, k):
        calls.append(k)
        if k == 4 and calls.count(4) == 1:
            raise KeyboardInterrupt
        return original(self, k)

    loop.Run._step = step
    try:
        way.run(model, request(), engine=engine, checkpoint=folder)
    except KeyboardInterrupt:
        engine.crew.processes.exchange("stopped")  # the checkpoint is written by now
    done = way.run(model, request(), engine=engine, checkpoint=folder)
    loop.Run._step = original
    assert calls == [0, 1, 2, 3, 4, 3, 4, 5], calls
    return done.model.module


def zero_gradients(processes: Processes) -> dict[str, float]:
    """GPT-NeoX has key biases: softmax does not see them, so their gradient is rounding, which AdamW scales up."""
    model, way, engine = _tiny.neox(), WAYS["npo"], Engine()
    alone = way.run(model, request(), engine=engine)
    engine.crew, engine.observe = Together(processes), Engine().observe
    spread = way.run(model, request(), engine=engine)
    other, rest = dict(spread.model.module.named_parameters()), 0.0
    for name, p in alone.model.module.named_parameters():
        apart = (p.detach() - other[name].detach()).abs()
        if name.endswith("query_key_value.bias"):  # (heads, query | key | value, size)
            apart = apart.view(4, 3, 16)[:, [0, 2]]
        rest = max(rest, float(apart.max()))
    with torch.no_grad():
        said = [m.model.score(request().retain).log_probability for m in (alone, spread)]
    return {
        "biases, key biases left out": rest,
        "biases, what the models say": float((said[0] - said[1]).abs().max()) / 10,
    }


def main(folder: Path, names: list[str]) -> None:
    torch.set_num_threads(1)
    processes = Processes.start(patience=60)
    found = {}
    for tied in (False, True) if not names else (False,):
        model = _tiny.llama(tied=tied)
        before = model.fingerprint
        for name in (names or WAYS) if not tied else ["npo"]:
            way = WAYS[name]
            alone = way.run(model, request(), engine=Engine()).model.module
            for how in ("false", "true"):
                os.environ["ACCELERATE_USE_FSDP"] = how
                engine = Engine()
                engine.crew = Together(processes)
                engine.observe = Engine().observe  # the passes are not what is tested here
                spread = way.run(model, request(), engine=engine)
                label = f"{name}{', tied' if tied else ''}{', sharded' if how == 'true' else ''}"
                found[label] = difference(alone, spread.model.module)
                if name == "npo":
                    again = interrupted(model, way, folder / label, engine)
                    found[f"{label}, resumed"] = difference(spread.model.module, again)
                assert model.with_treatment("fresh hash").fingerprint == before, "the caller's handle must stay"
    moved = difference(model.module, alone)
    if not names:
        found |= zero_gradients(processes)
    everyone = processes.exchange("found", found)
    assert all(other == everyone[0] for other in everyone), "the weights must be the same in every process"
    if processes.rank == 0:
        print(json.dumps({"differences": found, "moved": moved}))
    processes.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
