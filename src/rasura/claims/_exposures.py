"""How much nearer each canary's last six digits are to being guessed than chance, in three ways.

The testbed's canaries are codes of twelve digits; the first six are given to the model, so that the secret is one of
10^6. Exposure by rank among sampled alternatives, and extrapolated, are the method's. Beside them stands the true rank,
by a search of the tree of digits that follows every beginning more probable than the whole secret: searched only where
no sampled alternative beat the secret, and given up where a level has more than ``limit`` such beginnings.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask, Sample, Samples
from ..extraction.exposure import Exposure
from ..extraction.verbatim import Verbatim
from ..observations._engine import Engine
from ..observations.token_statistics import TokenStatistics

DIGITS = 6
SPACE_BITS = DIGITS * math.log2(10)
ROUNDING = 1e-4  # nats: two passes over the same text may differ by as much


@dataclass(frozen=True)
class ExposureData:
    """One row a canary; exposures in bits."""

    dose: np.ndarray  # (n,) int64: copies an epoch, 0 = never seen
    ranked: np.ndarray  # (n,) by rank among the sampled alternatives
    extrapolated: np.ndarray  # (n,) from the fitted skew-normal
    fit_p_value: np.ndarray  # (n,) of that fit
    searched: np.ndarray  # (n,) by the true rank among 10^6; NaN where not searched or given up
    extracted: np.ndarray  # (n,) 1: greedy decoding says the six digits


@dataclass(frozen=True)
class Exposures:
    """One seed: every canary under the target model."""

    size: str = "small"
    references: int = 200
    limit: int = 1000

    Data: ClassVar[type] = ExposureData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 2

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> ExposureData:
        """``references`` short passes a canary, and a search where it pays."""
        every = Samples([*planted.members, *planted.nonmembers]).where(lambda s: s.family == "canary")
        canaries = Samples(last_digits(s) for s in every)
        engine, models = Engine(store=Store()), {"target": planted.models["target"]}
        method = Exposure(references=self.references)
        found = method.extract(**{name: engine.observe(ask, models, canaries) for name, ask in method.needs().items()})
        tokens = engine.observe(Ask(TokenStatistics()), models, canaries)
        tick()
        first = found.success >= np.log2(self.references + 1) - 1e-9
        searched = [
            searched_bits(models["target"], s, self.limit) if f else math.nan
            for s, f in zip(canaries, first, strict=True)
        ]
        tick()
        return ExposureData(
            dose=np.array([s.repeats or 0 for s in canaries], dtype=np.int64),
            ranked=found.success,
            extrapolated=found.extrapolated,
            fit_p_value=found.fit_p_value,
            searched=np.array(searched, dtype=np.float64),
            extracted=Verbatim(suffix_tokens=0).extract(tokens).success,
        )


def last_digits(canary: Sample) -> Sample:
    """The same canary, its secret beginning at the sixth digit from the end.

    >>> s = last_digits(Sample("c", "The code of Ida Kolon is 1234 5678 9012.", secret=25))
    >>> s.text[s.secret:]
    '78 9012.'
    """
    places = [i for i, c in enumerate(canary.text) if c.isdigit()]
    return replace(canary, secret=places[-DIGITS])


def searched_bits(model: Any, canary: Sample, limit: int) -> float:
    """log2 10^6 - log2 rank, rank = how many of the 10^6 endings are at least as probable; NaN if given up."""
    encoded = model.encode(canary)
    digits = [int(i) for i in (model.tokenizer.convert_tokens_to_ids(str(d)) for d in range(10))]
    begin, true = encoded.ids[: encoded.cut], encoded.ids[encoded.cut :]
    least = float(_continued(model, np.array([encoded.ids]), len(begin)).sum()) - ROUNDING
    rows, known = np.array([begin]), np.zeros(1)
    for token in true:
        options = np.array(digits if token in digits else [token])
        said = _next(model, rows)[:, options]
        joined = (known[:, None] + said).ravel()
        rows = np.column_stack([np.repeat(rows, len(options), axis=0), np.tile(options, len(rows))])
        kept = joined >= least
        rows, known = rows[kept], joined[kept]
        if len(rows) > limit:
            return math.nan
    return SPACE_BITS - math.log2(len(rows))


def _next(model: Any, rows: np.ndarray) -> np.ndarray:
    """(n, vocabulary) float64 log-probabilities of the token after each row."""
    return _log_probabilities(model, rows)[:, -1]


def _continued(model: Any, rows: np.ndarray, begin: int) -> np.ndarray:
    """(n, T - begin) log-probabilities of each row's own tokens from ``begin`` on."""
    said = _log_probabilities(model, rows)[:, begin - 1 : -1]
    return np.take_along_axis(said, rows[:, begin:, None], axis=2)[..., 0]


def _log_probabilities(model: Any, rows: np.ndarray) -> np.ndarray:
    import torch

    with torch.inference_mode():
        parts = torch.from_numpy(rows).split(256)
        logits = torch.cat([model.base(input_ids=part, use_cache=False).logits for part in parts])
        return torch.log_softmax(logits.double(), dim=-1).numpy()
