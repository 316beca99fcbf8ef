"""CPU seconds of closed-form edits on random matrices of Stable Diffusion 1.4's shape, one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..erasers.edits.rece import rounds
from ..models.text_map import TextMap, gram_of

if TYPE_CHECKING:
    import torch

RECE, TIME, TIME_VALUES = "RECE", "TIME, keys and values", "TIME, values alone"
WIDTHS = (*[320] * 10, *[640] * 10, *[1280] * 12)  # rows of the 32 key and value matrices of SD 1.4


@dataclass(frozen=True)
class CostData:
    """One row an edit and repeat."""

    edit: np.ndarray  # (n,) str
    seconds: np.ndarray  # (n,) CPU seconds of the process


@dataclass(frozen=True)
class EditCost:
    """One seed: ``repeats`` edits of each kind, ``positions`` rows of width ``width``; prompts are already encoded.

    RECE: the Gram matrix of the layers, the start, ``rounds`` rounds in d x d space, and the weights written once. TIME:
    one system of all positions, and the weights written once; values alone, and keys and values.
    """

    width: int = 768
    positions: int = 77
    rounds: int = 3
    repeats: int = 5
    widths: tuple[int, ...] = WIDTHS

    Data: ClassVar[type] = CostData
    testbed: ClassVar[str] = ""
    modules: ClassVar[tuple[str, ...]] = ()

    @property
    def ticks(self) -> int:
        return self.repeats

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> CostData:
        """Edits take turns, so that a slow moment of the machine hits all of them."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        layers = [torch.randn(o, self.width, generator=generator) / self.width**0.5 for o in self.widths]
        concept, guide, empty = (self._text(generator) for _ in range(3))
        kinds: dict[str, Callable[[], Any]] = {
            RECE: lambda: self._rece(layers, concept, guide, empty),
            TIME: lambda: time_edit(layers, concept, guide),
            TIME_VALUES: lambda: time_edit(layers[::2], concept, guide),  # one of every pair
        }
        rows = []
        for _ in range(self.repeats):
            rows += [(kind, seconds(run)) for kind, run in kinds.items()]
            tick()
        edit, spent = zip(*rows, strict=True)
        return CostData(np.array(edit, dtype=object), np.array(spent))

    def _text(self, generator: torch.Generator) -> torch.Tensor:
        """Positions alike, as a text encoder's are: (positions, width)."""
        import torch

        rows = torch.randn(self.positions, self.width, generator=generator)
        return torch.randn(self.width, generator=generator) + 0.5 * rows

    def _rece(
        self, layers: list[torch.Tensor], concept: torch.Tensor, guide: torch.Tensor, empty: torch.Tensor
    ) -> list[torch.Tensor]:
        text_map = TextMap.of_rows(concept, guide, 1.0, 0.5, kept=empty, kept_scale=1.0)

        def edit(found: torch.Tensor) -> TextMap:
            return TextMap.of_rows(found, guide, 1.0, 0.1, kept=empty, kept_scale=0.1)

        text_map, _ = rounds(text_map, gram_of(layers), concept, 0.1, self.rounds, edit)
        return [text_map.of_weight(w) for w in layers]


def time_edit(layers: list[torch.Tensor], source: torch.Tensor, target: torch.Tensor) -> list[torch.Tensor]:
    """Every position of one prompt to a position of another."""
    text_map = TextMap.of_rows(source, target, 1.0, 0.1)
    return [text_map.of_weight(w) for w in layers]


def seconds(run: Callable[[], Any]) -> float:
    """CPU seconds of this process, all its threads together."""
    began = time.process_time()
    run()
    return time.process_time() - began
