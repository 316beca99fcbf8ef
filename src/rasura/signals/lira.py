"""Does the model treat the text as models that saw it do, or as models that did not?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask, Known
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.gaussian_likelihood import normals
from ._math import unscorable_to_nan

CERTAIN = -1e-7  # nats a token: float32 says nothing finer of a probability next to 1


def log_odds(mean_log_probability: np.ndarray) -> np.ndarray:
    """log(p/(1 - p)) of p = exp(mean log-probability): (n,) to (n,).

    p = 1/2 has odds 1, p = .8 odds 4:

    >>> log_odds(np.log([0.5, 0.8])).round(6).tolist() == [0.0, round(float(np.log(4)), 6)]
    True
    """
    log_p = np.minimum(mean_log_probability, CERTAIN)
    return log_p - np.log(-np.expm1(log_p))


@method(paper="arXiv:2112.03570")
@dataclass(frozen=True)
class Lira:
    """Likelihood ratio of the text's score under shadow models that saw it and shadow models that did not (LiRA).

        form="online"    s(x) = log N(phi(x); mu_in, sd_in^2) - log N(phi(x); mu_out, sd_out^2)
        form="offline"   s(x) = (phi(x) - mu_out) / sd_out

    phi = log(p/(1-p)) with p(x) = exp((1/T) sum_t log p(x_t | x_<t)) (``statistic`` = "log_odds") or log p itself
    ("log_probability"); mu and sd are those of phi(x) over the ``shadows`` models shadow_1, shadow_2, ... trained with and
    without x, by the target's own recipe, each on a random half of all records with their copies. Below ``pooled_below``
    shadows one variance serves all texts, for each side. Natural logarithms. NaN where a text was in no shadow, or in
    all (offline: in all), and with fewer than ``minimum_tokens`` scored tokens.

    How much could leak at most, on a model small enough to train many times: the paper takes up to 256 shadows.

    Source: Carlini, Chien, Nasr, Song, Terzis and Tramer, "Membership inference attacks from first principles", 2022.
    Deviations: phi of a text is that of its geometric-mean token probability; a pooled variance has the degrees of
    freedom of the means it was taken about.

    By hand: see ``log_odds`` and ``stats.gaussian_likelihood``.
    """

    shadows: int = 256
    form: Literal["online", "offline"] = "online"
    statistic: Literal["log_odds", "log_probability"] = "log_odds"
    pooled_below: int = 64
    minimum_tokens: int = 8

    learns: ClassVar[str] = "shadows"  # of the target it is told nothing, so it is judged on every record
    testbed_settings: ClassVar[Mapping[str, int]] = {"shadows": 4}
    depends_on_company: ClassVar[str] = "a pooled variance is that of all texts given, so it moves with them"
    testbed_reason: ClassVar[str] = "every shadow is a training of its own; four show the effect on records seen often"

    def __post_init__(self) -> None:
        if self.shadows < 2:
            raise BadInput(f"lira: needs at least 2 shadow models, got {self.shadows}")
        if self.form not in ("online", "offline") or self.statistic not in ("log_odds", "log_probability"):
            raise BadInput(
                f"lira: form is online or offline, statistic log_odds or log_probability; got {self.form}, {self.statistic}"
            )

    def with_shadows(self, roles: Sequence[str]) -> Self:
        """The same signal over as many shadow models as there are roles called shadow_...

        >>> Lira().with_shadows(["target", "shadow_1", "shadow_2"]).shadows
        2
        """
        return replace(self, shadows=sum(role.startswith("shadow_") for role in roles))

    def needs(self) -> Mapping[str, Ask]:
        roles = [f"shadow_{k}" for k in range(1, self.shadows + 1)]
        return {"target": Ask(TokenStatistics())} | {role: Ask(TokenStatistics(), of=role) for role in roles}

    def score(self, known: Known, target: TokenData, **shadows: TokenData) -> np.ndarray:
        """Raises BadInput when it is not known what a shadow was trained on, or no text was both in and out often enough."""
        if not len(target.tokens):
            return np.zeros(0)
        draws = np.stack([self._phi(data) for data in shadows.values()], axis=1)
        seen = self._seen(known, list(shadows), len(target.tokens))
        pooled = len(shadows) < self.pooled_below
        out = normals(draws, ~seen, pooled)
        if self.form == "offline":
            scores = (self._phi(target) - out.mean) / out.deviation
        else:
            inside = normals(draws, seen, pooled)
            scores = inside.log_density(self._phi(target)) - out.log_density(self._phi(target))
        if np.isnan(scores).all() and np.isfinite(self._phi(target)).any():
            raise BadInput(
                "lira: no text was in some shadows and out of others often enough to see their spread; train at least 4 shadows, each on a random half of the records"
            )
        return scores

    def _phi(self, data: TokenData) -> np.ndarray:
        phi = log_odds(-data.loss) if self.statistic == "log_odds" else -data.loss
        return unscorable_to_nan(phi, data.tokens, self.minimum_tokens)

    def _seen(self, known: Known, roles: Sequence[str], n: int) -> np.ndarray:
        missing = [role for role in roles if role not in known.trained]
        if missing:
            raise BadInput(f"lira: it is not said which records {missing[0]} was trained on (shadows.json)")
        seen = np.stack([np.asarray(known.trained[role], dtype=bool) for role in roles], axis=1)
        if seen.shape != (n, len(roles)):
            raise BadInput(f"lira: {n} records, but the shadows' lists speak of {len(seen)}")
        return seen
