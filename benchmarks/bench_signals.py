"""All black-box signals: one shared pass a question against one pass a signal and a batch of one, as public tools spend it.

    python benchmarks/bench_signals.py [TEXTS]

Every signal that reads nothing but token statistics of the target or a reference, of the text as it is or in lower case.
The fast way is what an audit does, from bare texts to scores: tokens, passes, store, arithmetic, learning included. The
slow way is lenient: each signal tokenises its texts and runs its own forward passes, log-softmax included, and its
arithmetic is not counted. Floor: 8x.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from _side_by_side import compare, model, texts

from rasura.core import registry
from rasura.core.types import Known, Plain
from rasura.data.views import Lowercase
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenStatistics


def black_box() -> dict[str, list]:
    """Signals by name, each with the passes it needs: only (role, view) of the four above."""
    found = {}
    for name in registry.fitting("signals", "text"):
        asks = list(registry.make("signals", name).needs().values())
        passes = [a for a in asks if isinstance(a.what, TokenStatistics)]
        others = [a for a in asks if a not in passes and getattr(a.what, "passes", (1, 0)) != (0, 0)]
        plain = all(a.of in ("target", "reference") and isinstance(a.view, (Plain, Lowercase)) for a in passes)
        if passes and plain and not others:
            found[name] = passes
    return found


def shared(names, models, samples) -> dict[str, np.ndarray]:
    """What an audit does."""
    signals = {name: registry.make("signals", name) for name in names}
    for handle in models.values():
        handle._encoded.clear()
        handle.fit(samples)
    asks = [ask for s in signals.values() for ask in s.needs().values()]
    observed = Engine().observe_all(asks, models, samples)
    half = np.arange(len(samples)) % 2 == 0
    known = Known(np.flatnonzero(half)[::2], np.flatnonzero(~half)[::2])
    return {
        name: s.score(*([known] if hasattr(s, "learns") else []), **{k: observed[a] for k, a in s.needs().items()})
        for name, s in signals.items()
    }


def one_pass_each(plan, models, samples) -> np.ndarray:
    """What public tools do: every signal its own forward passes, one text at a time, logits of all positions."""
    losses = []
    with torch.inference_mode():
        for passes in plan.values():
            for ask in passes:
                handle = models[ask.of]
                for sample in ask.view.apply(samples):
                    ids = handle.tokenizer(sample.text, return_tensors="pt").input_ids
                    log_p = handle.module(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)
                    losses.append(log_p[0, :-1].gather(1, ids[0, 1:, None]).mean())
    return torch.stack(losses).numpy()


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    models, samples, plan = {"target": model(), "reference": model(seed=1)}, texts(n), black_box()
    few = samples.take(range(64))
    assert np.allclose(
        shared(["loss"], models, few)["loss"], one_pass_each({"loss": plan["loss"]}, models, few), atol=1e-5
    )
    passes = [ask for asks in plan.values() for ask in asks]
    print(f"{len(plan)} signals: {', '.join(plan)}; {len(passes)} passes by signal, {len(set(passes))} shared")
    compare(
        f"{len(plan)} black-box signals on {n} texts",
        {
            "shared passes": lambda: shared(plan, models, samples),
            "one pass each": lambda: one_pass_each(plan, models, samples),
        },
        floor=8.0,
        repeats=3,
        warm=False,
    )
