"""A lower bound on the privacy loss of a training, from one run in which canaries were included by coin flips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta

from ..core.errors import BadInput
from ..core.types import Estimate
from ._math import clean, unknown


@dataclass(frozen=True)
class OneRun:
    """``epsilon`` is a lower bound; its interval runs from the bound to infinity. Of ``guesses``, ``right`` were right."""

    epsilon: Estimate
    guesses: int
    right: int


def epsilon_lower_bound(right: int, guesses: int, level: float = 0.95) -> float:
    """The largest epsilon that so many right guesses refute.

        sup { epsilon : P[Binomial(r, e^epsilon/(1 + e^epsilon)) >= v] <= 1 - level }

    with r = ``guesses`` made about canaries that were each included with probability 1/2 independently, and
    v = ``right`` of them right. If training were (epsilon, 0)-differentially private for a smaller epsilon, that many
    would come right with probability at most 1 - ``level``. 0 where even chance explains them.

    The sup is the logit of the lower Clopper-Pearson limit of v/r at one-sided ``level``, and at least 0.

    Source: Steinke, Nasr and Jagielski, "Privacy auditing with one (1) training run", NeurIPS 2023 (pure case).

    By hand: all of 5 right: p^5 = .05 gives p = .5493, and log(.5493/.4507) = .1978.

    >>> round(epsilon_lower_bound(5, 5), 4), epsilon_lower_bound(3, 5)
    (0.1978, 0.0)
    """
    if not 0 <= right <= guesses or not 0 < level < 1:
        raise BadInput(f"epsilon_lower_bound: {right} right of {guesses} guesses at level {level} is impossible")
    if not right:
        return 0.0
    share = float(beta.ppf(1 - level, right, guesses - right + 1))
    return max(0.0, float(np.log(share) - np.log1p(-share)))


def one_run(members: ArrayLike, nonmembers: ArrayLike, guessed: float = 0.5, level: float = 0.95) -> OneRun:
    """Guess "included" for the highest scores and "left out" for the lowest, abstain between, and bound epsilon.

    With N canaries scored in all (NaN dropped), k = floor(``guessed`` N/2) guesses go to either end; ``guessed`` is
    chosen before the scores are seen. Ties at the border are broken against the guesser. ``members`` (m,) and
    ``nonmembers`` (n,) must have come from independent fair coins, a member put in once: the bound is meaningless for
    chosen sets, and for repeated members it is one on all their copies together.

    Source: as ``epsilon_lower_bound``.

    By hand: scores 3, 2 included, 1, 0 left out; two guesses at either end, four right of four: .05^(1/4) = .4729, below
    1/2, so nothing is refuted.

    >>> found = one_run([3.0, 2.0], [1.0, 0.0], guessed=1.0)
    >>> found.guesses, found.right, found.epsilon.value
    (4, 4, 0.0)
    """
    if not 0 < guessed <= 1:
        raise BadInput(f"one_run: the share of canaries guessed must lie in (0, 1], got {guessed}")
    x, y = clean(members), clean(nonmembers)
    n = len(x) + len(y)
    k = int(guessed * n / 2 + 1e-9)
    if k < 1:
        return OneRun(unknown("nats", n, "too few canaries to guess about", level), 0, 0)
    scores, inside = np.concatenate([x, y]), np.concatenate([np.ones(len(x)), np.zeros(len(y))])
    highest = np.lexsort((inside, -scores))[:k]  # among equal scores those left out come first: against the guesser
    lowest = np.lexsort((-inside, scores))[:k]
    right = int(inside[highest].sum() + (1 - inside[lowest]).sum())
    bound = epsilon_lower_bound(right, 2 * k, level)
    return OneRun(Estimate(bound, bound, float("inf"), 2 * k, "nats, at least", level), 2 * k, right)
