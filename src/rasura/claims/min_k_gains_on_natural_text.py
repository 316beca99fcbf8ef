"""Min-K%: the least likely tokens tell members better than all of them, if some tokens are likely in any case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..core.records import Verdict
from ..core.registry import method
from ..core.store import Store
from ..observations._engine import Progress, quiet
from ._decide import Inequality, verdict, words
from ._gains import LOW, by_dose, gain, size
from ._seeds import each_seed
from ._signal_scores import SECRETS, SignalData, SignalScores


@method(paper="arXiv:2310.16789")
@dataclass(frozen=True)
class MinKGainsOnNaturalText:
    """Min-K% beats the loss on natural text and equals it where every token is a surprise.

    AUC of Min-K% minus AUC of the loss, same texts. (1) Passages of every dose: above 0. (2) Random digits, the secrets
    of canaries and code scored behind the rest of their record: within ``equal_within`` of 0 on either side, family by
    family and pooled. Frozen before the run; k is the paper's 20 %.

    Source: Shi et al., "Detecting pretraining data from large language models", ICLR 2024.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: SignalScores = SignalScores()
    equal_within: float = 0.02

    about: ClassVar[tuple[str, ...]] = ("signals.min_k",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[SignalData]) -> Verdict:
        """The rule, on what was measured."""
        passages = [[data.only("passage")] for data in seeds]
        digits = [[data.only(group) for group in SECRETS.values()] for data in seeds]
        random = gain(digits, "min_k", "loss")
        parts = (
            Inequality("gain over the loss on passages", gain(passages, "min_k", "loss"), ">", 0.0),
            Inequality("|the same| on random digits", size(random), "<=", self.equal_within),
        )
        return verdict(
            type(self).name,
            parts,
            theirs="7.4 % better AUC than the best of the earlier methods on WikiMIA, models of 2.7 to 65 B parameters",
            found=f"On random digits the gain is {words(random)}. On passages seen at most {LOW[-1]} times an epoch the gain is {words(gain(passages, 'min_k', 'loss', LOW))}.",
            table=_table(passages, digits),
        )


def _table(passages: Sequence[Sequence[SignalData]], digits: Sequence[Sequence[SignalData]]) -> list[tuple[str, ...]]:
    columns = {"loss": "loss", "Min-K%": "min_k"}
    rows = []
    for name, seeds in (("passages", passages), ("random digits", digits)):
        head, *body = by_dose(seeds, columns)
        rows += [] if rows else [("texts", *head)]
        rows += [(name, *row) for row in body]
    return rows
