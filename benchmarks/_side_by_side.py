"""Time two ways of doing one thing in alternation, and print their ratio with its spread."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from rasura.core.types import Samples
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


def compare(what: str, ways: Mapping[str, Callable[[], object]], floor: float) -> None:
    """One line a way, then the ratio second/first: its median and range over repeats, against the floor."""
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, run in ways.items():
            began = time.process_time()
            run()
            seconds[name].append(time.process_time() - began)
    print(f"{what} ({REPEATS} repeats, one thread, CPU seconds)")
    for name, values in seconds.items():
        print(f"  {name:16s} median {sorted(values)[REPEATS // 2]:.3f}  range {min(values):.3f} to {max(values):.3f}")
    fast, slow = list(seconds.values())
    ratios = sorted(s / f for s, f in zip(slow, fast, strict=True))
    median = ratios[REPEATS // 2]
    print(
        f"  ratio            median {median:.1f}x  range {ratios[0]:.1f}x to {ratios[-1]:.1f}x  floor {floor:g}x: {'kept' if median >= floor else 'MISSED'}"
    )
