"""Many short records on one machine: is memory flat, is throughput flat?

    python benchmarks/bench_many_records.py [RECORDS]

What an audit does with its records once they are read (passes, store on disk, scores of all black-box signals that look
at records one by one, in windows), with a very small untrained model. Prints a curve: records done, records a CPU second
since the last line, and the resident set. Marks: the resident set grows by at most 300 MB, and the last fifth runs at
least at 0.8 of the speed of the second, both after the first fifth, which warms up. RECORDS: 100,000.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import _side_by_side
import psutil
import torch

from rasura._answers import answered
from rasura.core import registry
from rasura.core.store import Store
from rasura.core.types import Sample, Samples
from rasura.models.fresh import gpt_neox, wrap_tokenizer
from rasura.observations import _engine
from rasura.testbeds._tokenizer import train_tokenizer

SIGNALS = ("loss", "zlib", "min_k", "min_k_plus_plus")
LINES = 20
WORDS = "lamp rope sand mill gold rain seed wolf iron salt bird coal reed tide moss barn".split()


def records(n: int) -> Samples:
    """Short texts, no two alike: the number in base 16, a word a digit, behind an opening and before an end."""
    digits = (" ".join(WORDS[(i >> 4 * k) & 15] for k in range(5)) for i in range(n))
    return Samples(Sample(str(i), f"lamp and rope, {words} it is.") for i, words in enumerate(digits))


def model(samples: Samples):
    """16 numbers wide, one layer, 300 tokens: what is measured is everything but the model."""
    torch.set_num_threads(1)
    tokenizer = wrap_tokenizer(train_tokenizer(samples.take(range(500)).texts, 300), context=64)
    return gpt_neox(tokenizer, hidden=16, layers=1, heads=2, context=64, seed=0)


class Curve:
    """The engine's progress, as lines of a curve."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.at = total, 0, time.process_time()
        self.lines: list[tuple[int, float, float]] = []

    def __call__(self, label: str, total: int) -> Curve:
        return self

    def __enter__(self):
        return self.advance

    def __exit__(self, *_: object) -> None:
        pass

    def advance(self, count: int) -> None:
        self.done += count
        if self.done >= (len(self.lines) + 1) * self.total / LINES:
            now, memory = time.process_time(), psutil.Process().memory_info().rss / 1e6
            since = self.done - (self.lines[-1][0] if self.lines else 0)
            self.lines.append((self.done, since / (now - self.at), memory))
            print(f"  {self.done:10,} {self.lines[-1][1]:12,.0f} {memory:10,.0f}", flush=True)
            self.at = now


def main(n: int) -> None:
    samples = records(n)
    handle = model(samples)
    print(f"{n:,} records of about {handle.width(samples[n // 2])} tokens, {len(SIGNALS)} signals, windows, one thread")
    print(f"  {'records':>10s} {'a CPU second':>12s} {'memory, MB':>10s}")
    began, curve = os.times(), Curve(n)
    with tempfile.TemporaryDirectory() as folder:
        engine = _engine.Engine(store=Store(Path(folder) / "store"), progress=curve)
        signals = [registry.make("signals", name) for name in SIGNALS]
        answers = answered(signals, {"target": handle}, samples, engine, asked_for=True)
    assert all(len(answers.scores(signal)) == n for signal in signals)
    spent = os.times()
    seconds = spent.user + spent.system - began.user - began.system
    print(f"  {n / seconds:,.0f} records a CPU second")
    fifth = len(curve.lines) // 5
    memory, rates = [m for *_, m in curve.lines], [r for _, r, _ in curve.lines]
    _side_by_side.limit("memory growth", max(memory[fifth:]) - memory[fifth], 300, "MB")
    _side_by_side.ratio(
        [late / early for early, late in zip(rates[fifth : 2 * fifth], rates[-fifth:], strict=True)], floor=0.8
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
