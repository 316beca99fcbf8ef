"""Pandora's White-Box: more than half of the fine-tuning set can be extracted after three epochs."""

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
from ._finetuning import Finetuning, FinetuningData
from ._pool import share
from ._seeds import each_seed


@method(paper="arXiv:2402.17012")
@dataclass(frozen=True)
class PandoraExtractionHalf:
    """Over half of the fine-tuning set comes out word for word after ``epoch`` epochs, from the first half of each text.

    Fine-tuning as in ``_finetuning``, 200 texts. A record counts as extracted when one of 10 continuations of its first
    half (top-k 10, temperature 1) is its second half token for token. Also reported: greedy decoding; the pick of least
    l_ft/l_base and of least l_ft among the 10; greedy decoding from 16 tokens; the greedy floor on texts never trained
    on. If half is only passed after the loss on such texts has risen, it takes over-training. Bound frozen before the run.

    Source: Wang, Wang, Li and Neel, "Pandora's White-Box: precise training data detection and extraction in large
    language models", 2024. Deviations: prompts of half a text instead of 50 tokens; texts of some 46 tokens; a model
    1500 times smaller than the Pythia-1B of the authors' script.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: Finetuning = Finetuning()
    epoch: int = 3
    extracted_at_least: float = 0.5

    about: ClassVar[tuple[str, ...]] = ()  # no method file of its own: it is an attack on a pair of models
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[FinetuningData]) -> Verdict:
        """The rule, on what was measured."""
        part = Inequality(
            f"share extracted by any of the draws after {self.epoch} epochs",
            _members(seeds, "any_draw", self.epoch),
            ">=",
            self.extracted_at_least,
        )
        return verdict(
            type(self).name,
            (part,),
            theirs="over 50 % of the fine-tuning set (the authors' script: Pythia-1B, 2000 records, 3 epochs)",
            found=self._found(seeds),
            table=_table(seeds),
        )

    def _found(self, seeds: Sequence[FinetuningData]) -> str:
        epochs = range(1, seeds[0].plain.shape[1] + 1)
        passed = {
            what: next((e for e in epochs if _members(seeds, name, e).value >= self.extracted_at_least), None)
            for what, name in (("any draw", "any_draw"), ("the pick by ratio", "by_ratio"), ("greedy decoding", "half"))
        }
        said = ", ".join(f"{what} at epoch {e}" if e else f"{what} never" for what, e in passed.items())
        drawn = ", ".join(str(e) for e in epochs if _members(seeds, "any_draw", e).known)
        outside = [_outside(seeds, e) for e in (0, *epochs)]
        least = int(np.argmin(outside))
        when = f"after epoch {least}" if least else "before any of it"
        return (
            f"Half is passed by {said} (draws were made at epochs {drawn}). The loss on texts never fine-tuned on is least "
            f"{when} ({outside[least]:.2f} nats a token) and {outside[-1]:.2f} at the end."
        )


def _members(seeds: Sequence[FinetuningData], name: str, epoch: int, member: int = 1) -> Estimate:
    return share([getattr(data, name)[data.member == member, epoch - 1] for data in seeds])


def _outside(seeds: Sequence[FinetuningData], epoch: int) -> float:
    """Mean loss of the texts that were not trained on; epoch 0 is the base model."""
    if epoch == 0:
        return float(np.mean([np.mean(data.base[data.member == 0]) for data in seeds]))
    return float(np.mean([-np.mean(data.plain[data.member == 0, epoch - 1]) for data in seeds]))


def _table(seeds: Sequence[FinetuningData]) -> list[tuple[str, ...]]:
    rows = [
        (
            "epoch",
            "loss of others",
            "any of the draws",
            "pick by ratio",
            "pick by loss",
            "greedy",
            "greedy from 16 tokens",
            "greedy, never trained on",
        )
    ]
    for epoch in range(1, seeds[0].plain.shape[1] + 1):
        found = [_members(seeds, name, epoch) for name in ("any_draw", "by_ratio", "by_loss", "half", "rest")]
        cells = [words(e) if e.known else "" for e in (*found, _members(seeds, "half", epoch, 0))]
        rows.append((str(epoch), f"{_outside(seeds, epoch):.2f}", *cells))
    return rows
