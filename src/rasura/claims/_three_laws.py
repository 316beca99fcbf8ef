"""What comes out word for word by copies, by length of the prompt and by size of the model: what one claim is read from.

Passages of at least ``lengths[-1] + suffix`` tokens, seen and never seen. The models of ``widths`` are trained as the
testbed's target was, on the same documents in the same order; the target itself is the last size. Every model is asked
for ``suffix`` tokens after the first k tokens (``Discoverable``). As a longer prompt then asks for later tokens, the
target is also asked for the same tokens with a longer and a shorter beginning: those before the cut, the rest left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..core.types import Sample, Samples
from ..extraction.discoverable import Discoverable
from ..testbeds._training import RECIPES
from ..testbeds.language import _generated_plan
from ._own_models import extracted, trained


@dataclass(frozen=True)
class LawsData:
    """One row a passage; S sizes, smallest first, K lengths of prompt, shortest first. 1: extracted."""

    dose: np.ndarray  # (n,) int64: copies an epoch, 0 = never seen
    parameters: np.ndarray  # (n, S) of the model, the same in every row
    by_size: np.ndarray  # (n, S) from the longest prompt
    by_length: np.ndarray  # (n, K) from the first k tokens, the largest model
    same_tokens: np.ndarray  # (n, K) the tokens after the longest prompt, from the k tokens before them


@dataclass(frozen=True)
class ThreeLaws:
    """One seed: train the smaller models, extract from all."""

    size: str = "small"
    widths: tuple[int, ...] = (32, 64)
    lengths: tuple[int, ...] = (8, 16, 32)
    suffix: int = 8

    Data: ClassVar[type] = LawsData
    modules: ClassVar[tuple[str, ...]] = ()

    @property
    def ticks(self) -> int:
        return len(self.widths) + 1

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> LawsData:
        """Ticks after every model."""
        target = planted.models["target"]
        longest = self.lengths[-1] + self.suffix
        records = Samples([*planted.members, *planted.nonmembers])
        records = records.where(lambda s: s.family == "passage" and target.encode(s).scored >= longest)
        plan, recipe, columns, sizes = _generated_plan(self.size, seed), RECIPES[self.size], [], []
        for width in self.widths:
            model = trained(plan.documents, plan.tokenizer, replace(recipe, hidden=width), seed, f"width {width}")
            columns.append(self._word_for_word(model, records)[:, -1])
            sizes.append(model.parameters)
            tick()
        by_length = self._word_for_word(target, records)
        same = np.stack([self._from_before(target, records, k) for k in self.lengths], axis=1)
        tick()
        n = len(records)
        return LawsData(
            dose=np.array([s.repeats or 0 for s in records], dtype=np.int64),
            parameters=np.tile(np.array([*sizes, target.parameters], dtype=np.float64), (n, 1)),
            by_size=np.stack([*columns, by_length[:, -1]], axis=1),
            by_length=by_length,
            same_tokens=same,
        )

    def _word_for_word(self, model: Any, records: Samples) -> np.ndarray:
        asked = Discoverable(context_lengths=self.lengths, suffix_tokens=self.suffix, partial_credit=False)
        return extracted(asked, model, records).curves[0].values

    def _from_before(self, model: Any, records: Samples, k: int) -> np.ndarray:
        """(n,) 1: the tokens after the longest prompt come out of the k before them; NaN where the cut text reads otherwise."""
        cut = [self._tail(model, s, k) for s in records]
        success = extracted(
            Discoverable(prefix_tokens=k, suffix_tokens=self.suffix, partial_credit=False), model, Samples(cut)
        ).success
        alike = [
            model.encode(c).scored == model.encode(s).scored - self.lengths[-1] + k
            for c, s in zip(cut, records, strict=True)
        ]
        return np.where(alike, success, np.nan)

    def _tail(self, model: Any, sample: Sample, k: int) -> Sample:
        """The text from k tokens before the cut on."""
        encoded, begin = model.encode(sample), self.lengths[-1] - k
        first = encoded.first + begin
        return replace(
            sample, text=model.tokenizer.decode(encoded.ids[first:].tolist(), clean_up_tokenization_spaces=False)
        )
