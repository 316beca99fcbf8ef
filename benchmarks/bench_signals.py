"""All black-box signals: one shared pass a question against one pass a signal and a batch of one, as public tools spend it.

    python benchmarks/bench_signals.py [TEXTS]

Every signal that reads nothing but token statistics of the target or a reference, of the text as it is or in lower case.
Both ways go from bare texts to the same scores. The fast way is what an audit does: tokens, passes, store, arithmetic,
learning included. In the slow way each signal tokenises its texts, runs its own forward passes and takes from the logits
what it reads, without a store. Floor: 8x.
"""

from __future__ import annotations

import sys
import zlib
from dataclasses import replace

import numpy as np
import torch
from _side_by_side import compare, model, texts

from rasura.core import registry
from rasura.core.types import Known, Plain, Ragged
from rasura.data.views import Lowercase
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenData, TokenStatistics


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


def known(signal, samples) -> list[Known]:
    """What a signal that learns is told: a quarter of the records as members, a quarter as non-members."""
    half = np.arange(len(samples)) % 2 == 0
    return [Known(np.flatnonzero(half)[::2], np.flatnonzero(~half)[::2])] if hasattr(signal, "learns") else []


def shared(names, models, samples) -> dict[str, np.ndarray]:
    """What an audit does."""
    signals = {name: registry.make("signals", name) for name in names}
    for handle in models.values():
        handle._encoded.clear()
        handle.fit(samples)
    asks = [ask for s in signals.values() for ask in s.needs().values()]
    observed = Engine().observe_all(asks, models, samples)
    return {
        name: s.score(*known(s, samples), **{key: observed[ask] for key, ask in s.needs().items()})
        for name, s in signals.items()
    }


def one_pass_each(names, models, samples) -> dict[str, np.ndarray]:
    """What public tools do: every signal its own forward passes, one text at a time, logits of all positions."""
    scores = {}
    for name in names:
        signal = registry.make("signals", name)
        answers = {
            key: alone(name, models[ask.of], ask.view.apply(samples))
            if isinstance(ask.what, TokenStatistics)
            else Engine().observe(ask, models, samples)  # counts of letters: no model
            for key, ask in signal.needs().items()
        }
        scores[name] = signal.score(*known(signal, samples), **answers)
    return scores


def alone(name, handle, samples) -> TokenData:
    """Token statistics for one signal by the obvious code. Only Min-K%++ reads the mean and deviation over the vocabulary."""
    own, mean, deviation, read = [], [], [], []
    with torch.inference_mode():
        for sample in samples:
            cut = handle.tokenizer(sample.text, return_tensors="pt", return_offsets_mapping=True)
            ids, end = cut.input_ids, int(cut.offset_mapping[0, 0, 1])
            read.append(sample.text[end:].encode())  # the first token has nothing before it
            log_p = handle.module(input_ids=ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
            own.append(log_p.gather(1, ids[0, 1:, None])[:, 0].numpy())
            if name == "min_k_plus_plus":
                p = log_p.exp()
                mean.append((p * log_p).sum(-1))
                deviation.append((p * (log_p - mean[-1][:, None]).square()).sum(-1).sqrt())
    blank, n = TokenStatistics().blank("", len(samples)), len(samples)
    return replace(
        blank,
        log_probability=Ragged.of(own),
        mean=Ragged.of(mean) if mean else blank.mean,
        deviation=Ragged.of(deviation) if mean else blank.deviation,
        text_bytes=np.array([len(t) for t in read]),
        zlib_bytes=np.array([len(zlib.compress(t)) for t in read]),
        reason=np.array([""] * n, dtype=object),
    )


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    models, samples, plan = {"target": model(), "reference": model(seed=1)}, texts(n), black_box()
    few = samples.take(range(64))
    fast, slow = shared(plan, models, few), one_pass_each(plan, models, few)
    assert all(np.allclose(fast[name], slow[name], atol=1e-4, equal_nan=True) for name in plan), "the scores differ"
    passes = [ask for asks in plan.values() for ask in asks]
    print(f"{len(plan)} signals: {', '.join(plan)}; {len(passes)} passes by signal, {len(set(passes))} shared")
    compare(
        f"{len(plan)} black-box signals on {n} texts",
        {
            "shared passes": lambda: shared(plan, models, samples),
            "one pass each": lambda: one_pass_each(plan, models, samples),
        },
        floor=8.0,
        repeats=5,
        warm=False,
    )
