"""Records attacked by someone who knows others like them: what one claim is read from.

The often-seen plants of the testbed's target (``doses``) are parted at random, half of each family and dose known to
the attacker. For the other half there are ``samples`` draws from the plain model and under two prompts tuned on the known half: with
the smoothed loss, and with the plain mean (alpha 0). All draws come from one sampler and one set of random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Ask, Samples
from ..extraction.ethicist import MEASURES, Ethicist
from ..extraction.verbatim import Verbatim
from ..models.soft_prompt import first_rows
from ..observations._engine import Engine
from ..observations.soft_prompt_generations import SoftPromptGenerations
from ._own_models import extracted

if TYPE_CHECKING:
    import torch

ATTACKS = ("plain", "tuned", "tuned without smoothing")


@dataclass(frozen=True)
class SoftPromptData:
    """One row a record that the attacker does not know; A attacks as in ``ATTACKS``. 1: word for word."""

    family: np.ndarray  # (n,) str
    dose: np.ndarray  # (n,) int64
    greedy: np.ndarray  # (n,) greedy decoding of the plain model
    any_draw: np.ndarray  # (n, A)
    confident: np.ndarray  # (n, A) the draw of highest calibrated confidence
    lowest: np.ndarray  # (n, A) the draw of lowest loss
    nats: np.ndarray  # (n, A) a token of the record's true suffix
    known: np.ndarray  # (n,) int64: how many records the attacker knew, the same in every row


@dataclass(frozen=True)
class SoftPrompts:
    """One seed: tune twice, draw three times."""

    size: str = "small"
    doses: tuple[int, ...] = (4, 8, 16)
    vectors: int = 8
    warmup: int = 5
    batch: int = 4
    samples: int = 20

    Data: ClassVar[type] = SoftPromptData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = len(ATTACKS)

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> SoftPromptData:
        """Ticks after every attack."""
        model = planted.models["target"]
        known, attacked = halves(planted.members, self.doses, seed)
        attack = Ethicist(
            vectors=self.vectors, warmup=self.warmup, batch=self.batch, samples=self.samples, seed=seed
        ).tuned_on(known)
        found = []
        for asked in (unprompted(attack), attack.needs()["said"], replace(attack, alpha=0.0).needs()["said"]):
            engine = Engine(store=Store())
            found.append(attack.extract(engine.observe(asked, {"target": model}, attacked)))
            engine.store.files.rm(engine.store.base, recursive=True)
            tick()
        column = {name: np.stack([f.curves[k].values[:, 0] for f in found], 1) for k, name in enumerate(MEASURES)}
        return SoftPromptData(
            family=np.array([s.family for s in attacked], dtype=object),
            dose=np.array([s.repeats or 0 for s in attacked], dtype=np.int64),
            greedy=extracted(Verbatim(), model, attacked).success,
            any_draw=column["word for word, any draw"],
            confident=column["word for word, most confident draw"],
            lowest=column["word for word, draw of lowest loss"],
            nats=np.stack([-f.log_probability / f.tokens for f in found], 1),
            known=np.full(len(attacked), len(known)),
        )


@dataclass(frozen=True)
class Unprompted(SoftPromptGenerations):
    """The same draws, scored in the same way, under a soft prompt of no vectors: the plain model."""

    def _prompt(self, model: Any) -> torch.Tensor:
        return first_rows(model, 1)[:0]


def unprompted(attack: Ethicist) -> Ask:
    """What ``attack`` asks for, of the plain model."""
    asked = attack.needs()["said"].what
    return Ask(Unprompted(**{f.name: getattr(asked, f.name) for f in fields(asked)}))  # type: ignore[arg-type]


def halves(members: Samples, doses: Sequence[int], seed: int) -> tuple[Samples, Samples]:
    """(known, attacked): every family and dose parted at random, the odd one attacked."""
    rng, known, attacked = np.random.default_rng([seed, 23]), [], []
    for family in sorted({s.family for s in members}):
        for dose in doses:
            cell = members.where(lambda s, f=family, d=dose: s.family == f and s.repeats == d)
            order = rng.permutation(len(cell))
            known += cell.take(order[: len(cell) // 2])
            attacked += cell.take(order[len(cell) // 2 :])
    return Samples(known), Samples(attacked)
