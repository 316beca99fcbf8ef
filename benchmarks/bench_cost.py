"""How the cost of an audit grows: records x model size x signals, from rates measured here.

    python benchmarks/bench_cost.py

Measures token statistics on one CPU thread for models of three sizes (untrained, the standard architecture), in
passages a second and in floating-point operations a second (2 a parameter and token, padding left out), and the
arithmetic of the signals alone. The tables below are those rates multiplied out: passes that the signals share count
once. What is not measured here is said: sizes beyond the largest are reckoned at the rate of the largest.
"""

from __future__ import annotations

import time

from _side_by_side import model, texts

from rasura._costs import asks_of
from rasura.core import registry
from rasura.core.types import Ask
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenStatistics

SHAPES = ((64, 2), (128, 2), (384, 4))  # hidden size, layers
SIGNALS = {"loss": ("loss",), "no second model": ("loss", "zlib", "min_k", "min_k_plus_plus", "lowercase"),
           "and a reference": ("loss", "zlib", "min_k", "min_k_plus_plus", "lowercase", "reference")}  # fmt: skip
SIZES = {"70 M": 7e7, "1.4 B": 1.4e9, "7 B": 7e9}
RECORDS = (10**4, 10**6, 10**8)
ACCELERATOR = 1e14  # operations a second reckoned for one accelerator: an assumption, not a measurement


def rates() -> list[tuple[float, float, float]]:
    """(parameters, records a second, operations a second) for each shape, tokens and store included."""
    found = []
    for hidden, layers in SHAPES:
        handle, samples = model(hidden, layers), texts(192 if hidden < 256 else 64)
        Engine().observe(Ask(TokenStatistics()), {"target": handle}, samples.take(range(64)))
        tokens = sum(handle.width(s) for s in samples)
        began = time.process_time()
        Engine().observe(Ask(TokenStatistics()), {"target": handle}, samples)
        seconds = time.process_time() - began
        found.append((handle.parameters, len(samples) / seconds, 2 * handle.parameters * tokens / seconds))
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


def table(title: str, second_a_pass: dict[str, float], second_a_score: float) -> None:
    print(f"\n{title}")
    print("  " + "".join(f"{c:>17s}" for c in ("model", "signals", *(f"{n:,}" for n in RECORDS))))
    for size, cost in second_a_pass.items():
        for kind, names in SIGNALS.items():
            each = passes(names) * cost + len(names) * second_a_score
            print("  " + "".join(f"{c:>17s}" for c in (size, kind, *(spoken(n * each) for n in RECORDS))))


if __name__ == "__main__":
    measured, score = rates(), arithmetic()
    print("token statistics, measured on one CPU thread, passages of 20 to 90 tokens")
    for parameters, records, operations in measured:
        print(
            f"  {parameters / 1e6:6.2f} M parameters  {records:8,.0f} records a second  {operations / 1e9:6.1f} G operations a second"
        )
    print(f"  one signal's arithmetic: {score * 1e6:.0f} microseconds a record")
    own = {f"{p / 1e6:.2f} M": 1 / r for p, r, _ in measured}
    table("one CPU thread, by the rates above (CPU time)", own, score)
    tokens = measured[-1][2] / (2 * measured[-1][0]) / measured[-1][1]  # tokens a record
    beyond = {name: 2 * p * tokens / measured[-1][2] for name, p in SIZES.items()}
    table("one CPU thread, larger models reckoned at the rate of the largest measured", beyond, score)
    reckoned = {name: 2 * p * tokens / ACCELERATOR for name, p in SIZES.items()}
    table(
        f"one accelerator, reckoned at {ACCELERATOR:.0e} operations a second (assumed, not measured)", reckoned, score
    )
