"""ReCIT: what participants of federated fine-tuning type can be read off the gradients of their adapters."""

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
from ..stats.intervals import mean_estimate
from ._adapter_leaks import AdapterLeakData, AdapterLeaks
from ._decide import Inequality, verdict, words
from ._pool import clipped, contrast, share, wider
from ._seeds import each_seed


@method(paper="arXiv:2504.20570")
@dataclass(frozen=True)
class AdapterGradientsGiveTokensAway:
    """The tokens of a federated batch are read off LoRA gradients while they fit the adapters' rank, and fade beyond it.

    Batches of 8, 32 and 128 tokens from documents the model never saw, LoRA of ranks 4, 16 and 64 on the first attention
    layer (see ``_adapter_leaks``). Mean F1 of the set of tokens: at least ``f1_at_least`` in every cell whose tokens are no
    more than the rank; and for every rank with cells on both sides, its smallest F1 within minus its largest beyond above
    ``decay_above``. Student's t over batches, or over seeds if wider. Bounds frozen before the run.

    Source: Xie, He, Li, Jia and Ji, "ReCIT: reconstructing full private data from gradient in parameter-efficient
    fine-tuning of large language models", 2025. Deviations: the reduced method of this package (span of the gradient and
    beam search). Their claim, that large batches are recovered, stands on filters and a model fine-tuned on notes beforehand, which are not
    built here; the note's doubling of what is recovered is therefore not tested.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    study: AdapterLeaks = AdapterLeaks()
    f1_at_least: float = 0.9
    decay_above: float = 0.0

    about: ClassVar[tuple[str, ...]] = ("extraction.federated_gradients",)
    testbed: ClassVar[str] = "language"

    def check(self, store: Store, progress: Progress = quiet) -> Verdict:
        """Raises BadInput when the store cannot be written."""
        return self.decide(each_seed(self.study, self.seeds, store, progress))

    def decide(self, seeds: Sequence[AdapterLeakData]) -> Verdict:
        """The rule, on what was measured."""
        ranks, sizes = self.study.ranks, sorted({int(t) for data in seeds for t in data.tokens})
        f1 = {(r, t): _mean(seeds, "f1", r, t) for r in ranks for t in sizes}
        parts = [Inequality(f"F1 of {t} tokens at rank {r}", f1[r, t], ">=", self.f1_at_least) for r, t in f1 if t <= r]
        for r in ranks:
            within, beyond = [f1[r, t] for t in sizes if t <= r], [f1[r, t] for t in sizes if t > r]
            if within and beyond:
                fall = contrast(min(within, key=lambda e: e.value), max(beyond, key=lambda e: e.value))
                parts.append(Inequality(f"fall of F1 beyond rank {r}", fall, ">", self.decay_above))
        best, most = max(ranks), max(sizes)
        return verdict(
            type(self).name,
            parts,
            theirs="private data is recovered in full from LoRA gradients, at large batches as well",
            found=(
                f"A batch of {most} tokens at rank {best} still gives its set of tokens away with F1 {words(f1[best, most])}; a "
                f"text of it comes out whole in {words(_exact(seeds, best, most))} of the batches."
            ),
            table=self._table(seeds, sizes),
        )

    def _table(self, seeds: Sequence[AdapterLeakData], sizes: Sequence[int]) -> list[tuple[str, ...]]:
        measures = {"precision": "precision", "recall": "recall", "f1": "F1", "rouge": "ROUGE-L"}
        rows = [("rank", "tokens in the batch", *measures.values(), "a text recovered whole")]
        for rank in self.study.ranks:
            for tokens in sizes:
                cells = [words(_mean(seeds, name, rank, tokens)) for name in measures]
                rows.append((str(rank), str(tokens), *cells, words(_exact(seeds, rank, tokens))))
        return rows


def _cells(seeds: Sequence[AdapterLeakData], name: str, rank: int, tokens: int) -> list[np.ndarray]:
    return [getattr(d, name)[(d.rank == rank) & (d.tokens == tokens)] for d in seeds]


def _mean(seeds: Sequence[AdapterLeakData], name: str, rank: int, tokens: int) -> Estimate:
    each = _cells(seeds, name, rank, tokens)
    items = mean_estimate(np.concatenate(each), name, bounds=(0.0, 1.0))
    return clipped(wider(items.value, (items.low, items.high), [float(np.nanmean(v)) for v in each], items.n, name))


def _exact(seeds: Sequence[AdapterLeakData], rank: int, tokens: int) -> Estimate:
    return share(_cells(seeds, "exact", rank, tokens))
