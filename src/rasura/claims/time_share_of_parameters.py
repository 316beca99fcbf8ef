"""TIME: a fiftieth of the network, in under a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..core.types import Estimate
from ..observations._engine import Progress, quiet
from ._decide import Inequality, number, verdict, words
from ._edit_cost import TIME, TIME_VALUES, CostData, EditCost
from ._pool import median
from ._seeds import each_seed
from ._stable_diffusion import counted


@method(paper="arXiv:2303.08084")
@dataclass(frozen=True)
class TimeShareOfParameters:
    """TIME edits 2.2 % of the parameters of Stable Diffusion 1.4's U-Net, in under a second.

    (1) Parameters of the key and value matrices of cross-attention, in percent of all of the U-Net's, counted on a network
    of the published configuration: within ``off_by_at_most`` points of ``percent``; an exact count, so its interval is a
    point. (2) The median CPU time of one edit of all 77 positions as one text map on random matrices of that shape, one
    thread, prompts already encoded, all keys and values written: below ``seconds_below``. Values alone, which the authors'
    code edits unless its flag is set, are listed. Thresholds frozen before the run.

    Source: Orgad, Kawar and Belinkov, "Editing implicit assumptions in text-to-image diffusion models", 2023.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: EditCost = EditCost()
    percent: float = 2.2
    off_by_at_most: float = 0.05
    seconds_below: float = 1.0

    modality: ClassVar[str] = "images"
    about: ClassVar[tuple[str, ...]] = ("erasers.edits.time",)
    testbed: ClassVar[str] = "images"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written, MissingDependency without diffusers."""
        return self.decide(each_seed(self.study, self.seeds, store, progress), counted())

    def decide(self, seeds: Sequence[CostData], parameters: Mapping[str, int]) -> Verdict:
        """The rule, on what was measured and counted."""
        both = 100 * (parameters["keys"] + parameters["values"]) / parameters["all"]
        values = 100 * parameters["values"] / parameters["all"]
        off = abs(both - self.percent)
        spent = {
            kind: median([d.seconds[d.edit == kind] for d in seeds], "CPU seconds") for kind in (TIME, TIME_VALUES)
        }
        parts = (
            Inequality(
                f"points between the edited share and {self.percent:g} %",
                Estimate(off, off, off, parameters["all"], "percent"),
                "<=",
                self.off_by_at_most,
            ),
            Inequality("CPU seconds of an edit", spent[TIME], "<", self.seconds_below),
        )
        rows = [
            ("edited", "parameters", f"of {parameters['all']}", "CPU seconds"),
            ("keys and values", str(parameters["keys"] + parameters["values"]), f"{both:.3f} %", words(spent[TIME])),
            ("values alone", str(parameters["values"]), f"{values:.3f} %", words(spent[TIME_VALUES])),
        ]  # fmt: skip
        return verdict(
            type(self).name,
            parts,
            theirs="2.2 % of the model's parameters in under one second",
            found=f"Keys and values are {number(both)} % of the U-Net, values alone {number(values)} %.",
            table=rows,
        )
