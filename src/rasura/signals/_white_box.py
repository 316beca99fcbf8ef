"""What white-box classifiers look at: gradients and hidden states of the model under audit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..core.types import Ask
from ..observations.gradient_norms import ORDERS, GradientData, GradientNorms
from ..observations.gradient_projections import GradientProjections, ProjectedData
from ..observations.hidden_states import HiddenData, HiddenStates

ROUNDING = 1e-6  # of the whole gradient's norm: float32 says nothing finer of a part


def asks(projections: int, activations: bool, layer: int, seed: int) -> Mapping[str, Ask]:
    """One backward pass, shared with every signal of gradient norms while no projections are wanted."""
    gradients = GradientProjections(projections, seed) if projections else GradientNorms()
    found = {"gradients": Ask(gradients)}
    return found | {"hidden": Ask(HiddenStates(layer))} if activations else found


def total_norms(by_tensor: np.ndarray) -> np.ndarray:
    """Norms of the whole gradient from those of its tensors: (n, groups, 3) to (n, 3).

    Tensors of norm 3 and 4 in all three orders: 7, 5 and 4.

    >>> total_norms(np.array([[[3.0, 3.0, 3.0], [4.0, 4.0, 4.0]]])).tolist()
    [[7.0, 5.0, 4.0]]
    """
    largest = by_tensor[..., 2].max(axis=1, initial=0.0)
    return np.stack([by_tensor[..., 0].sum(1), np.sqrt((by_tensor[..., 1] ** 2).sum(1)), largest], axis=1)


def without_rounding(norms: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Norms (n, groups, 3) with 0 for what is rounding beside the whole gradient's (n, 3), such as a key's bias.

    Left in, such noise is blown up to the size of every other feature once columns are standardised.

    >>> without_rounding(np.array([[[1e-8] * 3, [0.5] * 3]]), np.array([[1.0] * 3])).tolist()
    [[[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]]
    """
    return np.where(norms < ROUNDING * whole[:, None], 0.0, norms)


def features(gradients: GradientData, hidden: HiddenData | None, by: str, minimum: int) -> np.ndarray:
    """(n, 3 (groups + 2) and more) float64; a row is NaN with fewer than ``minimum`` scored tokens.

    Columns: L1, L2, Linf norm of each tensor's (``by`` = "tensor") or layer's gradient, of the whole, and at the
    embedding's output; then projections of the same gradients and mean hidden states, where they were asked for.
    """
    by_tensor = gradients.by_tensor()
    n, whole = len(by_tensor), total_norms(by_tensor)
    norms = without_rounding(by_tensor if by == "tensor" else gradients.by_layer(), whole)
    at_input = np.stack([gradients.at_embedding(order) for order in ORDERS], axis=1)
    columns = [norms.reshape(n, -1) if n else np.zeros((0, 0)), whole, at_input]
    if isinstance(gradients, ProjectedData):
        columns.append(gradients.projections_by_tensor() if by == "tensor" else gradients.projections_by_layer())
    if hidden is not None:
        columns.append(hidden.matrix())
    found = np.concatenate(columns, axis=1)
    found[gradients.tokens < minimum] = np.nan
    return found
