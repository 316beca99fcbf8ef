"""What the conformance tests on pictures share: a model that memorised, one that knows nothing, and a reader of captions.

The smallest testbed learns to draw in a minute, but hardly memorises. So the memory is made here: its target is trained on
with eight portraits it never saw, four of them ``MANY`` and four ``SOME`` times, among scenes; the other portraits, of
the same kind and never trained on, are what they are compared with. The portraits always keep their captions, so that the
memory hangs on the caption: at a third of the rows the unconditional branch would draw them as well, which hides them from
a signal that compares the two. It takes 200 steps and is kept on disk.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

import _tiny_images
from rasura.core.types import Samples
from rasura.models.text_to_image import TextToImage

EACH, STEPS, BATCH, RATE = 4, 200, 32, 1e-3
SOME, MANY = 1, 4  # weights in the mix; together the portraits are SHARE of the rows
SHARE = 0.3
VERSION = 2


@cache
def planted():
    return _tiny_images.planted()


@cache
def memory():
    """model, ``some`` and ``many`` (portraits by how often they were seen), ``never`` (portraits that were not)."""
    from rasura.observations._engine import _threads_for

    strangers = planted().nonmembers
    seen = SHARE * STEPS * BATCH / (EACH * (SOME + MANY))
    some = Samples(replace(s, repeats=round(seen * SOME)) for s in strangers[:EACH])
    many = Samples(replace(s, repeats=round(seen * MANY)) for s in strangers[EACH : 2 * EACH])
    target = planted().models["target"]
    cache_folder = Path(os.environ.get("RASURA_TEST_CACHE") or Path(__file__).parents[2] / ".pytest_cache" / "tiny")
    cache_folder.mkdir(parents=True, exist_ok=True)
    folder = cache_folder / f"memory-{target.fingerprint[:16]}-{VERSION}"
    with open(cache_folder / f".{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "model_index.json").is_file():
            with _threads_for(target):
                _trained_on(target, some, many).save(str(folder))
    return SimpleNamespace(
        model=TextToImage.load(str(folder)), some=some, many=many, never=Samples(strangers[2 * EACH :])
    )


def _trained_on(target, some, many):
    """The testbed's loss on a mix of scenes and portraits."""
    model, rng, draw = target.clone(), np.random.default_rng(0), torch.Generator().manual_seed(0)
    rows = Samples([*some, *many, *planted().retain.take(range(96))])
    with torch.no_grad():
        pictures, texts = model.latents(model.pictures(rows)), rows.texts
    weights = np.array([SOME] * EACH + [MANY] * EACH, dtype=float)
    scenes = len(rows) - 2 * EACH
    shares = np.concatenate([SHARE * weights / weights.sum(), np.full(scenes, (1 - SHARE) / scenes)])
    optimiser = torch.optim.AdamW(model.module.parameters(), lr=RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, STEPS)
    for _ in range(STEPS):
        chosen = rng.choice(len(rows), BATCH, p=shares)
        x, noise = pictures[chosen], torch.randn(pictures[chosen].shape, generator=draw)
        t = (1000 * torch.sigmoid(1.4 * torch.randn(BATCH, generator=draw) + 0.3)).long().clamp(max=999)
        dropped = (rng.random(BATCH) < 0.1) & (chosen >= 2 * EACH)  # of scenes only: see the docstring
        captions = model.encode_prompts(["" if drop else texts[i] for i, drop in zip(chosen, dropped, strict=True)])
        a = model.schedule.alpha(t, x)
        answer = model.output(model.schedule.noised(x, t, noise), t, captions)
        loss = (answer - (a.sqrt() * noise - (1 - a).sqrt() * x)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    model.weights_changed()
    return model


@cache
def scrambled():
    """The target with the entries of every tensor shuffled: the same sizes and scales, and nothing learned."""
    model = planted().models["target"].clone()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.module.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    model.weights_changed()
    return model


class Reader:
    """Stands for a model that reads pictures and captions: classes the judge sees, classes a caption names."""

    fingerprint, parameters = "reads classes", 1

    def __init__(self, judge):
        self.judge, self.device = judge, judge.device
        self.classes = [c for names in judge.attributes.values() for c in names[:-1]]

    def width(self, sample):
        return 1

    def image_features(self, pictures):
        return torch.cat([p[:, :-1] for p in self.judge.probabilities(pictures).values()], dim=1)

    def text_features(self, texts):
        return torch.tensor([[float(c in text.split()) for c in self.classes] for text in texts]) + 1e-6
