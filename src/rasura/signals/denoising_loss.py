"""The plainest signal on a picture: how well the model knows the noise that was mixed into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.registry import method
from ..core.types import Ask
from ..observations._with_pictures import PictureNumbers
from ..observations.denoising_error import DenoisingError
from ._pictures import minus_mean


@method(paper="arXiv:2302.03262")
@dataclass(frozen=True)
class DenoisingLoss:
    """Minus the training loss of the record's picture at one timestep: the floor every other signal must beat.

        s(x) = -(1/K) sum_{k=1..K} (1/D) || eps_k - eps_theta( sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps_k, t, c ) ||^2

    with x_0 the latents of the record's picture (D entries), c its caption (the empty one without ``caption``), t = ``t``
    and K = ``draws`` noises, the same for every model. NaN for a record without a picture. It measures difficulty as much
    as membership: plain pictures score high unseen. Choose t on other records than those reported on.

    Source: Matsumoto, Miura and Yanai, "Membership inference attacks against diffusion models", 2023. Deviations: mean a
    latent entry in place of the sum, so that sizes compare; ``draws`` noises in place of one; the middle timestep where
    the paper scans all of them. Networks that predict v are converted to noise.

    By hand: errors .25 and .75 give -.5; a record without a picture has no score.

    >>> from rasura.core.types import Ragged
    >>> data = PictureNumbers(Ragged.of([[0.25, 0.75], []]), np.array(["", "no picture"], dtype=object))
    >>> DenoisingLoss(draws=2).score(data).tolist()
    [-0.5, nan]
    """

    t: int = 500
    draws: int = 4
    caption: bool = True
    seed: int = 0

    modality: ClassVar[str] = "images"
    baseline: ClassVar[bool] = True  # what an audit compares the other signals with

    def needs(self) -> Mapping[str, Ask]:
        return {"errors": Ask(DenoisingError((self.t,), self.draws, self.caption, self.seed))}

    def score(self, errors: PictureNumbers) -> np.ndarray:
        return minus_mean(errors.values)
