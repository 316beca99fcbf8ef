"""Token statistics against the floor: the model's own forward pass, logits included, of the same batches.

    python benchmarks/bench_token_statistics.py

The floor is ``module(ids, mask).logits`` at every position of the batches that the pass runs, ids and mask ready: what
anybody pays who asks the model anything about these texts, with its output matrix, without which there is no
probability. The pass adds the mean, deviation and rank of every scored token over the vocabulary and puts them into
rows; it saves the output matrix at padding, and the mask where the model needs none. Mark: at most 1.15x. The second
table is the whole pass of the engine, from bare texts to shards in the store, against the batches it would have run if
they were not cut where texts get shorter.
"""

from __future__ import annotations

import numpy as np
import torch
from _side_by_side import compare, model, texts

from rasura.core.types import Ask
from rasura.models._encoding import even_parts
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenStatistics

Batches = list[tuple[torch.Tensor, torch.Tensor]]


def sorted_shards(handle, samples) -> list:
    """Shards as the engine cuts and sorts them."""
    parts = [samples.take(range(at, min(at + 64, len(samples)))) for at in range(0, len(samples), 64)]
    return [p.take(np.argsort([-handle.width(s) for s in p], kind="stable")) for p in parts]


def batches(handle, shards, even: bool) -> Batches:
    found = []
    with torch.inference_mode():
        for shard in shards:
            encoded = handle.encode_all(shard)
            found += [handle.batch(p) for _, p in (even_parts(encoded, cut=True) if even else [(0, encoded)])]
    return found


def forward(handle, inputs: Batches) -> None:
    with torch.inference_mode():
        for ids, mask in inputs:
            handle.module(input_ids=ids, attention_mask=mask, use_cache=False).logits  # noqa: B018


def check(handle, samples) -> None:
    """The pass and plain log-softmax of the model's own logits give the same numbers."""
    data = TokenStatistics().measure(handle, samples)
    with torch.inference_mode():
        for i, sample in enumerate(samples):
            ids = torch.from_numpy(handle.encode(sample).ids)
            log_p = handle.module(input_ids=ids[None], use_cache=False).logits[0, :-1].double().log_softmax(-1)
            own = log_p.gather(1, ids[1:, None])
            mean = (log_p.exp() * log_p).sum(-1)
            deviation = (log_p.exp() * (log_p - mean[:, None]).square()).sum(-1).sqrt()
            assert np.allclose(data.log_probability[i], own[:, 0], atol=1e-4)
            assert np.allclose(data.mean[i], mean, atol=1e-4) and np.allclose(data.deviation[i], deviation, atol=1e-4)
            assert np.mean(data.rank[i] == (log_p > own).sum(-1).numpy()) > 0.99  # but for ties by rounding


def from_texts(handle, samples) -> None:
    handle._encoded.clear()
    handle.fit(samples)
    Engine().observe(Ask(TokenStatistics()), {"target": handle}, samples)


def table(label: str, handle, samples) -> None:
    shards = sorted_shards(handle, samples)
    even, whole = batches(handle, shards, True), batches(handle, shards, False)
    compare(
        f"token statistics of {len(samples)} texts, {label}",
        {
            "token statistics": lambda: [TokenStatistics().measure(handle, s) for s in shards],
            "bare forward": lambda: forward(handle, even),
        },
        at_most=1.15,
        repeats=15,
    )
    compare(
        f"from texts to the store, {label}, against a forward pass of uncut batches",
        {"observe": lambda: from_texts(handle, samples), "bare forward": lambda: forward(handle, whole)},
        at_most=1.15,
    )


if __name__ == "__main__":
    handle, samples = model(), texts(512)
    check(handle, samples.take(range(64)))
    table("hidden size 128", handle, samples)
    table("hidden size 512", model(hidden=512), samples.take(range(128)))
