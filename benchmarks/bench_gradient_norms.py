"""Per-sample gradient norms: one batched backward against one backward a sample, the obvious way.

    python benchmarks/bench_gradient_norms.py

Prints a table of ratios, both ways measured side by side in each repeat. Floor: 3x.
"""

from __future__ import annotations

import numpy as np
from _side_by_side import compare, model, texts

from rasura.observations.gradient_norms import GradientNorms


def one_at_a_time(handle, samples) -> np.ndarray:
    """L1 norm of each sample's gradient, one backward each; the other two orders are computed as well."""
    norms = []
    for i in range(len(samples)):
        handle.module.zero_grad(set_to_none=True)
        (-handle.score(samples.take([i])).token_mean()).backward()
        gradients = [p.grad for p in handle.module.parameters() if p.grad is not None]
        norms.append(sum(float(g.abs().sum()) for g in gradients))
        sum(float(g.square().sum()) for g in gradients), max(float(g.abs().max()) for g in gradients)
    handle.module.zero_grad(set_to_none=True)
    return np.array(norms)


if __name__ == "__main__":
    handle, samples = model(), texts(64)
    batched = GradientNorms().measure(handle, samples).of_parameters("1").sum()  # L1 norms add up
    assert np.allclose(batched, one_at_a_time(handle, samples), rtol=1e-4)
    compare(
        "gradient norms of 64 texts",
        {
            "batched": lambda: GradientNorms().measure(handle, samples),
            "one at a time": lambda: one_at_a_time(handle, samples),
        },
        floor=3.0,
    )
