"""How a share falls with the number of draws: as a power of it, or exponentially."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.types import Estimate
from ..stats._math import unknown

FORMS = ("power", "exponential")


@dataclass(frozen=True)
class Decay:
    """A fitted curve: a N^-b (power) or a exp(-b N) (exponential)."""

    form: str
    a: float
    b: Estimate  # with the 95 % interval of a regression line's slope; its unit is "" or "1/draw"
    error: float  # root of the mean squared difference between curve and points

    def at(self, n: float) -> float:
        """The fitted share at ``n`` draws."""
        return float(self.a * (n**-self.b.value if self.form == "power" else np.exp(-self.b.value * n)))


def decays(draws: Sequence[float], shares: Sequence[float]) -> tuple[Decay, ...]:
    """Both forms through the points (``draws``, ``shares``), the closer one first; shares of 0 are left out.

        power        log share = log a - b log N
        exponential  log share = log a - b N

    by least squares on the logarithms. Fewer than three points give NaN with a note. Points of one run of draws are not
    independent, so the interval of b is of the fit and not of another run.

    By hand: 1/2, 1/4, 1/8 at 1, 2, 3 fall by half a draw: a = 1, b = log 2, and no error; a power law misses them.

    >>> first, second = decays([1, 2, 3], [0.5, 0.25, 0.125])
    >>> first.form, round(first.a, 9), round(first.b.value, 6), round(first.error, 9), round(second.error, 3)
    ('exponential', 1.0, 0.693147, 0.0, 0.021)
    """
    n, y = np.asarray(draws, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    kept = (y > 0) & (n > 0)
    fits = [_fit(form, n[kept], y[kept]) for form in FORMS]
    return tuple(sorted(fits, key=lambda d: (np.isnan(d.error), d.error)))


def _fit(form: str, n: np.ndarray, y: np.ndarray) -> Decay:
    from scipy.stats import linregress, t

    unit = "" if form == "power" else "1/draw"
    if len(n) < 3 or np.ptp(n) == 0:
        return Decay(
            form, float("nan"), unknown(unit, len(n), f"not resolvable with {len(n)} points", 0.95), float("nan")
        )
    line = linregress(np.log(n) if form == "power" else n, np.log(y))
    half = float(line.stderr * t.ppf(0.975, len(n) - 2))
    b = Estimate(-float(line.slope), -float(line.slope) - half, -float(line.slope) + half, len(n), unit)
    decay = Decay(form, float(np.exp(line.intercept)), b, 0.0)
    error = float(np.sqrt(np.mean([(decay.at(x) - v) ** 2 for x, v in zip(n, y, strict=True)])))
    return Decay(form, decay.a, b, error)
