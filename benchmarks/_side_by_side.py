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
from rasura.testbeds._plants import Size, corpus
from rasura.testbeds._tokenizer import train_tokenizer

REPEATS = 7


def model(hidden: int = 128, layers: int = 2, seed: int = 0) -> CausalLM:
    """The architecture of the `small` testbed, or a wider one, untrained."""
    torch.set_num_threads(1)
    tokenizer = wrap_tokenizer(train_tokenizer(corpus("tiny").background, 1024), context=256)
    return gpt_neox(tokenizer, hidden=hidden, layers=layers, heads=4, context=256, seed=seed)


def texts(n: int) -> Samples:
    """Generated passages of 20 to 90 tokens."""
    few = corpus("small").plants.where(lambda s: s.family == "passage")
    return few.take(range(n)) if n <= len(few) else corpus(Size(0, 0, {"passage": {0: n}})).plants


def pythia(samples: Samples) -> tuple[CausalLM, Samples]:
    """The architecture and vocabulary of Pythia-70m, untrained, and 8 texts of 64 tokens."""
    tokenizer = wrap_tokenizer(model().tokenizer.backend_tokenizer, context=64)
    handle = gpt_neox(tokenizer, hidden=512, layers=6, heads=8, context=64, seed=0)
    handle.module.resize_token_embeddings(50_304, mean_resizing=False)
    joined = [" ".join(s.text for s in samples.take(range(i, i + 4))) for i in range(8)]
    return handle, handle.fit(Samples(Sample(str(i), text) for i, text in enumerate(joined)), truncate=True)


def compare(
    what: str,
    ways: Mapping[str, Callable[[], object]],
    floor: float | None = None,
    *,
    at_most: float | None = None,
    repeats: int = REPEATS,
    warm: bool = True,
) -> float:
    """One line a way, then their ratio, its median and range over repeats, against what it is held against.

    ``floor``: the second way over the first must be at least that; ``at_most``: the first over the second at most that.
    Without either the ratio is only told. ``warm`` runs both ways once before the first repeat. Returns the median.
    """
    for run in ways.values() if warm else ():
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
    first, second = list(seconds.values())
    over = [(f / s) if at_most else (s / f) for f, s in zip(first, second, strict=True)]
    return ratio(over, floor=floor, at_most=at_most)


def ratio(values: list[float], *, floor: float | None = None, at_most: float | None = None) -> float:
    """The line that ``make bench`` collects: median and range over repeats, and the mark it keeps or misses."""
    ordered = sorted(values)
    median = ordered[len(ordered) // 2]
    digits = 2 if at_most else 1
    line = (
        f"  ratio            median {median:.{digits}f}x  range {ordered[0]:.{digits}f}x to {ordered[-1]:.{digits}f}x"
    )
    if floor is not None:
        line += f"  floor {floor:g}x: {'kept' if median >= floor else 'MISSED'}"
    if at_most is not None:
        line += f"  at most {at_most:g}x: {'kept' if median <= at_most else 'MISSED'}"
    print(line, flush=True)
    return median


def limit(name: str, value: float, at_most: float, unit: str, digits: int = 0) -> None:
    """One measured quantity and what it may be at most, as a line that ``make bench`` collects."""
    print(
        f"  {name:18s} {value:,.{digits}f} {unit}  at most {at_most:,g} {unit}: {'kept' if value <= at_most else 'MISSED'}",
        flush=True,
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
