"""How hard a text would pull at a model's weights, were it trained on once more.

For sample i with scored tokens x_1..x_n and mean token loss l_i = -(1/n) sum_t log p(x_t | x_<t):

    ||dl_i/dW||_p     for every parameter tensor W and p = 1, 2, infinity
    ||dl_i/dtheta||_p for all of them at once: the p-norm of the concatenation
    ||dl_i/dE(x)||_p  at the output of the embedding module, all positions

One forward and one backward pass for a whole batch; exact (``_per_sample_gradients``). L1 and Linf have to see every number
of every sample's gradient, L2 alone does not and costs little more than the two passes. The caller's model keeps its flags
and its gradients. Norms in float32; units are nats a token per unit of the weight or of the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput, NotYetSupported
from ..core.types import Ragged, Samples

ORDERS = ("1", "2", "inf")
CPU_TOKENS = 2048  # of a batch in one pass, padding included: what lies between two layers should fit a CPU's cache


@dataclass(frozen=True)
class GradientData:
    """One row a sample; the ragged columns have one entry a parameter tensor, ordered like ``named_parameters``.

    Columns of an order that was not asked for are empty; norms at the embedding are always all there.
    """

    l1: Ragged  # float32
    l2: Ragged  # float32
    linf: Ragged  # float32
    input_l1: np.ndarray  # (n,) float32; NaN where nothing was scored
    input_l2: np.ndarray  # (n,) float32
    input_linf: np.ndarray  # (n,) float32
    tokens: np.ndarray  # (n,) int64: scored tokens
    groups: np.ndarray  # (n,) str: names of the parameter tensors, one a line
    reason: np.ndarray  # (n,) str: why a sample could not be scored, empty when it was

    def of_parameters(self, order: str, group: str = "all") -> Ragged:
        """Norms of order "1", "2" or "inf", one entry a parameter tensor of ``group``; empty where nothing was scored.

        ``group``: "all", or the name of a parameter tensor or its last dotted parts. The p-norm of a row is the p-norm
        of the gradient of all these tensors concatenated. Raises BadInput when no tensor is called so, or when norms of
        this order were not measured.

        >>> rows = [Ragged.of([[3.0, 4.0]], np.float32)] * 3
        >>> data = GradientData(*rows, *[np.ones(1)] * 3, np.array([9]), np.array(["a.w\\nb.w"]), np.array([""]))
        >>> data.of_parameters("2")[0].tolist(), data.of_parameters("2", "b.w")[0].tolist()
        ([3.0, 4.0], [4.0])
        """
        norms = getattr(self, f"l{order}")
        if not norms.lengths[self.groups != ""].all():
            raise BadInput(
                f"gradient norms of order {order} were not measured: ask for GradientNorms(orders=('{order}',))"
            )
        names = [text.split("\n") for text in self.groups[self.groups != ""][:1]]
        if group == "all" or not names:
            return norms
        kept = _fitting(names[0], group)
        return Ragged.of([row[kept] if len(row) else row for row in norms], np.float32)

    def by_tensor(self) -> np.ndarray:
        """(n, groups, 3) float64: the three norms of every parameter tensor; NaN where nothing was scored.

        Raises BadInput when not all three orders were measured.
        """
        return np.stack([self._filled(norms) for norms in map(self.of_parameters, ORDERS)], axis=2)

    def by_layer(self) -> np.ndarray:
        """(n, layers, 3) float64: the norms of the gradient of each layer's parameters concatenated; see ``layers_of``.

        Two tensors of layer 0, of norms 3 and 4 in every order, make 7 (L1), 5 (L2) and 4 (Linf):

        >>> rows = [Ragged.of([[3.0, 4.0]], np.float32)] * 3
        >>> text = np.array(["m.layers.0.w\\nm.layers.0.b"])
        >>> GradientData(*rows, *[np.ones(1)] * 3, np.array([9]), text, np.array([""])).by_layer().tolist()
        [[[7.0, 5.0, 4.0]]]
        """
        names = [text.split("\n") for text in self.groups[self.groups != ""][:1]]
        norms, layers = self.by_tensor(), layers_of(names[0]) if names else []
        parts = [norms[:, [i for i, own in enumerate(layers) if own == layer]] for layer in dict.fromkeys(layers)]
        joined = [
            np.stack([p[..., 0].sum(1), np.sqrt((p[..., 1] ** 2).sum(1)), p[..., 2].max(1)], axis=1) for p in parts
        ]
        return np.stack(joined, axis=1) if joined else np.zeros((len(self.tokens), 0, 3))

    def _filled(self, rows: Ragged) -> np.ndarray:
        """Rows that are equally long or empty as (n, width) float64, the empty ones NaN."""
        full = np.full((len(rows), int(rows.lengths.max(initial=0))), np.nan)
        full[rows.lengths > 0] = rows.values.reshape(-1, full.shape[1]) if full.size else 0
        return full

    def at_embedding(self, order: str) -> np.ndarray:
        """(n,) float64: the norm of order "1", "2" or "inf" at the embedding's output; NaN where nothing was scored."""
        return getattr(self, f"input_l{order}").astype(np.float64)


def _fitting(names: list[str], group: str) -> np.ndarray:
    kept = np.array([name == group or name.endswith(f".{group}") for name in names])
    if not kept.any():
        raise BadInput(
            f"no parameter tensor is called {group!r}; there are for instance {', '.join(names[:3])}, {names[-1]}"
        )
    return kept


def layers_of(names: list[str]) -> list[str]:
    """The layer of each parameter tensor: the number in its dotted name, else what the name says before its last part.

    >>> layers_of(["wte.weight", "h.0.attn.weight", "h.1.mlp.bias", "ln_f.weight", "ln_f.bias"])
    ['wte', '0', '1', 'ln_f', 'ln_f']
    """
    numbers = [next((part for part in name.split(".") if part.isdigit()), None) for name in names]
    return [number or name.rpartition(".")[0] for name, number in zip(names, numbers, strict=True)]


@dataclass(frozen=True)
class GradientNorms:
    """Norms of each sample's gradient, by parameter tensor and at the input embeddings.

    ``orders``: all three, or ("2",), which is several times cheaper because no sample's gradient is formed. Raises
    BadInput for any other choice: L1 and Linf come from the same work.
    """

    orders: tuple[str, ...] = ORDERS

    version: ClassVar[int] = 1
    Data: ClassVar[type] = GradientData
    passes: ClassVar[tuple[int, int]] = (1, 1)

    def __post_init__(self) -> None:
        if self.orders not in (ORDERS, ("2",)):
            raise BadInput(f"gradient norms: orders are {ORDERS} or ('2',), got {self.orders}")

    def measure(self, model: Any, batch: Samples) -> GradientData:
        """One forward and one backward pass over a batch; one a sample where the architecture demands it.

        Raises NotYetSupported for a model with noise in force: the noise is gone by the time gradients flow back.
        """
        return measured(model, batch, orders=self.orders)[0]

    def blank(self, reason: str, n: int) -> GradientData:
        """Rows that could not be measured."""
        empty, nan = Ragged.of([[]] * n, np.float32), np.full(n, np.nan, dtype=np.float32)
        text = np.array([""] * n, dtype=object)
        return GradientData(
            empty, empty, empty, nan, nan, nan, np.zeros(n, dtype=np.int64), text, np.array([reason] * n, dtype=object)
        )


def measured(
    model: Any, batch: Samples, projection: Any = None, orders: tuple[str, ...] = ORDERS
) -> tuple[GradientData, np.ndarray]:
    """The norms, and (n, groups, k) what ``projection`` made of the same gradients (NaN where nothing was scored)."""
    from ._module_gradients import NotCovered
    from ._per_sample_gradients import Wanted, batched, floating, one_at_a_time

    if getattr(model, "_noise", ""):
        raise NotYetSupported("gradient norms of a model under weight noise")
    encoded = [model.encode(sample) for sample in batch]
    kept = [i for i, e in enumerate(encoded) if e.scored]
    names = list(floating(model.module))
    projected = np.full((len(encoded), len(names), projection.k if projection else 0), np.nan, dtype=np.float32)
    if not kept:
        return _collect(encoded, kept, np.zeros((0, len(names), 3)), np.zeros((0, 3)), names, orders), projected
    wanted, parts = Wanted(orders, projection), _parts(encoded, kept, model.device.type)
    try:
        found = [batched(model, [encoded[i] for i in part], wanted) for part in parts]
    except NotCovered:
        found = [one_at_a_time(model, batch.take(part), wanted) for part in parts]
    kept = [i for part in parts for i in part]
    parameters, inputs, projections = (
        np.concatenate([getattr(norms, name).numpy() for norms in found])
        for name in ("parameters", "inputs", "projections")
    )
    projected[kept] = projections
    return _collect(encoded, kept, parameters, inputs, names, orders), projected


def _parts(encoded: list[Any], kept: list[int], device: str) -> list[list[int]]:
    """The batch, on a CPU cut where texts get shorter and where its tokens no longer fit a cache."""
    from ..models._encoding import even_parts

    if device != "cpu":
        return [kept]
    parts, longest_first = [], sorted(kept, key=lambda i: -len(encoded[i].ids))
    for first, even in even_parts([encoded[i] for i in longest_first], cut=True):
        most, end = max(1, CPU_TOKENS // len(even[0].ids)), first + len(even)
        parts += [longest_first[at : min(at + most, end)] for at in range(first, end, most)]
    return parts


def _collect(
    encoded: list[Any],
    kept: list[int],
    parameters: np.ndarray,
    inputs: np.ndarray,
    names: list[str],
    orders: tuple[str, ...],
) -> GradientData:
    """Rows in the batch's order; what has no scored token or no finite gradient is empty and says why."""
    n, measured_ones = len(encoded), [ORDERS.index(order) for order in orders]
    rows, at_input = [np.zeros((0, 3))] * n, np.full((n, 3), np.nan, dtype=np.float32)
    reasons = np.array(["no token to score"] * n, dtype=object)
    for i, row, norm in zip(kept, parameters, inputs, strict=True):
        good = bool(np.isfinite(row[:, measured_ones]).all() and np.isfinite(norm).all())
        reasons[i] = "" if good else "the model's gradient is not finite"
        if good:
            rows[i], at_input[i] = row, norm
    return GradientData(
        *(
            Ragged.of([row[:, k] if order in orders else row[:0, k] for row in rows], np.float32)
            for k, order in enumerate(ORDERS)
        ),
        *(at_input[:, k] for k in range(3)),
        tokens=np.array([e.scored for e in encoded], dtype=np.int64),
        groups=np.array(["\n".join(names) if not reason else "" for reason in reasons], dtype=object),
        reason=reasons,
    )
