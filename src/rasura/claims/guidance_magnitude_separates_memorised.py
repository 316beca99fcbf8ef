"""Wen et al.: memorised captions pull harder at the sampler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..observations._engine import Progress, quiet
from ._decide import Inequality, verdict, words
from ._magnitudes import ORDINARY, MagnitudeRows, Magnitudes
from ._pool import pooled_auc
from ._seeds import each_seed


@method(paper="arXiv:2407.21720")
@dataclass(frozen=True)
class GuidanceMagnitudeSeparatesMemorised:
    """How hard a caption pulls tells captions of often repeated pictures from captions of the same family never trained on.

    On the `images` testbed, AUC of ``signals.guidance_magnitude`` with the paper's settings (4 noises, 50 steps, guidance
    7.5) for planted captions seen ``high_from`` times or more against never-trained captions of their own family: the
    honest control, since a rare caption pulls hard by itself. At least ``auc_at_least``; seeds pooled by their members. The
    flattering comparison, against captions of ordinary training scenes, the cheap version of one step and the settings the
    signal's file names for testbeds are listed.
    Thresholds frozen before the run. To hold, the lower end must reach ``auc_at_least``, which takes at least 72
    memorised captions in perfect order.

    Source: Wen, Liu, Chen and Lyu, "Detecting, explaining, and mitigating memorization in diffusion models", 2024 (500
    memorised against 500 ordinary prompts of Stable Diffusion).
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Magnitudes = Magnitudes()
    high_from: int = 256
    auc_at_least: float = 0.95

    modality: ClassVar[str] = "images"
    about: ClassVar[tuple[str, ...]] = ("signals.guidance_magnitude",)
    testbed: ClassVar[str] = "images"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[MagnitudeRows]) -> Verdict:
        """The rule, on what was measured."""
        honest = self._auc(seeds, "full", 0)
        flattering, here = self._auc(seeds, "full", ORDINARY), self._auc(seeds, "testbed", 0)
        what = f"AUC of captions seen {self.high_from} times or more against never-trained ones of their family"
        m = sum(int((d.dose >= self.high_from).sum()) for d in seeds)
        return verdict(
            type(self).name,
            (Inequality(what, honest, ">=", self.auc_at_least),),
            theirs="AUC .994 for 500 memorised against 500 ordinary prompts of Stable Diffusion (authors' notebook)",
            found=(
                f"Against captions of ordinary scenes, which flatters, the AUC is {words(flattering)}. {m} memorised "
                f"captions in perfect order would be {words(_perfect(m))}. With the signal's settings for testbeds the honest AUC "
                f"is {words(here)}."
            ),
            table=self._table(seeds),
        )

    def _auc(self, seeds: Sequence[MagnitudeRows], version: str, against: int, doses: tuple[int, ...] = ()) -> Estimate:
        sides = []
        for data in seeds:
            mine = np.isin(data.dose, doses) if doses else data.dose >= self.high_from
            values = getattr(data, version)
            sides.append([(values[mine], values[data.dose == against])])
        return pooled_auc(sides)

    def _table(self, seeds: Sequence[MagnitudeRows]) -> list[tuple[str, ...]]:
        head = (
            "times seen",
            "captions",
            "mean",
            "AUC, same family",
            "AUC, ordinary (flattering)",
            "one step: AUC, same family",
            "settings for testbeds: AUC, same family",
        )
        rows: list[tuple[str, ...]] = [head]
        for dose in sorted({int(d) for data in seeds for d in data.dose}):
            values = np.concatenate([data.full[data.dose == dose] for data in seeds])
            name = {ORDINARY: "ordinary scene", 0: "never, same family"}.get(dose, str(dose))
            aucs = [
                words(self._auc(seeds, *asked, (dose,))) if dose > 0 else ""
                for asked in (("full", 0), ("full", ORDINARY), ("first", 0), ("testbed", 0))
            ]
            rows.append((name, str(len(values)), f"{np.nanmean(values):.3f}", *aucs))
        return rows


def _perfect(m: int) -> Estimate:
    """The AUC of m members that all stand above their non-members."""
    return pooled_auc([[(np.ones(m), np.zeros(m))]])
