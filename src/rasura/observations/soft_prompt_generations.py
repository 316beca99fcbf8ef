"""What the model says under a soft prompt that was tuned on records known to be in its training data.

The prompt is tuned once a model (``training/soft_prompt``), from nothing but the model, the known records and the settings,
so a pass that was killed goes on with the same one. Continuations are drawn as in ``Generations`` and scored under the same
prompt at temperature 1 without truncation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ragged, Sample, Samples
from ._cut import cut_of
from ._draw_scores import DrawScores, draw_scores
from .generations import GenerationData, Generations

if TYPE_CHECKING:
    import torch

    from ..training.soft_prompt import SoftPromptTuning

SHARED = 8  # tokens: a prompt or suffix at least this long that a known record has too is the same text
_TUNED: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


class KnownRecords(str):
    """Records by the hash of their contents, which is all that a setting, a record or a cache key shows of them.

    >>> known = KnownRecords.of(Samples.of(["a secret", "another"]))
    >>> known == KnownRecords.of(known.samples), "secret" in repr(known), len(known.samples)
    (True, False, 2)
    """

    samples: Samples

    @classmethod
    def of(cls, samples: Samples) -> KnownRecords:
        made = cls(samples.digest)
        made.samples = samples
        return made


@dataclass(frozen=True)
class SoftPromptGenerationData:
    """One row a sample; k = ``samples_each`` draws."""

    ids: Ragged  # int64: drawn tokens, draw after draw, without the end-of-text token
    lengths: np.ndarray  # (n, k) int64: tokens of each draw
    log_probability: Ragged  # nats, float32: of the drawn tokens
    true_ids: Ragged  # int64: what the record itself says after the prompt, at most as long as a draw may be
    true_log_probability: Ragged  # nats, float32
    reason: np.ndarray  # (n,) str: why there is no continuation, empty when there is

    def draws(self, i: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """(token ids, their log-probabilities) of each draw for sample i."""
        at = np.cumsum(self.lengths[i])[:-1]
        return list(zip(np.split(self.ids[i], at), np.split(self.log_probability[i], at), strict=True))


@dataclass(frozen=True)
class SoftPromptGenerations:
    """Continuations of every record's beginning under a soft prompt tuned on ``known`` (see ``KnownRecords``)."""

    tuning: SoftPromptTuning
    known: str = ""
    samples_each: int = 100
    temperature: float = 0.8
    top_p: float = 0.7
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = SoftPromptGenerationData

    def __post_init__(self) -> None:
        _ = self.generations  # refuses settings that make no sense

    @property
    def generations(self) -> Generations:
        cut = (self.tuning.prefix_tokens, self.tuning.suffix_tokens)
        return Generations(*cut, self.samples_each, self.temperature, 0, self.top_p, self.seed)

    @property
    def passes(self) -> tuple[int, int]:
        return 2 * self.samples_each + 1, 0  # drawing, scoring; the tuning is paid once and not by the sample

    def measure(self, model: Any, batch: Samples) -> SoftPromptGenerationData:
        """Draw and score. Raises BadInput when a record of the batch is one of those the prompt was tuned on."""
        from ..models.soft_prompt import SoftPrompted

        self._refuse_known(model, batch)
        prompted = SoftPrompted(model, self._prompt(model))
        said = self.generations.measure(prompted, batch)
        longest = self.tuning.suffix_tokens or None
        true = [row[:longest] for row in said.true_ids]
        draws = [
            [] if said.reason[i] else [*said.draws(i), true[i]] for i in range(len(batch))
        ]  # the record's own words are scored as one more draw
        return self._collect(said, true, draw_scores(prompted, batch, said.cut, draws))

    def blank(self, reason: str, n: int) -> SoftPromptGenerationData:
        """Rows that could not be measured."""
        return self._collect(
            self.generations.blank(reason, n), [np.zeros(0, np.int64)] * n, [DrawScores([], np.nan, 0)] * n
        )

    def _collect(
        self, said: GenerationData, true: Sequence[np.ndarray], scores: Sequence[DrawScores]
    ) -> SoftPromptGenerationData:
        why = [str(r) or s.reason for r, s in zip(said.reason, scores, strict=True)]
        kept = [not w and bool(s.draws) for w, s in zip(why, scores, strict=True)]
        none = np.zeros(0)
        return SoftPromptGenerationData(
            ids=Ragged.of([row if k else row[:0] for k, row in zip(kept, said.ids, strict=True)], np.int64),
            lengths=np.where(np.array(kept, dtype=bool)[:, None], said.lengths, 0),
            log_probability=Ragged.of(
                [np.concatenate(s.draws[:-1]) if k else none for k, s in zip(kept, scores, strict=True)], np.float32
            ),
            true_ids=Ragged.of([row if k else row[:0] for k, row in zip(kept, true, strict=True)], np.int64),
            true_log_probability=Ragged.of(
                [s.draws[-1] if k else none for k, s in zip(kept, scores, strict=True)], np.float32
            ),
            reason=np.array(why, dtype=object),
        )

    def _prompt(self, model: Any) -> torch.Tensor:
        from ..training.soft_prompt import tune

        kept = _TUNED.setdefault(model, {})
        key = (model.fingerprint, str(self.known), self.tuning)
        if key not in kept:
            kept[key] = tune(model, self._samples, self.tuning)
        return kept[key]

    @property
    def _samples(self) -> Samples:
        if not isinstance(self.known, KnownRecords):
            raise BadInput("a soft prompt needs the known records themselves, not only their hash")
        return self.known.samples

    def _refuse_known(self, model: Any, batch: Samples) -> None:
        known = {key for sample in self._samples for key in self._content(model, sample)}
        for sample in batch:
            if known.intersection(self._content(model, sample)):
                raise BadInput(
                    f"record {sample.id} is among the known records the soft prompt is tuned on (or shares its prompt or "
                    "suffix with one): attack records that were not given away"
                )

    def _content(self, model: Any, sample: Sample) -> list[Any]:
        encoded = model.encode(sample)
        at = encoded.first + int(cut_of(encoded, self.tuning.prefix_tokens))
        parts = (("prompt", encoded.ids[:at]), ("suffix", encoded.ids[at:]))
        return [
            " ".join(sample.text.split()),
            *((name, tuple(ids.tolist())) for name, ids in parts if len(ids) >= SHARED),
        ]
