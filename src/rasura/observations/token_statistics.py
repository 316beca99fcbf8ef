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

import threading
import zlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.types import Ragged, Samples

BLOCK = 1 << 18  # logits worked on at once on a CPU: with their scratch space, what its cache holds
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

        encoded = model.encode_all(batch)
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
    """(log_probability, mean, deviation, rank) of each row: logits (N, V), any float, target (N,).

    Rows are worked on in blocks that a CPU's cache holds, each entry read as few times as the formulas allow. Numbers
    alone come back, without a way for gradients.

    >>> import torch
    >>> logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    >>> [round(float(x), 4) for x in statistics(logits, torch.tensor([2]))]
    [-1.3863, -1.0397, 0.3466, 2.0]
    """
    import torch

    logits = logits.detach()
    rows = max(1, BLOCK // logits.shape[1]) if logits.device.type == "cpu" else max(1, len(logits))
    blocks = [_block(logits[at : at + rows].float(), target[at : at + rows]) for at in range(0, len(logits), rows)]
    blocks = blocks or [_block(logits.float(), target)]
    return blocks[0] if len(blocks) == 1 else tuple(torch.cat(column) for column in zip(*blocks, strict=True))  # type: ignore[return-value]


def _block(logits: Any, target: Any) -> tuple[Any, Any, Any, Any]:
    """The softmax tells the normaliser too: log Z = max_v logit_v - log max_v p_v, and max p >= 1/V is never rounded off."""
    import torch

    p, log_p, product = _scratch.like(logits)
    own = logits.gather(1, target[:, None])
    torch.softmax(logits, dim=-1, out=p)
    normaliser = logits.amax(-1, keepdim=True) - p.amax(-1, keepdim=True).log()
    torch.sub(logits, normaliser, out=log_p).clamp_(min=UNDERFLOW)  # p is 0 there: 0 log 0 = 0, also for logits of -inf
    mean = torch.mul(p, log_p, out=product).sum(-1)
    log_p.sub_(mean[:, None])
    variance = torch.mul(p.mul_(log_p), log_p, out=product).sum(-1)
    return (own - normaliser).squeeze(1), mean, variance.clamp_(min=0).sqrt_(), _rank(logits, own, target, p)


def _rank(logits: Any, own: Any, target: Any, scratch: Any) -> Any:
    """Tokens placed before the target; equal ones come in the order of their ids. ``scratch``: as large as the logits.

    Comparisons are written as floats: summing 0.0 and 1.0 is vectorised where summing booleans is not, and exact
    below 2^24 entries.
    """
    import torch

    rank = torch.gt(logits, own, out=scratch).sum(-1).to(torch.int32)
    equal = torch.eq(logits, own, out=scratch).sum(-1)
    for row in torch.nonzero(equal > 1).flatten().tolist():
        rank[row] += int((logits[row, : int(target[row])] == own[row]).sum())
    return rank


class _Scratch(threading.local):
    """Memory that block after block is worked on in: on a CPU, getting fresh memory takes longer than the work."""

    kept: Any = None  # (3, entries) float32

    def like(self, logits: Any) -> Any:
        """Three tensors of the shape of ``logits``, their contents undefined, good until the next call."""
        import torch

        if logits.device.type != "cpu":
            return [torch.empty_like(logits) for _ in range(3)]
        if self.kept is None or self.kept.shape[1] < logits.numel():
            with torch.inference_mode(False):  # or it could not be written to outside that mode
                self.kept = torch.empty(3, max(BLOCK, logits.numel()))
        return [row[: logits.numel()].view(logits.shape) for row in self.kept]


_scratch = _Scratch()


def _collect(encoded: list[Any], columns: list[np.ndarray]) -> TokenData:
    """Flat columns over all scored tokens, sample after sample, as one row a sample."""
    row, log_p, mean, deviation, rank = columns
    scored = np.bincount(row.astype(np.int64), minlength=len(encoded))
    finite = np.ones(len(encoded), dtype=bool)
    finite[row[~np.isfinite(log_p)].astype(np.int64)] = False
    offsets = np.concatenate([[0], np.cumsum(np.where(finite, scored, 0))]).astype(np.int64)
    kept = finite[row.astype(np.int64)] if len(row) else np.zeros(0, dtype=bool)
    dtypes = (np.float32, np.float32, np.float32, np.int32)
    ragged = [
        Ragged((c if kept.all() else c[kept]).astype(dtype), offsets)
        for c, dtype in zip((log_p, mean, deviation, rank), dtypes, strict=True)
    ]
    reasons = np.array(["" if good else "the model's answer is not finite" for good in finite], dtype=object)
    reasons[[e.scored == 0 for e in encoded]] = "no token to score"
    texts = [e.scored_text.encode("utf-8", "surrogatepass") for e in encoded]
    return TokenData(
        *ragged,
        cut=np.array([min(e.cut, len(e.ids)) - e.first for e in encoded], dtype=np.int64).clip(min=0),
        text_bytes=np.array([len(t) for t in texts], dtype=np.int64),
        zlib_bytes=np.array([len(zlib.compress(t)) for t in texts], dtype=np.int64),
        reason=reasons,
    )
