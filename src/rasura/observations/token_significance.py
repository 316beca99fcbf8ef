"""Which words of a prompt pull: the gradient of the guidance magnitude at every word's embedding.

    s_j = mean over noises and steps of || d m / d c_j ||_2,        m = ||eps_theta(x, t, c) - eps_theta(x, t, nothing)||_2 / sqrt(D)

with c_j the text encoder's answer (after guards) at the j-th word token; start, end and padding tokens are not shown.

Source: Wen, Liu, Chen and Lyu, "Detecting, explaining, and mitigating memorization in diffusion models", ICLR 2024.
SDXL's pooled embedding has no positions and takes no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..core.types import Ragged, Samples
from ._guided import check_space, magnitude, walk
from .generated_images import NOT_FINITE, picture_seed
from .guidance_magnitude import NO_CAPTION


@dataclass(frozen=True)
class SignificanceData:
    """One row a sample, one entry a word token."""

    significance: Ragged  # float32
    words: np.ndarray  # (samples,) str: the word tokens, one a line
    reason: np.ndarray  # (samples,) str

    def pairs(self, i: int) -> list[tuple[str, float]]:
        """(word token, significance) of sample i, in the order of the prompt."""
        words = str(self.words[i]).split("\n")
        return list(zip(words, (float(s) for s in self.significance[i]), strict=False))


@dataclass(frozen=True)
class TokenSignificance:
    """Size of the gradient of the guidance magnitude with respect to each word token's embedding."""

    n: int = 4
    steps: int = 1
    total: int = 50
    guidance: float = 7.5
    space: Literal["noise", "output"] = "noise"
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = SignificanceData

    def __post_init__(self) -> None:
        check_space(self.space)

    @property
    def rows(self) -> int:
        return 4 * self.n  # activations are kept for the way back

    def measure(self, model: Any, batch: Samples) -> SignificanceData:
        """``steps`` forward and backward passes of 2n rows a sample."""
        import torch

        with torch.no_grad():
            embedded = model.embed(batch.texts).repeat(self.n)
        seeds = [picture_seed(s.text, self.seed, k) for s in batch for k in range(self.n)]
        total = torch.zeros(embedded.hidden.shape[:2])
        with torch.no_grad():
            for t, x, _, _ in walk(model, embedded, seeds, self.steps, self.total, self.guidance):
                total += self._gradient(model, x, t, embedded).cpu()
        found = (total / self.steps).reshape(len(batch), self.n, -1).mean(1).numpy()
        return self._collect(model, batch, found)

    def _gradient(self, model: Any, x: Any, t: int, embedded: Any) -> Any:
        """(B, L): the norm of the gradient at every position."""
        import torch

        with torch.enable_grad():
            hidden = embedded.hidden.detach().clone().requires_grad_()
            unconditional, conditional = model.both(x.detach(), t, embedded.with_hidden(hidden))
            size = magnitude(model, x, t, conditional - unconditional, self.space)
            (gradient,) = torch.autograd.grad(size.sum(), hidden)
        return gradient.float().norm(dim=-1)

    def _collect(self, model: Any, batch: Samples, found: np.ndarray) -> SignificanceData:
        rows, words, reasons = [], [], []
        for sample, row in zip(batch, found, strict=True):
            tokens = model.tokens(sample.text)
            mine = row[tokens.words.start : tokens.words.stop]
            good = len(mine) > 0 and bool(np.isfinite(mine).all())
            rows.append(mine if good else mine[:0])
            words.append("\n".join(tokens.pieces) if good else "")
            reasons.append("" if good else NO_CAPTION if not len(mine) else NOT_FINITE)
        texts = (np.array(words, dtype=object), np.array(reasons, dtype=object))
        return SignificanceData(Ragged.of(rows, np.float32), *texts)

    def blank(self, reason: str, n: int) -> SignificanceData:
        """Rows that could not be measured."""
        texts = (np.array([""] * n, dtype=object), np.array([reason] * n, dtype=object))
        return SignificanceData(Ragged.of([[]] * n, np.float32), *texts)


def explain(model: Any, samples: Samples, how: TokenSignificance | None = None) -> list[list[tuple[str, float]]]:
    """For each sample its word tokens with their significance, for a page to show which words cause a memory."""
    data = (how or TokenSignificance()).measure(model, samples)
    return [data.pairs(i) for i in range(len(samples))]
