"""MoPe's perturbed passes: noise put in place, a module at a time, against a copy of the model for every noise.

    python benchmarks/bench_mope.py

Two shapes: the `small` testbed with 64 texts, and Pythia-70m's (hidden 512, 6 layers, 50,304 tokens) with 4 texts of 64 tokens,
where copying weighs most. One antithetic pair, token statistics of all texts under each noise; both ways are first shown to
give the same numbers. Floor: 2x against copying with the same batches (both ways then run the same forward passes,
so this is the cost of the copies alone), and against copying with a batch of one, as public code scores. Memory is the
peak of the resident set in a forked process, weights included.
"""

from __future__ import annotations

import numpy as np
import torch
from _side_by_side import compare, model, peak, pythia, texts

from rasura.models.noise import WeightNoise
from rasura.observations.token_statistics import TokenStatistics

NOISES = (WeightNoise(seed=0, sign=1), WeightNoise(seed=0, sign=-1))


def in_place(handle, samples) -> list[np.ndarray]:
    """Log-probabilities of every scored token under each noise."""
    found = []
    for noise in NOISES:
        with handle.perturbed(noise), torch.inference_mode():
            found.append(TokenStatistics().measure(handle, samples).log_probability.values)
    return found


def copying(handle, samples, size: int) -> list[np.ndarray]:
    """The same from a deep copy for every noise, ``size`` texts at a time."""
    found = []
    for noise in NOISES:
        copy = handle.clone()
        with torch.no_grad():
            for name, p in copy.module.named_parameters():
                p.add_(noise.sign * noise.sigma * noise.draw(name, p))
        batches = [samples.take(range(i, min(i + size, len(samples)))) for i in range(0, len(samples), size)]
        with torch.inference_mode():
            rows = [TokenStatistics().measure(copy, batch).log_probability.values for batch in batches]
        found.append(np.concatenate(rows))
    return found


def measure(what: str, handle, samples, repeats: int, ways: dict[str, int]) -> None:
    n = len(samples)
    for a, b in zip(in_place(handle, samples), copying(handle, samples, n), strict=True):
        assert np.array_equal(a, b), "two ways, one set of numbers"
    weights = 4 * handle.parameters / 2**20
    kept, copied = (
        weights + peak(lambda run=run: run(handle, samples)) for run in (in_place, lambda h, s: copying(h, s, n))
    )
    print(
        f"memory, {what}: in place {kept:.0f} MB, with a copy {copied:.0f} MB, of which weights {weights:.0f} MB a model"
    )
    for way, size in ways.items():
        compare(
            f"two perturbed passes, {what}: in place against {way}",
            {
                "in place": lambda: in_place(handle, samples),
                "copying": lambda size=size: copying(handle, samples, size),
            },
            floor=2.0,
            repeats=repeats,
        )


if __name__ == "__main__":
    short = texts(64)
    same, alone = "a copy a noise, same batches", "a copy a noise, a batch of one"
    measure("hidden 128, 64 texts", model(), short, 15, {same: 64, alone: 1})
    large, long = pythia(short)
    measure("hidden 512, 4 texts", large, long.take(range(4)), 5, {same: 4})
