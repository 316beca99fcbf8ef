"""How likely a text is behind other texts: log-probabilities of its tokens alone, given what stands in front.

    log_probability_t = log p(x_t | P, x_<t)          nats, float32

for the same tokens t that are scored without P. P, the last m of the texts in ``shots`` joined, and the record x are
cut into tokens separately and their ids joined, so that x has the same tokens with and without P (a tokenizer may join
the end of one text and the beginning of the next). m is the largest number of shots that fits the model's context in
front of the record.

Special tokens that a tokenizer puts in front of every text stand in front of P alone: between P and x they would say that
another document begins, and P would be forgotten.

The keys and values of P are computed once a batch and shared by its records, where the architecture keeps any.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.types import Ragged, Samples
from ._engine import TOKEN_BUDGET

if TYPE_CHECKING:
    import torch

NOTHING_IN_FRONT = "no text to put in front"
NO_ROOM = "no room in the context for a text in front"
BLOCK = 512  # scored tokens whose logits are held at once


@dataclass(frozen=True)
class ConditionalData:
    """One row a sample, one entry a scored token."""

    log_probability: Ragged  # nats, float32
    shots: np.ndarray  # (n,) int64: texts that fitted in front
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
class ConditionalStatistics:
    """Log-probability of every scored token of a record behind the texts ``shots``."""

    shots: tuple[str, ...] = ()

    version: ClassVar[int] = 2
    Data: ClassVar[type] = ConditionalData
    passes: ClassVar[tuple[int, int]] = (1, 0)

    def measure(self, model: Any, batch: Samples) -> ConditionalData:
        """One forward pass over a batch, and one over the texts in front of it."""
        import torch

        encoded = [_without_front(model, model.encode(sample)) for sample in batch]
        fronts = self._fronts(model)
        fitting = [_most_that_fit(fronts, model.context - len(e.ids)) for e in encoded]
        rows: list[np.ndarray] = [np.zeros(0, np.float32)] * len(batch)
        with torch.inference_mode():
            for m in sorted(set(fitting) - {0}):
                mine = [i for i, k in enumerate(fitting) if k == m and encoded[i].scored]
                for i, row in zip(mine, _behind(model, fronts[m], [encoded[i] for i in mine]), strict=True):
                    rows[i] = row
        lacking = NO_ROOM if self.shots else NOTHING_IN_FRONT
        reasons = [_reason(e, m, row, lacking) for e, m, row in zip(encoded, fitting, rows, strict=True)]
        kept = [row[:0] if why else row for row, why in zip(rows, reasons, strict=True)]
        return ConditionalData(
            Ragged.of(kept, np.float32), np.array(fitting, dtype=np.int64), np.array(reasons, dtype=object)
        )

    def blank(self, reason: str, n: int) -> ConditionalData:
        """Rows that could not be measured."""
        none = np.zeros(n, dtype=np.int64)
        return ConditionalData(Ragged.of([[]] * n, np.float32), none, np.array([reason] * n, dtype=object))

    def _fronts(self, model: Any) -> list[np.ndarray]:
        """Ids of the last m texts joined, for m = 0, 1, ..., all of them."""
        joined = ["".join(self.shots[len(self.shots) - m :]) for m in range(len(self.shots) + 1)]
        ids = [model.tokenizer(text, verbose=False)["input_ids"] if text else [] for text in joined]
        return [np.array(row, dtype=np.int64) for row in ids]


def _without_front(model: Any, encoded: Any) -> Any:
    """The text without the special tokens in front of it; the same tokens are scored."""
    special, k = set(model.tokenizer.all_special_ids), 0
    while k < min(encoded.first, len(encoded.ids)) and int(encoded.ids[k]) in special:
        k += 1
    return replace(encoded, ids=encoded.ids[k:], first=encoded.first - k, cut=max(encoded.cut - k, 0))


def _most_that_fit(fronts: Sequence[np.ndarray], room: int) -> int:
    """The largest number of texts whose tokens fit the room; 0 when not even the last one does.

    >>> fronts = [np.zeros(0), np.zeros(5), np.zeros(9)]
    >>> [_most_that_fit(fronts, room) for room in (9, 8, 4)]
    [2, 1, 0]
    """
    return max(m for m, ids in enumerate(fronts) if m == 0 or 0 < len(ids) <= room)


def _reason(encoded: Any, shots: int, row: np.ndarray, lacking: str) -> str:
    if not encoded.scored:
        return "no token to score"
    if not shots:
        return lacking
    return "" if np.isfinite(row).all() else "the model's answer is not finite"


def _behind(model: Any, front: np.ndarray, encoded: Sequence[Any]) -> list[np.ndarray]:
    """Log-probabilities of the scored tokens of each text behind the same ids, whose last one its first is predicted from."""
    encoded = [replace(e, ids=np.concatenate([front[-1:], e.ids]), first=e.first + 1) for e in encoded]
    front = front[:-1]
    rows: dict[int, np.ndarray] = {}
    order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i].ids))
    cache = _memory(model, front) if encoded and len(front) else None
    while order:
        width = len(front) + len(encoded[order[0]].ids)
        chunk, order = order[: max(1, TOKEN_BUDGET // width)], order[max(1, TOKEN_BUDGET // width) :]
        part = [encoded[i] for i in chunk]
        read = _rows_without_memory(model, front, part) if cache is None else _rows(model, front, part, cache)
        rows.update(zip(chunk, read, strict=True))
    return [rows[i] for i in range(len(encoded))]


def _memory(model: Any, front: np.ndarray) -> Any:
    """Keys and values of the texts in front; None for an architecture that keeps none one can share."""
    import torch

    ids = torch.from_numpy(front)[None].to(model.device)
    out = model.base.base_model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True)
    cache = getattr(out, "past_key_values", None)
    return cache if hasattr(cache, "batch_repeat_interleave") and cache.get_seq_length() == len(front) else None


def _rows(model: Any, front: np.ndarray, encoded: Sequence[Any], cache: Any) -> Iterator[np.ndarray]:
    import torch

    ids, mask = model.batch(encoded)
    own = copy.deepcopy(cache)  # a pass adds to what it is given
    own.batch_repeat_interleave(len(encoded))
    seen = mask.new_ones(len(encoded), len(front))
    hidden = model.base.base_model(
        input_ids=ids, attention_mask=torch.cat([seen, mask], dim=1), past_key_values=own, use_cache=True
    ).last_hidden_state
    return _split(model, hidden, encoded)


def _rows_without_memory(model: Any, front: np.ndarray, encoded: Sequence[Any]) -> Iterator[np.ndarray]:
    """The obvious way: everything in front is read again for every text."""
    whole = [replace(e, ids=np.concatenate([front, e.ids]), first=e.first + len(front)) for e in encoded]
    return _split(model, model.last_hidden(whole), whole)


def _split(model: Any, hidden: torch.Tensor, encoded: Sequence[Any]) -> Iterator[np.ndarray]:
    """Each text's scored tokens, a block of logits at a time."""
    import torch

    for i, e in enumerate(encoded):
        target = torch.from_numpy(e.ids[e.first :]).to(hidden.device)
        parts = []
        for at in range(0, e.scored, BLOCK):
            block = hidden[i, e.first - 1 + at : e.first - 1 + min(at + BLOCK, e.scored)]
            log_p = torch.log_softmax(model.logits(block), dim=-1)
            parts.append(log_p.gather(1, target[at : at + BLOCK, None]).squeeze(1).cpu().numpy())
        yield np.concatenate(parts) if parts else np.zeros(0, np.float32)
