"""Quantifying memorisation: extraction grows with copies, with the prompt and with the model, by so much a doubling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..observations._engine import Progress, quiet
from ._decide import Inequality, number, verdict, words
from ._pool import share, wider
from ._seeds import each_seed
from ._three_laws import LawsData, ThreeLaws

Draw = Callable[[int], np.ndarray]  # passages of a cell to how often each counts: (n) to (draws, n)
Law = Callable[[Sequence[LawsData], Draw], np.ndarray]  # a slope for every draw


@method(paper="arXiv:2202.07646")
@dataclass(frozen=True)
class ExtractionFollowsThreeLaws:
    """More comes out word for word with every doubling of the copies, of the prompt and of the model.

    Passages of the `language` testbed of at least 40 tokens. A law holds where the least-squares slope of the share
    extracted against log2 of its cause is above 0 with its whole interval: against copies in the testbed's target from 32
    tokens; against the length of the prompt in the target; against the number of parameters from 32 tokens. The shares of
    the last two are means over the doses, each dose weighing alike. Percentile interval over passages drawn again within dose and seed
    (``resamples`` draws), or over seeds if wider. Also: at most ``lowest_dose_at_most`` at one copy, at least
    ``highest_dose_at_least`` at the most copies. Bounds frozen before the run.

    Source: Carlini, Ippolito, Jagielski, Lee, Tramer and Zhang, "Quantifying memorization across neural language models",
    ICLR 2023. Deviations: theirs are models of 125 M to 6 B parameters, 50 tokens extracted and prompts of 50 to 500;
    here .09 to .66 M, 8 tokens (passages have some 44) and prompts of 8 to 32; a longer prompt asks for later tokens,
    and the table says what the same tokens do.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: ThreeLaws = ThreeLaws()
    slope_above: float = 0.0
    lowest_dose_at_most: float = 0.01
    highest_dose_at_least: float = 0.5
    resamples: int = 1000

    about: ClassVar[tuple[str, ...]] = ("extraction.discoverable",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[LawsData]) -> Verdict:
        """The rule, on what was measured."""
        laws = {"copies": _by_copies, "the prompt": self._by_prompt, "the model": _by_size}
        parts = [
            Inequality(f"slope per doubling of {what}", self._estimate(law, seeds), ">", self.slope_above)
            for what, law in laws.items()
        ]
        low, *_, high = _doses(seeds)
        for dose, relation, bound in ((low, "<=", self.lowest_dose_at_most), (high, ">=", self.highest_dose_at_least)):
            parts.append(Inequality(f"extracted at {dose}x", _rate(seeds, dose), relation, bound))  # type: ignore[arg-type]
        return verdict(
            type(self).name,
            parts,
            theirs="log-linear in the model's size, the number of copies and the length of the prompt (125 M to 6 B parameters)",
            found=self._found(seeds),
            table=self._table(seeds),
        )

    def _found(self, seeds: Sequence[LawsData]) -> str:
        same = self._estimate(lambda s, draw: self._by_prompt(s, draw, "same_tokens"), seeds)
        return (
            f"Of passages never seen {words(_rate(seeds, 0))} come out. Asked for the same tokens from ever more of what "
            f"stands before them, the slope per doubling of the prompt is {words(same)}."
        )

    def _by_prompt(self, seeds: Sequence[LawsData], draw: Draw, name: str = "by_length") -> np.ndarray:
        return _slope(self.study.lengths, _rates(seeds, name, draw).mean(axis=1))

    def _estimate(self, law: Law, seeds: Sequence[LawsData]) -> Estimate:
        """The slope, with its interval."""
        rng = np.random.default_rng(0)
        low, high = np.quantile(
            law(seeds, lambda n: rng.multinomial(n, np.full(n, 1 / n), self.resamples)), [0.025, 0.975]
        )
        n = sum(int(np.sum(data.dose > 0)) for data in seeds)
        value, each = law(seeds, _once)[0], [law([data], _once)[0] for data in seeds]
        return wider(float(value), (float(low), float(high)), each, n, "share a doubling")

    def _table(self, seeds: Sequence[LawsData]) -> list[tuple[str, ...]]:
        sizes = [f"{number(p / 1e6)} M parameters" for p in seeds[0].parameters[0]]
        firsts = [f"first {k} tokens" for k in self.study.lengths]
        before = [f"{k} tokens before" for k in self.study.lengths]
        rows = [("copies an epoch", "passages", *sizes, *firsts, *before)]
        for dose in (0, *_doses(seeds)):
            cells = [
                words(share([getattr(d, name)[d.dose == dose, k] for d in seeds]))
                for name in ("by_size", "by_length", "same_tokens")
                for k in range(getattr(seeds[0], name).shape[1])
            ]
            rows.append((str(dose), str(_rate(seeds, dose).n), *cells))
        return rows


def _doses(seeds: Sequence[LawsData]) -> list[int]:
    return sorted({int(d) for data in seeds for d in data.dose if d > 0})


def _rate(seeds: Sequence[LawsData], dose: int) -> Estimate:
    """Of the largest model from the longest prompt."""
    return share([data.by_size[data.dose == dose, -1] for data in seeds])


def _once(n: int) -> np.ndarray:
    """Every passage of a cell counts once."""
    return np.ones((1, n))


def _rates(seeds: Sequence[LawsData], name: str, draw: Draw) -> np.ndarray:
    """Share extracted, (draws, doses, columns); ``draw(n)`` says how often each of the n passages of a cell counts."""
    found = []
    for dose in _doses(seeds):
        right = count = np.zeros(1)
        for data in seeds:
            values = getattr(data, name)[data.dose == dose]
            times = draw(len(values)).astype(np.float64)
            right = right + times @ np.nan_to_num(values)
            count = count + times @ ~np.isnan(values)
        found.append(right / np.maximum(count, 1.0))
    return np.stack(found, axis=1)


def _slope(causes: Sequence[float], rates: np.ndarray) -> np.ndarray:
    """Least squares against log2 of the causes: (draws, causes) to (draws,).

    >>> _slope([1, 2, 4], np.array([[0.0, 0.1, 0.2]])).round(3).tolist()
    [0.1]
    """
    x = np.log2(causes) - np.mean(np.log2(causes))
    return rates @ x / np.sum(x**2)


def _by_copies(seeds: Sequence[LawsData], draw: Draw) -> np.ndarray:
    return _slope(_doses(seeds), _rates(seeds, "by_size", draw)[:, :, -1])


def _by_size(seeds: Sequence[LawsData], draw: Draw) -> np.ndarray:
    return _slope(seeds[0].parameters[0], _rates(seeds, "by_size", draw).mean(axis=1))
