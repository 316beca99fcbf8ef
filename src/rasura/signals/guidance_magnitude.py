"""Does a prompt pull the sampler as only a memory does?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask
from ..observations import guidance_magnitude as observed
from ..observations.guidance_magnitude import MagnitudeData
from ..observations.token_significance import TokenSignificance


@method(paper="arXiv:2407.21720")
@dataclass(frozen=True)
class GuidanceMagnitude:
    """How strongly the prompt changes the predicted noise: memorised prompts pull from the first step on.

        s(x) = (1/(n K)) sum_{k=1..n} sum_{i=1..K} || eps(x_t_i, t_i, c) - eps(x_t_i, t_i, nothing) ||_2 / sqrt(D)

    along the guided path (DDIM, ``total`` steps of which the first K = ``steps`` are read, guidance ``guidance``) from
    n = ``n`` noises drawn by a hash of (prompt, ``seed``, k); c the prompt of the record x, D latent entries. Needs no
    picture. Root mean square a latent entry; NaN for an empty caption. Costs 2 n K rows of the network; K = 1 is the
    cheap version, 2 n rows.

    A rare caption pulls hard as well, so compare captions of one kind: against ordinary captions the number flatters
    itself. A picture that makes up several percent of the training data is drawn by the unconditional branch as well:
    the difference shrinks, and the most memorised score lowest. The model must have learned that branch.

    Source: Wen, Liu, Chen and Lyu, "Detecting, explaining, and mitigating memorization in diffusion models", ICLR 2024;
    n = 4, 50 steps and guidance 7.5 are the authors' code. Deviations: the norm is divided by sqrt(D) (the paper's
    thresholds hold for 4 x 64 x 64 latents; multiply by 128 to compare); networks that predict v are converted by
    sqrt(abar_t), taken of the difference, because the difference of two converted noises is lost in rounding where
    abar_t is near 0; ``space`` "output" leaves it out.

    By hand: a record whose four differences have sizes .2, .4, .1 and .5.

    >>> from rasura.core.types import Ragged
    >>> data = MagnitudeData(Ragged.of([[0.2, 0.4, 0.1, 0.5], []]), np.array(["", "an empty caption"], dtype=object))
    >>> GuidanceMagnitude(n=2, steps=2).score(data).round(9).tolist()
    [0.3, nan]
    """

    n: int = 4
    steps: int = 50
    total: int = 50
    guidance: float = 7.5
    space: Literal["noise", "output"] = "noise"
    seed: int = 0

    modality: ClassVar[str] = "images"
    needs_unconditional: ClassVar[bool] = True  # means nothing on a model never trained without captions
    testbed_settings: ClassVar[Mapping[str, float]] = {"n": 2, "steps": 10, "total": 10, "guidance": 1.0}
    testbed_reason: ClassVar[str] = (
        "guidance 7.5 drives 8 x 8 pictures to colours outside the data, where the pull says nothing about memory; fewer noises and "
        "steps keep tests quick"
    )

    def __post_init__(self) -> None:
        self._asked()  # refuses settings that mean nothing

    def _asked(self) -> Any:
        return observed.GuidanceMagnitude(self.n, self.steps, self.total, self.guidance, self.space, self.seed)

    def needs(self) -> Mapping[str, Ask]:
        return {"magnitudes": Ask(self._asked())}

    def explains(self) -> Ask:
        """What says which words a score comes from: see observations/token_significance.py."""
        return Ask(TokenSignificance(self.n, 1, self.total, self.guidance, self.space, self.seed))

    def score(self, magnitudes: MagnitudeData) -> np.ndarray:
        """Raises BadInput where no prompt changes anything: the steps read are pure noise in this schedule."""
        values = magnitudes.magnitude.values
        if len(values) and not np.any(values):
            raise BadInput(
                "guidance_magnitude: no prompt changes the noise in these steps; use space=output or more steps"
            )
        return magnitudes.magnitude.mean()
