"""Closed-form edits: one shared text map against a system and an inverse in every layer, as the public code does it.

    python benchmarks/bench_edits.py

Random matrices of Stable Diffusion 1's shape: 32 key and value layers (10 of 320, 10 of 640, 12 of 1280 rows), d = 768,
77 positions, float32 weights on both sides. Floors: 10x for UCE with 10 concepts in one pass, 90x for RECE, one concept,
77 rows, 3 rounds. The slow way is the authors' loop: sums of outer products and one float32 inverse a layer, the values
of every layer worked out anew inside each layer's turn (RECE) or once (UCE). RECE's slow way takes minutes and is run
once; it is printed as well without the values worked out again, to show what the inverses and outer products alone cost.
That both ways give the same weights is asserted in float64; in float32 the slow way's inverses lose most digits here.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from _side_by_side import compare, ratio

from rasura.erasers.edits.rece import rounds
from rasura.models.text_map import TextMap, gram_of

D, POSITIONS, WIDTHS = 768, 77, [320] * 10 + [640] * 10 + [1280] * 12
ROUNDS, REPEATS = 3, 5
Layers = list[torch.Tensor]


def random_layers() -> Layers:
    return [torch.randn(o, D) / D**0.5 for o in WIDTHS]


def text(rows: int) -> torch.Tensor:
    """Positions alike, as a text encoder's are."""
    return torch.randn(D) + 0.5 * torch.randn(rows, D)


def uce_shared(layers: Layers, source: torch.Tensor, target: torch.Tensor) -> Layers:
    t = TextMap.of_rows(source, target, 1.0, 0.5)
    return [t.of_weight(w) for w in layers]


def uce_by_layer(layers: Layers, source: torch.Tensor, target: torch.Tensor) -> Layers:
    """Sums of outer products and an inverse a layer."""
    values, edited = [[w @ g[:, None] for w in layers] for g in target], []
    for i, w in enumerate(layers):
        left, right = 0.5 * w, 0.5 * torch.eye(D)
        for c, v in zip(source, values, strict=True):
            left = left + v[i] @ c[None]
            right = right + c[:, None] @ c[None]
        edited.append(left @ torch.inverse(right))
    return edited


def rece_shared(layers: Layers, concept: torch.Tensor, guide: torch.Tensor, empty: torch.Tensor) -> Layers:
    """Rounds in d x d space, the weights touched once; the Gram matrix of the layers is counted in."""
    t = TextMap.of_rows(concept, guide, 1.0, 0.5)

    def edit(found: torch.Tensor) -> TextMap:
        return TextMap.of_rows(found, guide, 1.0, 0.1, kept=empty, kept_scale=0.1)

    t, _ = rounds(t, gram_of(layers), concept, 0.1, ROUNDS, edit)
    return [t.of_weight(w) for w in layers]


def rece_by_layer(
    layers: Layers, concept: torch.Tensor, guide: torch.Tensor, empty: torch.Tensor, again: bool
) -> Layers:
    """The same rounds, every layer by itself; ``again``: all layers' values inside each layer's turn."""
    current = edited_by_layer(layers, [(1.0, concept, guide)], 0.5, again)
    for _ in range(ROUNDS):
        seen, said = 0.1 * eye(layers), 0.0 * eye(layers)
        for w, w0 in zip(current, layers, strict=True):
            seen, said = seen + w.T @ w, said + w.T @ w0
        found = concept @ (torch.inverse(seen) @ said).T
        current = edited_by_layer(current, [(1.0, found, guide), (0.1, empty, empty)], 0.1, again)
    return current


def edited_by_layer(layers: Layers, terms: list, ridge: float, again: bool) -> Layers:
    """W' of every layer from outer products a position."""
    edited: Layers = []
    for i, w in enumerate(layers):
        left, right = ridge * w, ridge * eye(layers)
        for scale, source, target in terms:
            values = [target @ other.T for other in layers] if again else {i: target @ w.T}
            left = left + scale * (values[i][:, :, None] @ source[:, None, :]).sum(0)
            right = right + scale * (source[:, :, None] @ source[:, None, :]).sum(0)
        edited.append(left @ torch.inverse(right))
    return edited


def eye(layers: Layers) -> torch.Tensor:
    return torch.eye(D, dtype=layers[0].dtype)


def seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def rece() -> None:
    """Fast runs before and after the slow one, in one process; the ratio to their median."""
    layers, concept, guide, empty = random_layers(), text(POSITIONS), text(POSITIONS), text(POSITIONS)
    args = (layers, concept, guide, empty)
    few = [part.double() for part in (layers[0], layers[10], layers[20])]
    exact = [part.double() for part in (concept, guide, empty)]
    pairs = zip(rece_shared(few, *exact), rece_by_layer(few, *exact, again=False), strict=True)
    assert all(float((a - b).norm() / b.norm()) < 1e-6 for a, b in pairs), "in float64 the two ways are one"
    ours, theirs = rece_shared(*args), []
    fast = [seconds(lambda: rece_shared(*args)) for _ in range(REPEATS)]
    slow = seconds(lambda: theirs.extend(rece_by_layer(*args, again=True)))
    fast += [seconds(lambda: rece_shared(*args)) for _ in range(REPEATS)]
    lean = seconds(lambda: rece_by_layer(*args, again=False))
    off = max(float((a - b).norm() / b.norm()) for a, b in zip(ours, theirs, strict=True))
    median = sorted(fast)[len(fast) // 2]
    print(
        f"RECE, one concept, {POSITIONS} rows, {ROUNDS} rounds (one thread, CPU seconds; float32 inverses put the slow way {off:.0e} off)"
    )
    print(f"  shared map       median {median:.3f}  range {min(fast):.3f} to {max(fast):.3f} ({len(fast)} repeats)")
    print(f"  layer by layer   {slow:.1f}; without working values out again {lean:.1f} (once each)")
    ratio([slow / f for f in fast], floor=90.0)
    print(f"  without working values out again {lean / median:.1f}x")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    weights, source, target = random_layers(), text(10), text(10)
    pairs = zip(uce_shared(weights, source, target), uce_by_layer(weights, source, target), strict=True)
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in pairs)
    compare(
        "UCE, 10 concepts, one row each, 32 layers",
        {
            "shared map": lambda: uce_shared(weights, source, target),
            "layer by layer": lambda: uce_by_layer(weights, source, target),
        },
        floor=10.0,
    )
    rece()
