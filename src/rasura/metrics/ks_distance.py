"""How far the forget records' losses are from those of a model that never saw them, as distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from ..core.registry import method
from ..core.types import Ask, Estimate
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.distance import ks_distance


@method(paper="arXiv:2401.06121")
@dataclass(frozen=True)
class KsDistance:
    """Kolmogorov-Smirnov distance of the forget records' losses from those under the retrained model, 0 to 1.

        D = max over x of | F_after(x) - F_retrained(x) |

    with F the share of forget records whose mean loss (nats a token) is at most x. Two-sided: losses that are too high
    count as much as losses that are too low, also where the means agree. Sampling alone makes D positive; the note
    carries the distance that two equal models of these sample sizes exceed half of the time, and D below it is no sign
    of a difference. Bootstrap interval of ``stats.distance.ks_distance``; records that cannot be scored are left out.

    Source: forget quality of Maini, Feng, Schwarzschild, Lipton and Kolter, "TOFU: a task of fictitious unlearning for
    LLMs", 2024, which is the p value of this test on truth ratios. A p value measures the number of records as much as
    forgetting: at complete separation it is 2/C(2n, n), 1.9e-119 for 200 records and 0.33 for 2, with D = 1 both times.
    Hence D, with an interval; on losses, which need no wrong answers.

    By hand: both losses of the first model lie below both of the second: D = 1.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> after, retrained = (SimpleNamespace(loss=np.array(v)) for v in ([1.0, 2.0], [3.0, 4.0]))
    >>> KsDistance().estimate(after=after, retrained=retrained).value
    1.0
    """

    better: ClassVar[str] = "lower"
    population: ClassVar[str] = "forget"

    def needs(self) -> Mapping[str, Ask]:
        return {"after": Ask(TokenStatistics()), "retrained": Ask(TokenStatistics(), "retrained")}

    def estimate(self, after: TokenData, retrained: TokenData) -> Estimate:
        found = ks_distance(after.loss, retrained.loss)
        if not found.distance.known:
            return found.distance
        return replace(found.distance, note=f"two equal models exceed {found.null_median:.3f} half of the time")
