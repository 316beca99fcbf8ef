"""Time two ways of doing one thing in alternation, and print their ratio with its spread."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from rasura.core.types import Sample, Samples
from rasura.models.causal_lm import CausalLM
from rasura.models.fresh import gpt_neox, wrap_tokenizer
from rasura.testbeds._plants import corpus
from rasura.testbeds._tokenizer import train_tokenizer

REPEATS = 7


def model() -> CausalLM:
    """The architecture of the `small` testbed, untrained."""
    torch.set_num_threads(1)
    tokenizer = wrap_tokenizer(train_tokenizer(corpus("tiny").background, 1024), context=256)
    return gpt_neox(tokenizer, hidden=128, layers=2, heads=4, context=256, seed=0)


def texts(n: int) -> Samples:
    """Generated passages of 20 to 90 tokens."""
    return corpus("small").plants.where(lambda s: s.family == "passage").take(range(n))


def pythia(samples: Samples) -> tuple[CausalLM, Samples]:
    """The architecture and vocabulary of Pythia-70m, untrained, and 8 texts of 64 tokens."""
    tokenizer = wrap_tokenizer(model().tokenizer.backend_tokenizer, context=64)
    handle = gpt_neox(tokenizer, hidden=512, layers=6, heads=8, context=64, seed=0)
    handle.module.resize_token_embeddings(50_304, mean_resizing=False)
    joined = [" ".join(s.text for s in samples.take(range(i, i + 4))) for i in range(8)]
    return handle, handle.fit(Samples(Sample(str(i), text) for i, text in enumerate(joined)), truncate=True)


def compare(what: str, ways: Mapping[str, Callable[[], object]], floor: float, repeats: int = REPEATS) -> None:
    """One line a way, then the ratio second/first: its median and range over repeats, against the floor."""
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, run in ways.items():
            began = time.process_time()
            run()
            seconds[name].append(time.process_time() - began)
    print(f"{what} ({repeats} repeats, one thread, CPU seconds)")
    for name, values in seconds.items():
        print(f"  {name:16s} median {sorted(values)[repeats // 2]:.3f}  range {min(values):.3f} to {max(values):.3f}")
    fast, slow = list(seconds.values())
    ratios = sorted(s / f for s, f in zip(slow, fast, strict=True))
    median = ratios[repeats // 2]
    print(
        f"  ratio            median {median:.1f}x  range {ratios[0]:.1f}x to {ratios[-1]:.1f}x  floor {floor:g}x: {'kept' if median >= floor else 'MISSED'}"
    )


def peak(run: Callable[[], object]) -> float:
    """MB the resident set grew by, at most, while ``run`` ran in a process of its own."""
    context = multiprocessing.get_context("fork")
    said = context.SimpleQueue()

    def child() -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run()
        said.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)

    process = context.Process(target=child)
    process.start()
    process.join()
    return said.get()
