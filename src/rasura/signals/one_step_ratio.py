"""Has the model already taken the step that training on this text would take?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask
from ..observations.one_step_loss import OneStepData, OneStepLoss
from ._math import unscorable_to_nan


def ratio(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Loss after a step over the loss before: (n,), (n,) to (n,); a loss of 0 before leaves nothing to win: 1.

    Losses of 2 and 0 nats that become 1.5 and 0:

    >>> ratio(np.array([2.0, 0.0]), np.array([1.5, 0.0])).tolist()
    [0.75, 1.0]
    """
    return np.divide(after, before, out=np.ones_like(before), where=before != 0)


@method(paper="arXiv:2402.17012")
@dataclass(frozen=True)
class OneStepRatio:
    """Loss after one training step on the text over the loss before: a seen text has less to gain.

        s(x) = l(theta - eta g; x) / l(theta; x) ~ 1 - eta ||g||^2 / l(theta; x),     g = dl/dtheta

    with eta = ``step`` and l(theta; x) = -(1/T) sum_t log p(x_t | x_<t); no unit. NaN with fewer than
    ``minimum_tokens`` scored tokens. Double precision, and every text's step starts from the same exact weights: at
    eta = 5e-5 the step changes the loss by less than single precision keeps. Needs room for a copy of the model in
    double precision.

    The sign. Near a memorised text l -> 0 and ||g|| is at most a constant times l, so ||g||^2 / l -> 0 and the ratio
    rises to 1: members="higher", the default. The authors' plots count a lower ratio as member, reading the stepped
    model as one that has seen the text and the model under audit as one that has not (members="lower"); half-learned
    texts, with large gradients, can look so. Decide on records of known truth if you have them, never on those you
    report.

    Source: Wang, Wang, Li and Neel, "Pandora's White-Box: precise training data detection and extraction in large
    language models", 2024 (there ALoRa); eta is the default of the authors' script. Deviations from that script: the
    sign; it undoes a step by adding it back, which drifts from text to text; its loss runs over padding.

    By hand: see ``ratio``.
    """

    step: float = 5e-5
    members: Literal["higher", "lower"] = "higher"
    minimum_tokens: int = 8

    def __post_init__(self) -> None:
        if not self.step > 0:
            raise BadInput(f"one_step_ratio: step must be above 0, got {self.step}")
        if self.members not in ("higher", "lower"):
            raise BadInput(f"one_step_ratio: members is higher or lower, got {self.members}")

    def needs(self) -> Mapping[str, Ask]:
        return {"losses": Ask(OneStepLoss(self.step))}

    def score(self, losses: OneStepData) -> np.ndarray:
        sign = 1.0 if self.members == "higher" else -1.0
        return unscorable_to_nan(sign * ratio(losses.before, losses.after), losses.tokens, self.minimum_tokens)
