"""A targeted attack by someone who already knows some of the training data: tune a prompt on it, then extract the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import logsumexp

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask, Samples
from ..observations._suffix import SUFFIX_TOKENS
from ..observations.soft_prompt_generations import KnownRecords, SoftPromptGenerationData, SoftPromptGenerations
from ..training.soft_prompt import SoftPromptTuning
from ._guesses import distinct
from ._match import Curve, Extracted, Ranking, reasons
from ._similarity import hamming_accuracy

MEASURES = (
    "word for word, any draw",
    "word for word, most confident draw",
    "word for word, draw of lowest loss",
    "confidence",
)


def log_confidence(counts: np.ndarray, log_probability: np.ndarray) -> np.ndarray:
    """log C of each distinct guess: (u,) from how often each was drawn and the log-probability of all its tokens.

        C(u) = c_u exp(-m l_u) / sum_w c_w exp(-m l_w),     -m l_u = ``log_probability``

    By hand: equally probable, drawn three times and once: 3/4 and 1/4, also where exp underflows.

    >>> np.exp(log_confidence(np.array([3, 1]), np.array([-5000.0, -5000.0]))).round(9).tolist()
    [0.75, 0.25]
    """
    weight = np.log(counts) + np.asarray(log_probability, dtype=np.float64)
    return weight - logsumexp(weight)


@method(paper="arXiv:2307.04401")
@dataclass(frozen=True)
class Ethicist:
    """Suffixes of records, extracted under a soft prompt that was tuned on other records known to be in the training data.

        loss = mean_t l_t + alpha mean of the ``largest`` largest l_t,     trained: ``vectors`` embeddings before the prompt
        C(u) = c_u exp(-m l_u) / sum over distinct draws w of c_w exp(-m l_w),     success = [ argmax C = the record's suffix ]

    with l_t the loss of a suffix token under the frozen model, c_u how often ``u`` is among ``samples`` draws (``top_p``,
    ``temperature``), l_u its mean loss under the soft prompt and m its length: exactly the suffix tokens, first to last.
    C is computed with logarithms. The vectors start as the first rows of the embedding matrix; AdamW at ``learning_rate``,
    ``warmup`` steps up and then linearly down, ``batch`` records, up to ``epochs``; the share ``validation`` of the known
    records stops the training after ``patience`` epochs without gain (see ``training/soft_prompt``).

    The known records come by ``tuned_on``; of them only a hash is kept in settings and records. A record that is one of
    them, or has its prompt or suffix, is refused (BadInput), and so is running without any. ``confidence`` ranks records for
    recall at 100 errors; the draw of lowest loss is the ablation. ``hits`` is the share of tokens the answer has right.

    Source: Zhang, Wen and Huang, "Ethicist: targeted training data extraction through loss smoothed soft prompting and
    calibrated confidence estimation", ACL 2023 (12,600 known records to learn from and 1,400 to stop by). Deviations: the
    prompt's vectors are no tokens here, so none has to be forbidden in what is said; a draw that ended early counts with its
    own length. Below about a thousand known records 100 vectors overfit: use 8 to 20.

    By hand: see ``log_confidence``.
    """

    vectors: int = 100
    alpha: float = 0.7
    largest: int = 5
    learning_rate: float = 1e-3
    warmup: int = 500
    batch: int = 32
    epochs: int = 20
    patience: int = 5
    validation: float = 0.1
    samples: int = 100
    top_p: float = 0.7
    temperature: float = 0.8
    prefix_tokens: int = 0
    suffix_tokens: int = SUFFIX_TOKENS
    seed: int = 0
    known: str = ""

    testbed_settings: ClassVar[Mapping[str, float]] = {"vectors": 8, "warmup": 5, "samples": 20, "batch": 4}
    testbed_reason: ClassVar[str] = (
        "a testbed has tens of known records, on which 100 vectors would overfit, and as many steps as a twentieth of the "
        "published warm-up"
    )

    def __post_init__(self) -> None:
        _ = self._observation  # refuses settings that make no sense

    def tuned_on(self, known: Samples) -> Self:
        """The same attack by someone who knows these records to be in the training data."""
        return replace(self, known=KnownRecords.of(Samples(known)))

    def needs(self) -> Mapping[str, Ask]:
        if not self.known:
            raise BadInput(
                "ethicist needs records known to be in the training data, others than those attacked: --known-members FILE"
            )
        return {"said": Ask(self._observation)}

    @property
    def _observation(self) -> SoftPromptGenerations:
        tuning = SoftPromptTuning(**{f.name: getattr(self, f.name) for f in fields(SoftPromptTuning)})
        return SoftPromptGenerations(tuning, self.known, self.samples, self.temperature, self.top_p, self.seed)

    def extract(self, said: SoftPromptGenerationData) -> Extracted:
        rows = [self._row(said, i) for i in range(len(said.reason))]
        table = np.array(rows, dtype=np.float64).reshape(len(rows), len(MEASURES) + 3)
        any_draw, success, lowest, confidence, hits, sure, loss = table.T
        return Extracted(
            success=success,
            log_probability=said.true_log_probability.sum(),
            tokens=said.true_ids.lengths.astype(np.int64),
            hits=hits,
            reason=reasons(said.reason, success),
            note=f"the most confident of {self.samples} draws",
            curves=tuple(
                Curve(name, "", (0.0,), column[:, None])
                for name, column in zip(MEASURES, (any_draw, success, lowest, confidence), strict=True)
            ),
            rankings=(Ranking("calibrated confidence", success, sure), Ranking("lowest loss", lowest, -loss)),
        )

    def _row(self, said: SoftPromptGenerationData, i: int) -> tuple[Any, ...]:
        """The measures of one record, then share of tokens right, log confidence, and the lowest mean loss."""
        true = said.true_ids[i]
        if not len(true):
            return (np.nan,) * (len(MEASURES) + 3)
        draws = said.draws(i)
        guesses = distinct([ids for ids, _ in draws], len(true))
        scores = [draws[j][1][: len(true)] for j in guesses.first]
        total = np.array([row.sum(dtype=np.float64) for row in scores])
        mean_loss = np.array([-t / len(row) if len(row) else np.inf for t, row in zip(total, scores, strict=True)])
        sure, right = log_confidence(guesses.counts, total), guesses.right(true)
        pick, low = int(np.argmax(sure)), int(np.argmin(mean_loss))
        return (
            float(right.any()), float(right[pick]), float(right[low]), float(np.exp(sure[pick])),
            hamming_accuracy(guesses.tokens[pick], true), float(sure[pick]), float(mean_loss[low]),
        )  # fmt: skip
