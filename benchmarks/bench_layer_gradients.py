"""Gradient norms by layer and order, at the embeddings, and random projections: one batched pass against the obvious way.

    python benchmarks/bench_layer_gradients.py

The obvious way is one forward and one backward pass a sample, each gradient reduced whole. Both ways are measured side by
side in each repeat. Floor: 1x, never slower: forming each gradient for its L1 and
Linf norm is most of the work either way, and how far batching pays depends on the machine.
"""

from __future__ import annotations

import numpy as np
import torch
from _side_by_side import compare, model, texts

from rasura.observations.gradient_norms import GradientNorms, layers_of
from rasura.observations.gradient_projections import GradientProjections, TwoSided

PROJECTIONS = 16


def one_at_a_time(handle, samples, projection=None) -> tuple[np.ndarray, np.ndarray]:
    """(n, layers, 3) norms and (n, groups * k) projections, one backward pass a sample."""
    names = list(dict(handle.module.named_parameters()))
    layers = layers_of(names)
    norms, projected = [], []
    for i in range(len(samples)):
        handle.module.zero_grad(set_to_none=True)
        (-handle.score(samples.take([i])).token_mean()).backward()
        gradients = [p.grad for p in handle.module.parameters()]
        rows = torch.tensor([[float(v) for v in (g.abs().sum(), g.square().sum(), g.abs().max())] for g in gradients])
        own = [rows[[j for j, name in enumerate(layers) if name == layer]] for layer in dict.fromkeys(layers)]
        norms.append(torch.stack([torch.stack([r[:, 0].sum(), r[:, 1].sum().sqrt(), r[:, 2].max()]) for r in own]))
        if projection:
            projected.append(torch.cat([projection(n, g[None])[0] for n, g in zip(names, gradients, strict=True)]))
    handle.module.zero_grad(set_to_none=True)
    return torch.stack(norms).numpy(), torch.stack(projected).numpy() if projected else np.zeros(0)


if __name__ == "__main__":
    handle, samples = model(), texts(64)
    project = TwoSided(PROJECTIONS)
    batched = GradientProjections(PROJECTIONS).measure(handle, samples)
    norms, projected = one_at_a_time(handle, samples, project)
    assert np.allclose(batched.by_layer(), norms, rtol=1e-4)
    assert np.allclose(batched.projections_by_tensor(), projected, rtol=1e-3, atol=1e-5 * np.abs(projected).max())
    compare(
        "gradient norms by layer, 64 texts",
        {
            "batched": lambda: GradientNorms().measure(handle, samples).by_layer(),
            "one at a time": lambda: one_at_a_time(handle, samples),
        },
        floor=1.0,
    )
    compare(
        f"the same with {PROJECTIONS} projections a tensor",
        {
            "batched": lambda: GradientProjections(PROJECTIONS).measure(handle, samples),
            "one at a time": lambda: one_at_a_time(handle, samples, project),
        },
        floor=1.0,
    )
