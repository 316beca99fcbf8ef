"""Does the model find again the noise that it saw in the clean picture?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.registry import method
from ..core.types import Ask
from ..observations._with_pictures import PictureNumbers
from ..observations.proximal_error import ProximalError
from ._pictures import minus_mean


@method(paper="arXiv:2305.18355")
@dataclass(frozen=True)
class Pia:
    """Minus the error at the noise the model itself sees in the clean picture: two queries (PIA).

        s(x) = -(1/D) || e_0 - eps_theta( sqrt(abar_t) x_0 + sqrt(1 - abar_t) e_0, t, c ) ||_4^4,        e_0 = eps_theta(x_0, 0, c)

    with x_0 the latents of the record's picture (D entries), c its caption (the empty one without ``caption``) and t =
    ``t``. ``normalised`` is the variant PIAN: e_0 is scaled to mean absolute value sqrt(2/pi), that of a standard normal.
    NaN for a record without a picture.

    Source: Kong, Duan, Ma, Shen, Zhu, Shi and Xu, "An efficient membership inference attack for the diffusion model by
    proximal initialization", ICLR 2024, who scan t up to about 300 in steps of 10. Deviation: mean a latent entry in
    place of the sum. Public code takes the normalising mean over a whole batch, so that a score depends on its company;
    here it is the picture's own.

    By hand: differences of .1 and .3 have fourth powers .0001 and .0081, mean .0041.

    >>> from rasura.core.types import Ragged
    >>> data = PictureNumbers(Ragged.of([[(0.1**4 + 0.3**4) / 2], []]), np.array(["", "no picture"], dtype=object))
    >>> Pia().score(data).round(9).tolist()
    [-0.0041, nan]
    """

    t: int = 200
    normalised: bool = False
    caption: bool = True

    modality: ClassVar[str] = "images"
    testbed_settings: ClassVar[Mapping[str, int]] = {"t": 600}
    testbed_reason: ClassVar[str] = (
        "t up to 300 is the authors', for pictures of 32 x 32 and more; an 8 x 8 picture has no detail that so little noise "
        "hides, and below t = 400 members score lower than non-members"
    )

    def needs(self) -> Mapping[str, Ask]:
        return {"errors": Ask(ProximalError(self.t, self.normalised, self.caption))}

    def score(self, errors: PictureNumbers) -> np.ndarray:
        return minus_mean(errors.values)
