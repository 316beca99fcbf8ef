"""Tune a soft prompt on known records: vectors in front of every prompt that make the model say the rest.

Only the vectors move; weights, their gradients and flags stay as they are. This is not the loop of ``loop.py``, because
what is trained is no parameter of the model and training ends by the loss of records held out, not by a budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import BadInput, TrainingDiverged
from ..core.types import Samples
from ..models.soft_prompt import SoftPrompted, first_rows
from ..observations._cut import cut_of
from ..observations._suffix import SUFFIX_TOKENS
from .loop import pinned_threads

if TYPE_CHECKING:
    import torch

FEWEST = 4  # known records: some to learn from, some to stop by


@dataclass(frozen=True)
class SoftPromptTuning:
    """AdamW on ``vectors`` vectors, linear warm-up over ``warmup`` steps and linear decay to 0, early stopping.

        loss = mean_t l_t + alpha mean of the N largest l_t of each record,     l_t = -log p(x_t | soft prompt, x_<t)

    over the suffix tokens t of a batch, with N = ``largest``. After each epoch the same loss on the share ``validation`` of
    the records; the vectors with the smallest are kept, and ``patience`` epochs without a smaller one end training.
    A warm-up longer than half of the steps there are is cut to that half.
    """

    vectors: int = 100
    alpha: float = 0.7
    largest: int = 5
    learning_rate: float = 1e-3
    warmup: int = 500
    batch: int = 32
    epochs: int = 20
    patience: int = 5
    validation: float = 0.1
    prefix_tokens: int = 0
    suffix_tokens: int = SUFFIX_TOKENS
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.vectors, self.batch, self.epochs, self.patience, self.largest) < 1 or self.warmup < 0:
            raise BadInput(
                "soft prompt: vectors, batch, epochs, patience and largest must be at least 1, warmup 0 or more"
            )
        if not (self.alpha >= 0 and self.learning_rate > 0 and 0 < self.validation < 1):
            raise BadInput("soft prompt: alpha must be 0 or more, learning_rate above 0, validation between 0 and 1")


def rate(step: int, steps: int, tuning: SoftPromptTuning) -> float:
    """The learning rate of one step of ``steps``.

    >>> [rate(k, 10, SoftPromptTuning(warmup=2, learning_rate=1.0)) for k in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.125]
    """
    warm = min(tuning.warmup, steps // 2)
    if step < warm:
        return tuning.learning_rate * (step + 1) / warm
    return tuning.learning_rate * (steps - step) / max(1, steps - warm)


def smoothed_loss(losses: Sequence[torch.Tensor], alpha: float, largest: int) -> torch.Tensor:
    """Mean token loss plus ``alpha`` times the mean of the ``largest`` token losses of each record.

    By hand, one record of losses 1, 2, 6, N = 2 and alpha = 1/2: 3 + 4/2 = 5.

    >>> import torch
    >>> float(smoothed_loss([torch.tensor([1.0, 2.0, 6.0])], 0.5, 2))
    5.0
    """
    import torch

    hardest = torch.cat([row.topk(min(largest, len(row))).values for row in losses])
    return torch.cat(list(losses)).mean() + alpha * hardest.mean()


def tune(model: Any, known: Samples, tuning: SoftPromptTuning) -> torch.Tensor:
    """The soft prompt (vectors, d) that serves ``known`` best, in float32; the model is left as it was.

    Raises BadInput with fewer than four records that leave something to extract, TrainingDiverged when no loss is finite.
    """
    import torch

    spans = {i: _span(model, sample, tuning) for i, sample in enumerate(known)}
    usable = [i for i, (begin, end) in spans.items() if end > begin]
    if len(usable) < FEWEST:
        raise BadInput(
            f"a soft prompt is tuned on at least {FEWEST} known records with something to extract; {len(usable)} given"
        )
    draw = np.random.default_rng(tuning.seed)
    order = draw.permutation(usable)
    held = order[: int(np.clip(round(tuning.validation * len(order)), 1, len(order) - 1))]
    taught = order[len(held) :]
    batch = min(tuning.batch, len(taught))
    steps = tuning.epochs * -(-len(taught) // batch)
    vectors = torch.nn.Parameter(first_rows(model, tuning.vectors).to(model.device))
    optimiser = torch.optim.AdamW([vectors], lr=tuning.learning_rate)
    best, kept, waited, k = np.inf, None, 0, 0

    def loss_of(rows: np.ndarray) -> torch.Tensor:
        return _loss(SoftPrompted(model, vectors), known.take(rows), [spans[int(i)] for i in rows], tuning)

    with pinned_threads(1 if model.device.type == "cpu" else 0):
        for _ in range(tuning.epochs):
            mixed = draw.permutation(taught)
            for at in range(0, len(mixed), batch):
                (vectors.grad,) = torch.autograd.grad(loss_of(mixed[at : at + batch]), [vectors])
                optimiser.param_groups[0]["lr"] = rate(k, steps, tuning)
                optimiser.step()
                k += 1
            with torch.no_grad():
                found = np.mean([float(loss_of(held[at : at + batch])) for at in range(0, len(held), batch)])
            if found < best:
                best, kept, waited = found, vectors.detach().clone(), 0
            else:
                waited += 1
            if waited >= tuning.patience:
                break
    if kept is None:
        raise TrainingDiverged("tuning a soft prompt: the loss on held-out records was never finite")
    return kept


def _span(model: Any, sample: Any, tuning: SoftPromptTuning) -> tuple[int, int]:
    """Scored tokens of the suffix: [begin, end)."""
    encoded = model.encode(sample)
    begin = int(cut_of(encoded, tuning.prefix_tokens))
    end = min(encoded.scored, begin + tuning.suffix_tokens) if tuning.suffix_tokens > 0 else encoded.scored
    return (begin, end) if len(encoded.ids) + tuning.vectors <= model.context else (0, 0)


def _loss(
    model: SoftPrompted, rows: Samples, spans: Sequence[tuple[int, int]], tuning: SoftPromptTuning
) -> torch.Tensor:
    scored = model.score(rows)
    losses = [-scored.log_probability[scored.row == i][b:e] for i, (b, e) in enumerate(spans)]
    return smoothed_loss(losses, tuning.alpha, tuning.largest)
