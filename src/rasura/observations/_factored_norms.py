"""The size of a sum of outer products, without forming the sum.

The gradient of a matrix for sample i is G_i = sum_t l_it r_it^T over the positions t of the sample. Its squared Frobenius norm
needs only the products of positions with positions:

    |G_i|^2 = sum_ts (l_it . l_is) (r_it . r_is)             T^2 (rows + columns) products instead of T rows columns

and two uses A and B of one matrix join as |A + B|^2 = |A|^2 + |B|^2 + 2 <A, B>, with <A, B> a sum of the same kind. A left
factor may be a token id that stands for a unit vector, as in an embedding: the product of two is whether they are the
same token. (The first formula for linear layers: Goodfellow, "Efficient per-example gradient computations", 2015; for
sequences: Li, Tramèr, Liang and Hashimoto, "Large language models can be strong differentially private learners", 2022.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Factors:
    """One use of a matrix: sample i's gradient is sum_t left_it right_it^T."""

    left: Tensor  # (b, T, rows), or (b, T) int64: places of the ones in unit vectors
    right: Tensor  # (b, T, columns)

    @property
    def positions(self) -> int:
        return self.right.shape[1]

    def rows(self, rows: slice) -> Factors:
        """Some of the samples, in float32 at least."""
        left, right = self.left[rows], self.right[rows]
        return Factors(_at_least_float(left), _at_least_float(right))


def _at_least_float(x: Tensor) -> Tensor:
    return x.float() if x.is_floating_point() and x.dtype != torch.float64 else x


def pays(parts: Sequence[Factors], rows: int, columns: int) -> bool:
    """Whether positions are few enough that ``squared`` multiplies less than forming the gradient would."""
    return sum(part.positions for part in parts) * (rows + columns) <= rows * columns


def squared(parts: Sequence[Factors]) -> Tensor:
    """|G_i|^2 of the parts' sum: (b,). Rounding is relative to sum_t |l_it|^2 |r_it|^2; never below 0.

    Positions (1, 0) x 3 and (0, 2) x 2: G = [3, 4] as a column, of squared norm 25.

    >>> left = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    >>> squared([Factors(left, torch.tensor([[[3.0], [2.0]]]))]).tolist()
    [25.0]

    The same from token ids, with the second row's 4 in two uses of the matrix:

    >>> ids, right = torch.tensor([[0, 1]]), torch.tensor([[[3.0], [1.0]]])
    >>> squared([Factors(ids, right), Factors(torch.tensor([[1]]), torch.tensor([[[3.0]]]))]).tolist()
    [25.0]
    """
    total = torch.zeros(len(parts[0].right), dtype=parts[0].right.dtype, device=parts[0].right.device)
    for i, part in enumerate(parts):
        total = total + inner(part, part)
        for other in parts[i + 1 :]:
            total = total + 2 * inner(part, other)
    return total.clamp(min=0)


def inner(a: Factors, b: Factors) -> Tensor:
    """<A_i, B_i>, the sum of products entry by entry: (b,)."""
    return (_products(a.left, b.left) * (a.right @ b.right.transpose(1, 2))).sum((1, 2))


def _products(a: Tensor, b: Tensor) -> Tensor:
    """a_it . b_is: (b, T, S)."""
    if a.is_floating_point() and b.is_floating_point():
        return a @ b.transpose(1, 2)
    if a.is_floating_point():
        return a.gather(2, b[:, None, :].expand(-1, a.shape[1], -1))
    if b.is_floating_point():
        return _products(b, a).transpose(1, 2)
    return a[:, :, None] == b[:, None, :]
