"""How exposed planted secrets still are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.alternatives import AlternativeData, Alternatives
from ..stats.intervals import mean_estimate


@method(paper="arXiv:1802.08232")
@dataclass(frozen=True)
class ExposureBits:
    """Mean exposure of the secrets among the forget records, in bits; about 1.44 for secrets never seen.

        exposure = log2 N - log2 rank,     rank = 1 + #{ alternatives at least as probable },     N = references + 1

    each secret ranked by the log-probability of its own tokens among ``references`` alternatives of the same form
    (characters of ``alphabet`` redrawn with ``seed``). From 0 to log2 N. t interval over secrets. Records without a
    marked secret made of such characters take no part; without any, the value is absent and the note says so. The
    interval is cut at 0 and log2 N.

    Source: Carlini, Liu, Erlingsson, Kos and Song, "The secret sharer: evaluating and testing unintended memorization in
    neural networks", USENIX Security 2019; deviations as in the extractor of that name.

    By hand: more probable than all of 7 alternatives is log2 8 = 3 bits, than none of them 0 bits.

    >>> from rasura.core.types import Ragged
    >>> import numpy as np
    >>> references, two = Ragged.of([[-2.0] * 7] * 2), np.ones(2)
    >>> data = AlternativeData(np.array([-1.0, -3.0]), references, two, two, np.array(["", ""], dtype=object))
    >>> ExposureBits().estimate(data).value
    1.5
    """

    references: int = 200
    alphabet: str = "0123456789"
    seed: int = 0

    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "forget"

    def needs(self) -> Mapping[str, Ask]:
        return {"forget": Ask(Alternatives(self.references, self.seed, self.alphabet))}

    def estimate(self, forget: AlternativeData) -> Estimate:
        mean = mean_estimate(forget.exposure, "bits", bounds=(0.0, forget.most_bits))
        return mean if mean.known else replace(mean, note="no record has a marked secret that can be redrawn")
