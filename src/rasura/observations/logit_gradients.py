"""The gradient of the output matrix, had from the model's logits alone: no weights, no backward pass.

All logits of a model lie in the image of its output matrix W (V, d). From the logits of many positions, M (V, N), a thin
singular value decomposition M = U S V^T gives the image: singular values drop to rounding after the first d. Then

    W^ = U_d S_d / sqrt(N)      W but for an invertible (d, d) matrix
    H^ = the rows h with W^ h closest to each logit vector of the text (T, d); of unit size over the N positions
    G  = ((p - onehot)/T)^T H^      (V, d): gradient of the mean token loss at W^

What is kept of G: its L1, L2 and Linf norm, and a projection to ``k`` numbers on both sides (``gradient_projections``).
The prompts are random tokens drawn from ``seed``, so the image is the same for every text.

Source: Carlini and others, "Stealing part of a production language model", 2024 (the image from logits); Wang, Wang, Li
and Neel, "Pandora's White-Box", 2024 (its use for membership).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ragged, Samples
from ..models.causal_lm import Encoded
from .gradient_projections import TwoSided

if TYPE_CHECKING:
    import torch

LENGTH = 16  # tokens a prompt; every position is a query
DROP = 100.0  # how far singular values must fall at once to show where the image ends
_IMAGES: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()  # one decomposition a model and setting


@dataclass(frozen=True)
class LogitGradientData:
    """One row a sample."""

    norms: Ragged  # float32: L1, L2, Linf of G; empty where nothing was scored
    projected: Ragged  # float32: k entries; empty where nothing was scored
    tokens: np.ndarray  # (n,) int64: scored tokens
    reason: np.ndarray  # (n,) str: why a sample could not be scored, empty when it was

    def matrix(self) -> np.ndarray:
        """(n, 3 + k) float64; NaN where nothing was scored."""
        width = int(self.norms.lengths.max(initial=0)) + int(self.projected.lengths.max(initial=0))
        full = np.full((len(self.norms), width), np.nan)
        for i in np.flatnonzero(self.norms.lengths):
            full[i] = np.concatenate([self.norms[i], self.projected[i]])
        return full


@dataclass(frozen=True)
class LogitGradients:
    """Norms and ``k`` projections of the last layer's gradient from logits alone, after ``queries`` logit vectors.

    ``dimension``: hidden size of the model; 0 reads it off the singular values. Raises BadInput when ``queries`` are too
    few to see it, and for ``k`` below 1.
    """

    queries: int = 2048
    k: int = 64
    dimension: int = 0
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = LogitGradientData

    def __post_init__(self) -> None:
        if self.queries < LENGTH or self.k < 1 or self.dimension < 0:
            raise BadInput(
                f"logit gradients: queries at least {LENGTH}, k at least 1, dimension at least 0; "
                f"got {self.queries}, {self.k}, {self.dimension}"
            )

    def measure(self, model: Any, batch: Samples) -> LogitGradientData:
        """One forward pass over a batch."""
        import torch

        encoded = [model.encode(sample) for sample in batch]
        recover, project = self._image(model), TwoSided(self.k, self.seed)
        norms: list[Any] = [[] for _ in encoded]
        projected: list[Any] = [[] for _ in encoded]
        with torch.inference_mode():
            for i, logits, target in _texts(model, encoded):
                gradient = gradient_of(logits, target, logits @ recover)
                if bool(torch.isfinite(gradient).all()):
                    size = gradient.abs()
                    norms[i] = [float(size.sum()), float(size.square().sum().sqrt()), float(size.max())]
                    projected[i] = project("logits", gradient[None])[0].cpu().numpy()
        tokens = np.array([e.scored for e in encoded], dtype=np.int64)
        reason = [
            "" if row else "no token to score" if not n else "the model's answer is not finite"
            for row, n in zip(norms, tokens, strict=True)
        ]
        return LogitGradientData(
            Ragged.of(norms, np.float32), Ragged.of(projected, np.float32), tokens, np.array(reason, dtype=object)
        )

    def blank(self, reason: str, n: int) -> LogitGradientData:
        """Rows that could not be measured."""
        empty = Ragged.of([[]] * n, np.float32)
        return LogitGradientData(empty, empty, np.zeros(n, dtype=np.int64), np.array([reason] * n, dtype=object))

    def _image(self, model: Any) -> torch.Tensor:
        """(V, d): what turns logits into hidden states; decomposed once a model."""
        kept = _IMAGES.setdefault(model, {})
        key = (model.fingerprint, self)
        if key not in kept:
            kept[key] = hidden_from_logits(self._collected(model), self.dimension)
        return kept[key]

    def _collected(self, model: Any) -> torch.Tensor:
        """(N, V) float32 logits of random prompts, at every position."""
        import torch

        rng, highest = np.random.default_rng(self.seed), model.vocabulary_size
        rows = -(-self.queries // LENGTH)
        parts = []
        with torch.inference_mode():
            for at in range(0, rows, 16):
                ids = rng.integers(0, highest, (min(16, rows - at), LENGTH))
                hidden = model.last_hidden([Encoded(row, 1, LENGTH, "") for row in ids])
                parts.append(model.logits(hidden).flatten(0, 1))
        return torch.cat(parts)[: self.queries]


def hidden_from_logits(logits: torch.Tensor, dimension: int = 0) -> torch.Tensor:
    """(N, V) logits to the (V, d) matrix R for which logits @ R are hidden states of unit size, up to a rotation.

    Raises BadInput when no ``dimension`` is given and the singular values show none.
    """
    import torch

    m = logits.double()
    wide = m.shape[0] < m.shape[1]
    values, vectors = torch.linalg.eigh(m @ m.T if wide else m.T @ m)
    values, vectors = values.flip(0).clamp(min=0).sqrt(), vectors.flip(1)
    d = dimension or _drop(values.cpu().numpy())
    basis = m.T @ vectors[:, :d] / values[:d] if wide else vectors[:, :d]  # left singular vectors in the vocabulary
    strongest = basis.gather(0, basis.abs().argmax(0, keepdim=True))
    basis = basis * strongest.sign()  # a decomposition's signs are free; these are the same everywhere
    return (basis / values[:d] * len(m) ** 0.5).float()


def _drop(values: np.ndarray) -> int:
    """Where singular values fall furthest at once.

    >>> _drop(np.array([9.0, 5.0, 2.0, 1e-6, 1e-7, 0.0]))
    3
    """
    floor = np.maximum(values, values[0] * 1e-8)  # below it all is rounding
    ratios = floor[:-1] / floor[1:]
    if not len(ratios) or ratios.max() < DROP:
        raise BadInput(
            f"logit gradients: {len(values)} singular values show no drop by {DROP:g}; ask more queries than the model is "
            "wide, or say its width (dimension)"
        )
    return int(np.argmax(ratios)) + 1


def gradient_of(logits: torch.Tensor, target: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """(V, d) gradient of the mean cross-entropy at the output matrix: logits (T, V), target (T,), hidden (T, d).

    Two equal logits, hidden state 2, target 0: (1/2 - 1) 2 = -1 for token 0 and 1 for the other.

    >>> import torch
    >>> gradient_of(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([[2.0]])).tolist()
    [[-1.0], [1.0]]
    """
    import torch

    p = torch.softmax(logits, dim=-1)
    p.scatter_add_(1, target[:, None], p.new_full((len(target), 1), -1.0))
    return (p / len(target)).T @ hidden


def _texts(model: Any, encoded: list[Encoded]) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """(row, logits (T, V), target (T,)) of each text with scored tokens."""
    import torch

    kept = [i for i, e in enumerate(encoded) if e.scored]
    if not kept:
        return
    hidden = model.last_hidden([encoded[i] for i in kept])
    for at, i in enumerate(kept):
        e = encoded[i]
        target = torch.from_numpy(e.ids[e.first :]).to(hidden.device)
        yield i, model.logits(hidden[at, e.first - 1 : e.first - 1 + e.scored]), target
