"""Everything a single forward pass says about the tokens of a text.

For scored token t of a text, with p = p(. | x_<t) the model's distribution over the vocabulary V:

    log_probability_t = log p(x_t)
    mean_t            = sum_v p_v log p_v               (minus the entropy)
    deviation_t       = sqrt(sum_v p_v (log p_v - mean_t)^2)
    rank_t            = number of tokens v placed before x_t by probability (ties: smaller id first)

so that hit_t = [rank_t = 0] is "greedy decoding would say x_t here", and loss, perplexity, zlib, Min-K%, Min-K%++,
rank signals, verbatim extraction at any prefix length, extraction strength and the probability of sampling the text
are all read off without another pass. All in float32, natural logarithms.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.types import Ragged, Samples

UNDERFLOW = -1e4  # exp of it is 0 in float32, and its square is not yet infinite


@dataclass(frozen=True)
class TokenData:
    """One row a sample, one entry a scored token."""

    log_probability: Ragged  # nats, float32
    mean: Ragged  # nats, float32
    deviation: Ragged  # nats, float32
    rank: Ragged  # int32, 0 = most likely
    cut: np.ndarray  # (n,) int64: index among the scored tokens where the secret begins; = length when none is marked
    text_bytes: np.ndarray  # (n,) int64: UTF-8 bytes of the scored text
    zlib_bytes: np.ndarray  # (n,) int64: the same, compressed
    reason: np.ndarray  # (n,) str: why a sample could not be scored, empty when it was

    @property
    def tokens(self) -> np.ndarray:
        """(n,) number of scored tokens."""
        return self.log_probability.lengths

    @property
    def loss(self) -> np.ndarray:
        """(n,) mean negative log-probability in nats a token; NaN where nothing was scored."""
        return -self.log_probability.mean()


@dataclass(frozen=True)
class TokenStatistics:
    """Log-probability, vocabulary mean and deviation, and rank of every scored token, from one forward pass."""

    version: ClassVar[int] = 1
    Data: ClassVar[type] = TokenData

    def measure(self, model: Any, batch: Samples) -> TokenData:
        """One forward pass over a batch. A sample whose answer is not finite is emptied and says why."""
        import torch

        encoded = [model.encode(sample) for sample in batch]
        if hasattr(model, "scored_tokens"):  # a server that says log-probability and rank only
            row, log_p, rank = model.scored_tokens(encoded)
            unknown = np.full(len(row), np.nan, dtype=np.float32)
            return _collect(encoded, [row, log_p, unknown, unknown, rank])
        parts: list[tuple[np.ndarray, ...]] = []
        with torch.inference_mode():
            for row, target, logits in model.scored_logits(encoded):
                parts.append((row.cpu().numpy(), *(t.cpu().numpy() for t in statistics(logits, target))))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 5
        return _collect(encoded, columns)

    def blank(self, reason: str, n: int) -> TokenData:
        """Rows that could not be measured."""
        empty = [Ragged.of([[]] * n, dtype) for dtype in (np.float32, np.float32, np.float32, np.int32)]
        zeros = np.zeros(n, dtype=np.int64)
        return TokenData(*empty, zeros, zeros, zeros, np.array([reason] * n, dtype=object))


def statistics(logits: Any, target: Any) -> tuple[Any, Any, Any, Any]:
    """(log_probability, mean, deviation, rank) of each row: logits (N, V) float32, target (N,).

    >>> import torch
    >>> logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    >>> [round(float(x), 4) for x in statistics(logits, torch.tensor([2]))]
    [-1.3863, -1.0397, 0.3466, 2.0]
    """
    import torch

    logits = logits.float()
    own = logits.gather(1, target[:, None])
    normaliser = torch.logsumexp(logits, dim=-1, keepdim=True)
    log_p = (logits - normaliser).clamp_(min=UNDERFLOW)  # p is 0 there: 0 log 0 = 0, also where logits are -inf
    p = log_p.exp()
    mean = torch.linalg.vecdot(p, log_p)
    variance = torch.linalg.vecdot(p, log_p.sub_(mean[:, None]).square_())
    return (own - normaliser).squeeze(1), mean, variance.clamp_(min=0).sqrt_(), _rank(logits, own, target)


def _rank(logits: Any, own: Any, target: Any) -> Any:
    """Tokens placed before the target; equal ones come in the order of their ids."""
    import torch

    rank = (logits > own).sum(-1)
    equal = logits == own
    for row in torch.nonzero(equal.sum(-1) > 1).flatten().tolist():
        rank[row] += equal[row, : int(target[row])].sum()
    return rank.to(torch.int32)


def _collect(encoded: list[Any], columns: list[np.ndarray]) -> TokenData:
    row, log_p, mean, deviation, rank = columns
    rows: list[tuple[np.ndarray, ...]] = []
    reasons = []
    for i, e in enumerate(encoded):
        mine = row == i
        good = e.scored > 0 and bool(np.isfinite(log_p[mine]).all())
        reasons.append("" if good else "no token to score" if e.scored == 0 else "the model's answer is not finite")
        rows.append(tuple(c[mine] if good else c[:0] for c in (log_p, mean, deviation, rank)))
    texts = [e.scored_text.encode("utf-8", "surrogatepass") for e in encoded]
    dtypes = (np.float32, np.float32, np.float32, np.int32)
    return TokenData(
        *(Ragged.of([r[k] for r in rows], dtype) for k, dtype in enumerate(dtypes)),
        cut=np.array([min(e.cut, len(e.ids)) - e.first for e in encoded], dtype=np.int64).clip(min=0),
        text_bytes=np.array([len(t) for t in texts], dtype=np.int64),
        zlib_bytes=np.array([len(zlib.compress(t)) for t in texts], dtype=np.int64),
        reason=np.array(reasons, dtype=object),
    )
