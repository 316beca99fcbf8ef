"""Was this pile of text written by a model made from mine? Text alone decides; nobody's model is asked but my own."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.stats import t as student

from ..core.errors import BadInput
from ..core.protocols import Query
from ..core.records import MarkTest
from ..core.registry import method
from ..core.types import Ask, Estimate, Samples
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.randomness import permutation_p_value, spearman
from ._math import order_p_value

WORDS = re.compile(r"\w+")


@method(paper="arXiv:2510.19796")
@dataclass(frozen=True)
class PalimpsestObservational:
    """How likely a text is under my training's true order, against the same training with its end in other orders.

    Reshuffling (their approach with retrained models). From one checkpoint the last part of the training is run again:
    once in its true order (role "target"; rerun, because a kept model differs by rounding), and m times in orders drawn
    at random (roles "shuffle_1" .. "shuffle_m"). With L_j the summed log-probability of the texts under model j,

        p = (1 + #{ j : L_j >= L_true }) / (1 + m)

    exact if the texts are independent of the new orders. It cannot be below 1/(1 + m): with m = 9, .1; take 99, or read
    the distance L_true - mean_j L_j (nats, with Student's prediction interval), which assumes a normal spread.

    Partition (``partition``, no model at all): for every word of the texts the longest run of at most ``longest`` words
    starting there that some training text holds; runs held by more than ``most`` training texts carry no order and are
    dropped. Each run gives 1/(number of texts that hold it) to the position of each; Spearman's correlation of position
    and matches, p by permuting positions.

    Source: Kuditipudi, Huang, Zhu, Yang, Potts and Liang, "Blackbox model provenance via palimpsestic membership
    inference", 2025. Deviations: a dictionary of the runs of words in place of their index of a large corpus, so
    ``partition`` is for corpora that fit in memory; runs are weighted and frequent ones dropped, theirs all count alike.

    By hand: true order -10, four others -12, -11, -9, -13: one is as likely, p = 2/5.

    >>> permutation_p_value([-12.0, -11.0, -9.0, -13.0], -10.0)
    0.4
    """

    longest: int = 8
    most: int = 4
    draws: int = 9999
    seed: int = 0

    evidence: ClassVar[str] = "texts"
    finds: ClassVar[str] = "the texts come from a model of the training in this order"

    def queries(self, evidence: Samples, roles: Collection[str]) -> Mapping[str, Query]:
        """Raises BadInput without a model of the true order and one of another."""
        shuffles = sorted(r for r in roles if r.startswith("shuffle_"))
        if "target" not in roles or not shuffles:
            raise BadInput(
                "palimpsest_observational: needs the true order as target and others as shuffle_1, shuffle_2, ..."
            )
        return {role: Query(Ask(TokenStatistics(), of=role), evidence) for role in ("target", *shuffles)}

    def test(self, evidence: Samples, target: TokenData, **shuffles: TokenData) -> tuple[MarkTest, ...]:
        scored = np.stack([d.log_probability.sum() for d in (target, *shuffles.values())])
        usable = ~np.isnan(scored).any(axis=0)
        if not usable.any():
            nothing = Estimate(float("nan"), float("nan"), float("nan"), 0, "nats", note="no text could be scored")
            return (MarkTest("true order among others", nothing, float("nan"), 0, nothing.note),)
        true, *others = scored[:, usable].sum(axis=1).tolist()
        p = permutation_p_value(others, true)
        note = f"rank {1 + sum(o > true for o in others)} of {1 + len(others)}"
        return (MarkTest("true order among others", _distance(true, np.array(others)), p, len(others), note),)

    def partition(self, texts: Samples, transcript: Any) -> MarkTest:
        """Do the texts match later training texts more? ``transcript``: data.transcripts.Transcript."""
        counts = self.matches(texts, transcript.samples)
        rho = spearman(transcript.position, counts)
        flat = np.ptp(counts) == 0 or np.ptp(transcript.position) == 0
        p = float("nan") if flat else order_p_value(transcript.position, counts, self.draws, self.seed)
        return MarkTest("matches by position", rho, p, len(counts), f"{counts.sum():.0f} runs matched")

    def matches(self, texts: Samples, training: Samples) -> np.ndarray:
        """Weight of the runs of words each training text shares with the texts: (n,).

        "big red" stands in both training texts and counts half for each; "red dog" in the second alone.

        >>> m = PalimpsestObservational(longest=2)
        >>> m.matches(Samples.of(["big red dog"]), Samples.of(["big red", "big red dog"])).tolist()
        [0.5, 2.5]
        """
        index = self._index(training)
        counts = np.zeros(len(training))
        for text in texts.texts:
            words = WORDS.findall(text.lower())
            for at in range(len(words)):
                for n in range(min(self.longest, len(words) - at), 0, -1):
                    holders = index.get(tuple(words[at : at + n]))
                    if holders is not None:
                        if len(holders) <= self.most:
                            counts[list(holders)] += 1 / len(holders)
                        break
        return counts

    def _index(self, training: Samples) -> dict[tuple[str, ...], set[int]]:
        index: dict[tuple[str, ...], set[int]] = defaultdict(set)
        for i, text in enumerate(training.texts):
            words = WORDS.findall(text.lower())
            for n in range(1, self.longest + 1):
                for at in range(len(words) - n + 1):
                    index[tuple(words[at : at + n])].add(i)
        return index


def _distance(true: float, others: np.ndarray) -> Estimate:
    """L_true minus the mean of the others, with the interval a further order would fall into around 0."""
    m, value = len(others), true - float(np.mean(others))
    if m < 2:
        return Estimate(value, -np.inf, np.inf, m, "nats", note="one other order has no spread to measure")
    half = float(student.ppf(0.975, m - 1) * np.std(others, ddof=1) * np.sqrt(1 + 1 / m))
    return Estimate(value, value - half, value + half, m, "nats")
