"""How probable a model finds continuations that were drawn before: exact tokens, never text read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.types import Sample
from ..models.causal_lm import Encoded
from ._engine import TOKEN_BUDGET


@dataclass(frozen=True)
class DrawScores:
    """One record's continuations under one model, nats."""

    draws: list[np.ndarray]  # float32, one entry a drawn token
    prompt: float  # sum over the scored tokens of the prompt
    prompt_tokens: int
    reason: str = ""


def draw_scores(
    model: Any, batch: Sequence[Sample], cuts: np.ndarray, draws: Sequence[Sequence[np.ndarray]]
) -> list[DrawScores]:
    """Log-probabilities of every draw after its record's prompt, which is everything before ``cuts`` scored tokens.

    Equal draws of a record are scored once. A draw that does not fit the model's context, or an answer that is not a
    number, empties the record and says why.
    """
    rows: list[tuple[int, tuple[int, ...]]] = []
    for i, mine in enumerate(draws):
        rows += dict.fromkeys((i, tuple(map(int, d))) for d in mine)
    prompts = [(e := model.encode(s)).ids[: e.first + int(c)] for s, c in zip(batch, cuts, strict=True)]
    firsts = [model.encode(s).first for s in batch]
    encoded = [_joined(prompts[i], draw, firsts[i]) for i, draw in rows]
    long = {i for (i, _), e in zip(rows, encoded, strict=True) if len(e.ids) > model.context}
    scored = dict(zip(rows, _scores(model, encoded), strict=True))
    return [
        _collected(scored, i, mine, int(c), "longer than the model reads" if i in long else "")
        for i, (mine, c) in enumerate(zip(draws, cuts, strict=True))
    ]


def _joined(prompt: np.ndarray, draw: tuple[int, ...], first: int) -> Encoded:
    ids = np.concatenate([prompt, np.array(draw, dtype=np.int64)])
    return Encoded(ids, first, len(prompt), "")


def _collected(scored: dict[Any, np.ndarray], i: int, draws: Sequence[np.ndarray], cut: int, reason: str) -> DrawScores:
    found = [scored[(i, tuple(map(int, d)))] for d in draws]
    if not reason and any(np.isnan(row).any() for row in found):
        reason = "the model's answer is not a number"
    if reason or not found:
        return DrawScores([np.zeros(0, np.float32) for _ in draws], np.nan, 0, reason)
    prompt = float(found[0][:cut].sum(dtype=np.float64))
    return DrawScores([row[cut:].astype(np.float32) for row in found], prompt, cut)


def _scores(model: Any, encoded: Sequence[Encoded]) -> list[np.ndarray]:
    """Log-probability of every scored token of each row; rows that are too long stay unknown."""
    import torch

    out = [np.full(e.scored, np.nan, dtype=np.float32) for e in encoded]
    order = sorted(
        (i for i, e in enumerate(encoded) if 0 < e.scored and len(e.ids) <= model.context),
        key=lambda i: -len(encoded[i].ids),
    )
    with torch.inference_mode():
        while order:
            size = max(1, TOKEN_BUDGET // len(encoded[order[0]].ids))
            part, order = order[:size], order[size:]
            pieces = []
            for _, target, logits in model.scored_logits([encoded[i] for i in part]):
                pieces.append(torch.log_softmax(logits, -1).gather(1, target[:, None]).squeeze(1).cpu().numpy())
            ends = np.cumsum([encoded[i].scored for i in part])[:-1]
            for i, row in zip(part, np.split(np.concatenate(pieces), ends), strict=True):
                out[i] = row
    return out
