"""Does the rest of a record come out if the attacker asks often enough?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Budget, Recovered, Request
from ..observations._suffix import suffix
from ..observations.sampling_probability import SamplingProbability
from ..stats.attempts import chance
from ._observe import observed, within


@method(paper="arXiv:2410.19482")
@dataclass(frozen=True)
class Sampling:
    """Probability that ``n`` samples from a record's beginning hold the rest of it word for word.

        score = 1 - (1 - p_z)^n,     p_z = product over the suffix of p_g(x_t | x_<t)

    with p_g the model's distribution after ``temperature``, ``top_k`` (0: all) and ``top_p`` (1: all). It is exact and
    needs one forward pass and no sampling; computed with logarithms, so that a p_z of 1e-300 is not lost. The suffix
    begins at the marked secret, else after half of the scored tokens, and has at most 50 tokens. Greedy decoding misses
    what comes out at every tenth attempt; this attack does not.

    Cost: one query a forget record for us, n samples a record for an attacker who only sees text; both are in ``spent``.
    ``budget.samples``, the total over the records, caps n. BadInput when that leaves no sample a record, or n < 1.

    Source: Hayes, Swanberg, Chaudhari, Yona, Shumailov, Nasr, Choquette-Choo, Lee and Cooper, "Measuring memorization in
    language models via probabilistic extraction", 2025.

    By hand: p_z = 1/2 and two samples: 1 - 1/4.

    >>> float(chance(np.log(0.5), 2))
    0.75
    """

    n: int = 100
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    access: ClassVar[str] = "black-box"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise BadInput(f"sampling: n is {self.n}, expected at least 1 sample a record")

    def attack(self, model: Any, request: Request, budget: Budget, *, seed: int = 0, before: Any = None) -> Recovered:
        """One pass; nothing is drawn, so ``seed`` has no effect."""
        records = len(request.forget)
        within(budget.queries, records)
        n = min(self.n, budget.samples // records) if budget.samples else self.n
        if n < 1:
            raise BadInput(
                f"a budget of {budget.samples} samples is less than one for each of {records} forget records"
            )
        what = SamplingProbability(self.temperature, self.top_k, self.top_p)
        data = observed(model, request.forget, what)
        log_p = suffix(data, data.log_probability).sum()
        score = chance(log_p, n)
        return Recovered(score, _lines(score, log_p, n), Budget(queries=records, samples=n * records))


def _lines(score: np.ndarray, log_p: np.ndarray, n: int) -> tuple[str, ...]:
    known = ~np.isnan(score)
    if not known.any():
        return ()
    return (
        f"{n} samples a record are expected to hold {score[known].sum():.2f} of {known.sum()} records",
        f"largest probability of one sample: 1e{log_p[known].max() / np.log(10):.1f}, computed exactly, none drawn",
    )
