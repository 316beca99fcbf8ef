"""Per-sample gradient norms: one batched pass against one backward a sample, the obvious way; and the memory it takes.

    python benchmarks/bench_gradient_norms.py

Two shapes: the `small` testbed (hidden 128, 2 layers, 1,024 tokens; 64 texts of 20 to 90) and Pythia-70m's (hidden 512, 6
layers, 50,304 tokens; 4 texts of 64), random weights. Both ways are measured side by side in each repeat, first shown to give
the same numbers, and the obvious way computes no more than what it is compared with. Floor of L2: 5x. All three orders
have to form every gradient; their floor is 1x, never slower. The bare pass is what no way can do without: forward, and
backward to the activations alone, of the same batch.

Memory is the peak of the resident set, weights included, of a forked process that does one thing: at most 1.3 times that of
one training step (the mean token loss of the same batch, forward and backward, without an optimiser).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _side_by_side import compare, limit, model, peak, pythia, texts

from rasura.observations._per_sample_gradients import requires_grad
from rasura.observations.gradient_norms import ORDERS, GradientNorms

REDUCED: dict[str, Callable] = {
    "1": lambda g: g.abs().sum(),
    "2": lambda g: g.square().sum(),
    "inf": lambda g: g.abs().max(),
}


def one_at_a_time(handle, samples, orders=ORDERS) -> np.ndarray:
    """(n, groups, orders): each sample's own forward and backward pass; squared for L2."""
    rows = []
    for i in range(len(samples)):
        handle.module.zero_grad(set_to_none=True)
        ids, _ = handle.batch([handle.encode(samples[i])])
        handle.module(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        rows.append([[float(REDUCED[o](p.grad)) for o in orders] for p in handle.module.parameters()])
    handle.module.zero_grad(set_to_none=True)
    return np.array(rows)


def batched(handle, samples, orders) -> np.ndarray:
    data = GradientNorms(orders).measure(handle, samples)
    columns = [np.stack(list(data.of_parameters(o))).astype(np.float64) for o in orders]
    return np.stack([c**2 if o == "2" else c for o, c in zip(orders, columns, strict=True)], axis=2)


def training_step(handle, samples) -> None:
    (-handle.score(samples).token_mean()).backward()
    handle.module.zero_grad(set_to_none=True)


def bare_pass(handle, samples) -> None:
    """Forward, and backward down to the embeddings, without a gradient of any weight."""
    with requires_grad(handle.module, False):
        hook = handle.base.get_input_embeddings().register_forward_hook(lambda _m, _i, out: out.requires_grad_())
        (-handle.score(samples).token_mean()).backward()
        hook.remove()


def memory(what: str, handle, samples) -> None:
    weights = 4 * handle.parameters / 2**20
    step = weights + peak(lambda: training_step(handle, samples))
    print(f"memory, {what} (peak resident MB, weights of {weights:.0f} included)")
    print(f"  training step    {step:.0f}")
    for name, orders in (("L2", ("2",)), ("three orders", ORDERS)):
        own = weights + peak(lambda orders=orders: GradientNorms(orders).measure(handle, samples))
        limit(f"{name}, {own:.0f}", own / step, 1.3, "of a training step", digits=2)


def times(what: str, handle, samples, repeats: int, asks: tuple[tuple[str, ...], ...]) -> None:
    for orders in asks:
        name, floor = ("L2", 5.0) if orders == ("2",) else ("L1, L2, Linf", 1.0)
        a, b = batched(handle, samples, orders), one_at_a_time(handle, samples, orders)
        assert np.allclose(a, b, rtol=1e-3, atol=1e-6 * b.max()), "two ways, one set of numbers"
        compare(
            f"{name} of gradients, {what}",
            {
                "batched": lambda orders=orders: GradientNorms(orders).measure(handle, samples),
                "one at a time": lambda orders=orders: one_at_a_time(handle, samples, orders),
            },
            floor=floor,
            repeats=repeats,
        )
    compare(
        f"what the pass itself costs, {what}",
        {
            "bare pass": lambda: bare_pass(handle, samples),
            "L2, batched": lambda: GradientNorms(("2",)).measure(handle, samples),
        },
        floor=1.0,
        repeats=repeats,
    )


if __name__ == "__main__":
    small, short = model(), texts(64)
    large, long = pythia(short)
    for what, handle, samples, repeats, asks in (
        ("hidden 128, 64 texts", small, short, 7, (("2",), ORDERS)),
        ("hidden 512, 4 texts", large, long.take(range(4)), 3, (("2",),)),
    ):
        memory(what, handle, samples)
        times(what, handle, samples, repeats, asks)
