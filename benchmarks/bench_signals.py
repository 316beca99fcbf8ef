"""Black-box signals: one shared pass over a batch against one pass a signal and a batch of one.

    python benchmarks/bench_signals.py

Prints a table of ratios, both ways measured side by side in each repeat. Floor: 8x.
"""

from __future__ import annotations

import torch
from _side_by_side import compare, model, texts

from rasura.core import registry
from rasura.core.types import Ask
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenStatistics

NAMES = ("loss", "zlib", "min_k", "min_k_plus_plus")


def shared(handle, samples) -> None:
    """What an audit does."""
    signals = [registry.make("signals", name) for name in NAMES]
    engine = Engine()
    observed = engine.observe_all((ask for s in signals for ask in s.needs().values()), {"target": handle}, samples)
    for signal in signals:
        signal.score(**{key: observed[ask] for key, ask in signal.needs().items()})


def one_pass_each(handle, samples) -> None:
    """What public tools do: every signal its own forward pass, one text at a time, logits of all positions."""
    with torch.inference_mode():
        for _ in NAMES:
            for sample in samples:
                ids = torch.from_numpy(handle.encode(sample).ids)[None]
                handle.module(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)


if __name__ == "__main__":
    handle, samples = model(), texts(256)
    assert Engine().observe(Ask(TokenStatistics()), {"target": handle}, samples).loss.shape == (256,)
    compare(
        "four black-box signals on 256 texts",
        {"shared pass": lambda: shared(handle, samples), "one pass each": lambda: one_pass_each(handle, samples)},
        floor=8.0,
    )
