"""Pruning that silences memorised captions, and a searched embedding against the pruned model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..attacks.adversarial_embedding import AdversarialEmbedding
from ..core.errors import BadInput
from ..core.store import Store
from ..core.types import Ask, Budget, Request, Samples
from ..erasers.pruning.wanda import Wanda
from ..extraction.nearest_picture import NearestPicture
from ..observations._engine import Engine
from ..observations.generated_images import GeneratedImages, ImageData, collect
from ..observations.real_pictures import RealPictures


@dataclass(frozen=True)
class PrunedData:
    """One row a picture that was searched for; columns are the distances asked for.

    ``before`` to ``published`` are NaN for pictures never trained on.
    """

    dose: np.ndarray  # (n,) int64: times seen, 0 = never
    before: np.ndarray  # (n, distances) share of pictures drawn from the caption that are copies, target model
    after: np.ndarray  # (n, distances) the same after pruning
    published: np.ndarray  # (n, distances) the same after pruning with the paper's settings
    embedded: np.ndarray  # (n, distances) the same drawn from the embedding found, after pruning
    ceiling: np.ndarray  # (n, distances) the same drawn from the embedding found, target model
    removed: np.ndarray  # (n, 2) share of all weights that were pruned, here and with the paper's settings


@dataclass(frozen=True)
class Pruned:
    """One seed: prune for the captions of pictures seen ``high_from`` times or more, with the settings ``Wanda`` names for
    testbeds, then search an embedding for each of those pictures and for at most ``controls`` never trained on."""

    size: str = "small"
    high_from: int = 256
    controls: int = 8
    distances: tuple[float, ...] = (0.15, 0.25)
    pictures: int = 8
    steps: int = 20

    Data: ClassVar[type] = PrunedData
    testbed: ClassVar[str] = "images"
    modules: ClassVar[tuple[str, ...]] = ()
    ticks: ClassVar[int] = 5

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> PrunedData:
        """Everything at guidance 1."""
        memorised = planted.members.where(lambda s: (s.repeats or 0) >= self.high_from)
        if not memorised:
            raise BadInput(f"no planted picture was seen {self.high_from} times: lower high_from")
        never = planted.nonmembers.take(range(min(self.controls, len(planted.nonmembers))))
        target, request = planted.models["target"], Request(memorised, planted.retain)
        wanda = Wanda(**getattr(Wanda, "testbed_settings", {}))
        models = {"before": target, "after": wanda.apply(target, request), "published": Wanda().apply(target, request)}
        searched, columns = Samples([*memorised, *never]), {}
        others = Samples(s for s in (*planted.members, *planted.nonmembers) if s not in searched)
        blank = np.full((len(never), len(self.distances)), np.nan)
        for name, model in models.items():
            what = GeneratedImages(self.pictures, self.steps, 1.0, seed)
            drawn = Engine(store=Store()).observe(Ask(what), {"target": model}, memorised)
            columns[name] = np.concatenate([self._hits(drawn, memorised, Samples([*never, *others]), target), blank])
            tick()
        attack = AdversarialEmbedding(controls=0, pictures=self.pictures, draw_steps=self.steps)
        for name, model in (("embedded", models["after"]), ("ceiling", target)):
            back = attack.attack(model, Request(searched), Budget(), seed=seed).pictures
            columns[name] = self._hits(collect(back, np.ones(len(back), dtype=bool)), searched, others, target)
            tick()
        shares = [share_of_zeros(target, models[name]) for name in ("after", "published")]
        return PrunedData(
            dose=np.array([s.repeats or 0 for s in searched], dtype=np.int64),
            **columns,
            removed=np.tile(shares, (len(searched), 1)),
        )

    def _hits(self, drawn: ImageData, records: Samples, others: Samples, model: Any) -> np.ndarray:
        """(records, distances): share of a record's pictures that copy its own; pictures of ``others`` are candidates too."""
        asked = Ask(RealPictures())
        real = Engine(store=Store()).observe(asked, {"target": model}, Samples([*records, *others]))
        none = ImageData(
            pixels=type(drawn.pixels).of([*drawn.pixels, *[[]] * len(others)], np.uint8),
            side=real.side,
            reason=np.concatenate([drawn.reason, np.full(len(others), "not drawn", dtype=object)]),
        )
        found = [replace(NearestPicture(), threshold=d).extract(none, real).hits for d in self.distances]
        return np.stack(found, axis=1)[: len(records)]


def share_of_zeros(before: Any, after: Any) -> float:
    """Share of all weights that are 0 after and were not before."""
    pairs = zip(before.named_parameters(), after.named_parameters(), strict=True)
    return sum(int(((b == 0) & (a != 0)).sum()) for (_, a), (_, b) in pairs) / before.parameters
