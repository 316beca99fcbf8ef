"""Dataset inference on passages seen once an epoch against their twins, and on unseen passages against each other.

The control cuts the never-seen passages at random into two collections, again and again, each into halves A and B, and
tests as if one were suspect: given the texts, these cuts are independent draws, so rejections are counted as such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.store import Store
from ..core.types import Known, Samples
from ..observations._engine import Engine
from ..signals.dataset_inference import DatasetInference
from ..stats.blind import blind_baseline

TEST, CONTROL, SUSPECT, VALIDATION, BLIND = "test", "control", "suspect", "validation", "blind"


@dataclass(frozen=True)
class CollectionData:
    """One row a number."""

    what: np.ndarray  # (n,) str: TEST, CONTROL, BLIND: p values; SUSPECT, VALIDATION: scores of half B
    value: np.ndarray  # (n,) float64

    def of(self, what: str) -> np.ndarray:
        """Values of one kind."""
        return self.value[self.what == what]


@dataclass(frozen=True)
class Collections:
    """One seed: one test of the passages of ``dose``, and ``repetitions`` of the control."""

    size: str = "small"
    dose: int = 1
    repetitions: int = 500

    Data: ClassVar[type] = CollectionData
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 2

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> CollectionData:
        """Six passes a text: as it is, and perturbed in five ways."""
        suspects = planted.members.where(lambda s: s.family == "passage" and s.repeats == self.dose)
        unseen = planted.nonmembers.where(lambda s: s.family == "passage")
        found = self._test(seed, suspects, planted.like(suspects), planted.models["target"])
        tick()
        found[CONTROL] = self._control(seed, _observed(planted.models["target"], unseen), len(unseen))
        tick()
        what = np.repeat(np.array(list(found), dtype=object), [len(values) for values in found.values()])
        return CollectionData(what, np.concatenate(list(found.values())))

    def _test(self, seed: int, suspects: Samples, validation: Samples, model: Any) -> dict[str, np.ndarray]:
        """The p value of one cut, fixed by the seed, the scores behind it, and what the texts alone give away."""
        observed = _observed(model, Samples([*suspects, *validation]))
        rng = np.random.default_rng([seed, 0xD1])
        sides = [rng.permutation(len(suspects)), len(suspects) + rng.permutation(len(validation))]
        p_value, scores = _inference(sides, observed)
        blind = blind_baseline(suspects.texts, validation.texts, seed=seed).p_value
        return {TEST: np.array([p_value]), BLIND: np.array([blind]), SUSPECT: scores[0], VALIDATION: scores[1]}

    def _control(self, seed: int, observed: Mapping[str, Any], n: int) -> np.ndarray:
        """p values of random cuts of texts that were all never seen: (repetitions,)."""
        rng = np.random.default_rng([seed, 0xD2])
        cuts = [np.array_split(rng.permutation(n), 2) for _ in range(self.repetitions)]
        return np.array([_inference(sides, observed)[0] for sides in cuts])


def _observed(model: Any, texts: Samples) -> dict[str, Any]:
    asks = DatasetInference().needs()
    seen = Engine(store=Store()).observe_all(asks.values(), {"target": model}, texts)
    return {name: seen[ask] for name, ask in asks.items()}


def _inference(sides: list[np.ndarray], observed: Mapping[str, Any]) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """p value and scores of the halves B; ``sides``: shuffled rows of suspect and validation texts, first halves are A."""
    signal = DatasetInference()
    (a, b), (c, d) = (np.split(rows, [len(rows) // 2]) for rows in sides)
    scores = signal.score(Known(a, c), **observed)
    return signal.collection_p_value(scores[b], scores[d]), (scores[b], scores[d])
