"""Does a little fine-tuning on some erased records bring back the others?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput, TrainingDiverged
from ..core.protocols import Loss
from ..core.registry import method
from ..core.types import Budget, Recovered, Request, Samples
from ..training.loop import Loop, train
from ..training.partners import Partners
from ._observe import observed, recovered, share_line, within


def shown(n: int, share: float, seed: int) -> np.ndarray:
    """Which of ``n`` records the attacker is given: (n,) bool, at least one in and one out.

    >>> [int(shown(8, share, seed=0).sum()) for share in (0.5, 0.01, 1.0)]
    [4, 1, 7]
    """
    mask = np.zeros(n, dtype=bool)
    mask[np.random.default_rng(seed).permutation(n)[: int(np.clip(round(share * n), 1, n - 1))]] = True
    return mask


@method(paper="arXiv:2406.13356")
@dataclass(frozen=True)
class Relearn:
    """Forget records that come out word for word after fine-tuning on *other* forget records.

    A share ``share`` of the forget records, drawn by seed, is given to the attacker, who fine-tunes a copy of the model on
    them: ``steps`` steps of AdamW on ``batch`` records, minimising the mean loss a token, once for each of
    ``learning_rates``. Greedy decoding then has to complete the records that were not given; the attacker keeps the rate
    that recovers most of them. Given records score NaN: getting back what was just taught shows learning, not memory.

    The same is to be done to the retrained model, with the same records, seed and rates: what it recovers is what the
    given records teach about the others. ``budget.steps`` is the total over all rates and caps ``steps``.
    With fewer than two forget records all scores are NaN. BadInput unless 0 < share < 1. A rate whose training diverges
    recovers with the last weights that were finite.

    Source: Hu, Fu, Wu and Smith, "Unlearning or obfuscating? Jogging the memory of unlearned LLMs via benign relearning",
    ICLR 2025: relearning on a part of the forget set. Choices of this package: full fine-tuning; a sweep of three rates
    with the worst case kept, because what a rate does depends on the size of the model; half of the set, because sets
    here are small.

    By hand: of 8 records and share 1/2, four are shown and four can be recovered (``shown``).
    """

    share: float = 0.5
    steps: int = 20
    batch: int = 4
    learning_rates: tuple[float, ...] = (1e-5, 1e-4, 1e-3)

    access: ClassVar[str] = "white-box"

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise BadInput(f"relearn: share is {self.share}, expected strictly between 0 and 1")
        if self.steps < 1 or self.batch < 1 or not self.learning_rates:
            raise BadInput("relearn: expected at least 1 step, 1 record a batch and 1 learning rate")

    def attack(self, model: Any, request: Request, budget: Budget, *, seed: int = 0, before: Any = None) -> Recovered:
        """Fine-tune copies and see what they say about the records not shown."""
        n, steps = len(request.forget), self._steps(budget)
        if n < 2:
            why = f"not resolvable with {n} forget records: some are taught, the others tested"
            return Recovered(np.full(n, np.nan), (why,))
        given = shown(n, self.share, seed)
        hidden = request.forget.take(np.flatnonzero(~given))
        within(budget.queries, len(hidden) * len(self.learning_rates))
        taught = Partners(request.forget.take(np.flatnonzero(given)), self.batch, seed, "relearn")
        runs = [self._run(model, taught, hidden, rate, steps) for rate in self.learning_rates]
        score = np.full(n, np.nan)
        score[~given] = max((found for found, _ in runs), key=lambda found: np.nansum(found))
        lines = [share_line(f"rate {r:g}:", f) for r, (f, _) in zip(self.learning_rates, runs, strict=True)]
        spent = Budget(steps=sum(done for _, done in runs), queries=len(hidden) * len(runs))
        return Recovered(score, (f"taught {int(given.sum())} records, {steps} steps a rate", *lines), spent)

    def _steps(self, budget: Budget) -> int:
        if not budget.steps:
            return self.steps
        each = budget.steps // len(self.learning_rates)
        if each < 1:
            raise BadInput(
                f"a budget of {budget.steps} steps is less than one for each of {len(self.learning_rates)} learning rates"
            )
        return min(self.steps, each)

    def _run(self, model: Any, taught: Partners, hidden: Samples, rate: float, steps: int) -> tuple[np.ndarray, int]:
        """What one learning rate recovers, and the steps it took."""
        copy = model.clone()
        for parameter in copy.module.parameters():
            parameter.requires_grad_(parameter.is_floating_point())

        def step_loss(k: int) -> Loss:
            return Loss(forget=-copy.score(taught.batch(k)).token_mean(), retain=None)

        try:
            done = len(train(copy, step_loss, Loop(steps=steps, learning_rate=rate)).steps)
        except TrainingDiverged:  # the model's own loss is not finite: nothing can be taught
            done = 0
        return recovered(observed(copy, hidden)), done
