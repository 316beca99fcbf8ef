"""An observation that is slow and leaves a trace, for workers of a cluster to run."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from rasura.core.errors import BadInput
from rasura.core.types import Samples


@dataclass(frozen=True)
class StepData:
    length: np.ndarray  # characters of each text


@dataclass(frozen=True)
class Steps:
    """Writes one line "process, shard" when it begins a batch, and one when it is done."""

    trace: str
    seconds: float = 0.4
    refuses: str = ""

    version: ClassVar[int] = 1
    Data: ClassVar[type] = StepData

    def measure(self, model, batch: Samples) -> StepData:
        self._say("begins", batch)
        if self.refuses and any(self.refuses in s.text for s in batch):
            raise BadInput(f"record with '{self.refuses}': deliberate")
        time.sleep(self.seconds)
        self._say("ends", batch)
        return StepData(np.array([float(len(s.text)) for s in batch]))

    def _say(self, what: str, batch: Samples) -> None:
        with Path(self.trace).open("a") as file:  # one short write to a file opened for appending is whole
            file.write(f"{what} {os.getpid()} {min(s.text for s in batch)}\n")
