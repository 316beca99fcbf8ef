"""How the cost of an audit grows: records x length x model size x signals, from rates measured here.

    python benchmarks/bench_cost.py

Measures token statistics on one CPU thread for models of three sizes (untrained, the standard architecture) and records of
two lengths, in records a second and in floating-point operations a second (2 a parameter and token, padding left out), and the
arithmetic of the signals alone. The tables below are those rates multiplied out: passes that the signals share count
once. What is not measured here is said: sizes beyond the largest are reckoned at the rate of the largest.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from _side_by_side import model, texts

from rasura._costs import asks_of
from rasura.core import registry
from rasura.core.types import Ask, Sample, Samples
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenStatistics

SHAPES = ((64, 2), (128, 2), (384, 4))  # hidden size, layers
PASSAGES = (1, 4)  # joined to one record
SIGNALS = {"loss": ("loss",), "no second model": ("loss", "zlib", "min_k", "min_k_plus_plus", "lowercase"),
           "and a reference": ("loss", "zlib", "min_k", "min_k_plus_plus", "lowercase", "reference")}  # fmt: skip
SIZES = {"70 M": 7e7, "1.4 B": 1.4e9, "7 B": 7e9}
RECORDS = (10**4, 10**6, 10**8)
ACCELERATOR = 1e14  # operations a second reckoned for one accelerator: an assumption, not a measurement


@dataclass(frozen=True)
class Rate:
    """What one pass over records of one length costs under a model of one size, tokens and store included."""

    parameters: int
    tokens: float  # a record
    records: float  # a second

    @property
    def operations(self) -> float:
        """A second."""
        return 2 * self.parameters * self.tokens * self.records


def joined(samples: Samples, by: int) -> Samples:
    """Runs of ``by`` passages as one record each."""
    starts = range(0, len(samples) - by + 1, by)
    return Samples(Sample(str(i), " ".join(s.text for s in samples.take(range(i, i + by)))) for i in starts)


def rates() -> list[Rate]:
    """One of each shape and length."""
    found = []
    for hidden, layers in SHAPES:
        handle = model(hidden, layers)
        for by in PASSAGES:
            samples = handle.fit(joined(texts(192 if hidden < 256 else 64 * by), by), truncate=True)
            Engine().observe(Ask(TokenStatistics()), {"target": handle}, samples.take(range(min(48, len(samples)))))
            tokens = sum(handle.width(s) for s in samples) / len(samples)
            began = time.process_time()
            Engine().observe(Ask(TokenStatistics()), {"target": handle}, samples)
            found.append(Rate(handle.parameters, tokens, len(samples) / (time.process_time() - began)))
    return found


def arithmetic() -> float:
    """CPU seconds a record that one signal's arithmetic takes, the mean over the plain ones."""
    handle, samples = model(), texts(192)
    data = Engine().observe(Ask(TokenStatistics()), {"target": handle}, samples)
    signals = [registry.make("signals", name) for name in ("loss", "zlib", "min_k", "min_k_plus_plus")]
    began = time.process_time()
    for _ in range(5):
        for signal in signals:
            signal.score(statistics=data)
    return (time.process_time() - began) / (5 * len(signals) * len(samples))


def passes(names: tuple[str, ...]) -> int:
    """Forward passes a record that the signals need together."""
    asks = {ask for name in names for ask in asks_of(registry.make("signals", name))}
    return len({ask for ask in asks if isinstance(ask.what, TokenStatistics)})


def spoken(seconds: float) -> str:
    for unit, size in (("years", 31_557_600), ("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} seconds"


def table(title: str, second_a_pass: dict[tuple[str, str], float], second_a_score: float) -> None:
    print(f"\n{title}")
    print("  " + "".join(f"{c:>17s}" for c in ("model", "tokens a record", "signals", *(f"{n:,}" for n in RECORDS))))
    for (size, length), cost in second_a_pass.items():
        for kind, names in SIGNALS.items():
            each = passes(names) * cost + len(names) * second_a_score
            print("  " + "".join(f"{c:>17s}" for c in (size, length, kind, *(spoken(n * each) for n in RECORDS))))


def reckoned(lengths: list[float], operations: float) -> dict[tuple[str, str], float]:
    """Seconds a pass and record of models that are too large to be measured here."""
    return {(name, f"{n:.0f}"): 2 * p * n / operations for name, p in SIZES.items() for n in lengths}


if __name__ == "__main__":
    measured, score = rates(), arithmetic()
    print("token statistics, measured on one CPU thread")
    for r in measured:
        speed = f"{r.records:8,.0f} records a second  {r.operations / 1e9:6.1f} G operations a second"
        print(f"  {r.parameters / 1e6:6.2f} M parameters, {r.tokens:4.0f} tokens a record  {speed}")
    print(f"  one signal's arithmetic: {score * 1e6:.0f} microseconds a record")
    own = {(f"{r.parameters / 1e6:.2f} M", f"{r.tokens:.0f}"): 1 / r.records for r in measured}
    table("one CPU thread, by the rates above (CPU time)", own, score)
    largest, lengths = measured[-1].operations, [r.tokens for r in measured[-len(PASSAGES) :]]
    carried = "one CPU thread, larger models reckoned at the rate of the last measured"
    table(carried, reckoned(lengths, largest), score)
    assumed = f"one accelerator, reckoned at {ACCELERATOR:.0e} operations a second (assumed, not measured)"
    table(assumed, reckoned(lengths, ACCELERATOR), score)
