"""Does the model retrace its own steps better from pictures it has seen?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.registry import method
from ..core.types import Ask
from ..observations._with_pictures import PictureNumbers
from ..observations.inversion_error import InversionError
from ._pictures import minus_mean


@method(paper="arXiv:2302.01316")
@dataclass(frozen=True)
class Secmi:
    """Minus the error of one deterministic step forth and back, at a timestep reached without chance (SecMI).

        s(x) = -(1/D) || x_t - x~_t ||^2

    x_t is the picture's latent (D entries) carried to t = ``t`` by deterministic DDIM steps of k = ``step``, x~_t what
    comes back from one step further: x_{t+k} = step(x_t), x~_t = step back(x_{t+k}). Conditioned on the caption, or on the
    empty one without ``caption``. NaN for a record without a picture. Costs t/k + 2 forward passes.

    Source: Duan, Kong, Wang, Shi and Xu, "Are diffusion models vulnerable to membership inference attacks?", ICML 2023:
    t = 100 and k = 10 are theirs; this is the statistic without the trained classifier. Deviation: mean a latent entry
    in place of the sum.

    By hand: a squared difference of .01 a latent entry scores -.01.

    >>> from rasura.core.types import Ragged
    >>> data = PictureNumbers(Ragged.of([[0.01], []]), np.array(["", "no picture"], dtype=object))
    >>> Secmi().score(data).tolist()
    [-0.01, nan]
    """

    t: int = 100
    step: int = 10
    caption: bool = True

    modality: ClassVar[str] = "images"
    testbed_settings: ClassVar[Mapping[str, int]] = {"t": 500, "step": 100}
    testbed_reason: ClassVar[str] = (
        "t = 100 is the authors', for pictures of 32 x 32 and more; an 8 x 8 picture has no detail that so little noise hides, "
        "so the error there measures rounding (10^-7) and not memory"
    )

    def __post_init__(self) -> None:
        InversionError(self.t, self.step)  # refuses settings that mean nothing

    def needs(self) -> Mapping[str, Ask]:
        return {"errors": Ask(InversionError(self.t, self.step, self.caption))}

    def score(self, errors: PictureNumbers) -> np.ndarray:
        return minus_mean(errors.values)
