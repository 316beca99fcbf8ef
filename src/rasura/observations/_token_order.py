"""Putting a set of tokens in order by beam search under a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NEW_TOKEN = 2.0  # nats a beam gains for each token of the set it uses for the first time: or it would repeat easy ones


@dataclass(frozen=True)
class _Beam:
    ids: tuple[int, ...]
    log_probability: float
    unused: frozenset[int]

    def rank(self, all_of_them: int) -> float:
        return self.log_probability + NEW_TOKEN * (all_of_them - len(self.unused))


def orderings(model: Any, start: Sequence[int], tokens: Sequence[int], texts: int, width: int) -> list[np.ndarray]:
    """``texts`` sequences over ``tokens``, in the order the model finds likely; those used count no more for the next.

    Each begins with ``start`` (left out of the answer) and ends when its tokens are used up or it is half as long again as
    its share of them. As the last token of a text leaves no trace in a gradient, the model's own choice is put at the end.
    """
    left, found = frozenset(int(t) for t in tokens), []
    for number in range(texts if len(left) else 0):
        longest = int(np.ceil(1.5 * len(left) / (texts - number))) + 2
        best = _search(
            model, tuple(map(int, start)), sorted(map(int, tokens)), left, min(longest, model.context - 2), width
        )
        last = int(np.argmax(_log_probabilities(model, [best.ids])[0]))
        ids = best.ids if last in _ends(model) else (*best.ids, last)
        found.append(np.array(ids[len(start) :], dtype=np.int64))
        left = best.unused or frozenset(int(t) for t in tokens)
    return found


def _search(
    model: Any, start: tuple[int, ...], allowed: Sequence[int], wanted: frozenset[int], steps: int, width: int
) -> _Beam:
    beams, done = [_Beam(start, 0.0, wanted)], []
    columns = np.array(allowed, dtype=np.int64)
    for _ in range(max(1, steps)):
        log_p = _log_probabilities(model, [b.ids for b in beams])[:, columns]
        grown = []
        for beam, row in zip(beams, log_p, strict=True):
            new = np.array([t in beam.unused for t in allowed])
            for j in np.argsort(-(row + NEW_TOKEN * new), kind="stable")[:width]:
                token = int(columns[j])
                grown.append(_Beam((*beam.ids, token), beam.log_probability + float(row[j]), beam.unused - {token}))
        grown.sort(key=lambda b: -b.rank(len(wanted)))
        done += [b for b in grown[:width] if not b.unused]
        beams = [b for b in grown[:width] if b.unused]
        if not beams or (done and max(b.log_probability for b in done) >= beams[0].log_probability):
            break
    return max(done or beams, key=lambda b: b.rank(len(wanted)))


def _log_probabilities(model: Any, rows: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Of the next token after each row; all rows are equally long."""
    import torch

    with torch.inference_mode():
        ids = torch.tensor(rows, dtype=torch.long, device=model.device)
        hidden = model.base.base_model(input_ids=ids, use_cache=False).last_hidden_state[:, -1]
        return torch.log_softmax(model.logits(hidden), dim=-1).double().cpu().numpy()


def _ends(model: Any) -> set[int]:
    from ._continue import end_tokens

    return end_tokens(model)
