"""What a server reads of a participant's texts off the LoRA gradients it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Ask
from ..observations._suffix import SUFFIX_TOKENS, suffix
from ..observations.adapter_gradients import AdapterData, AdapterGradients, InCompany
from ..observations.token_statistics import TokenData, TokenStatistics
from ._match import Curve, Extracted, reasons

MEASURES = ("token precision", "token recall", "token F1", "ROUGE-L")


def overlap(found: Sequence[int], present: Sequence[int]) -> tuple[float, float, float]:
    """(precision, recall, F1) of a set of tokens against the one that is there; precision is 0 where nothing is found.

    By hand: 2 of 3 found are there, 2 of 4 there are found: F1 = 2 * 2 / (3 + 4).

    >>> [round(x, 4) for x in overlap([1, 2, 9], [1, 2, 3, 4])]
    [0.6667, 0.5, 0.5714]
    """
    a, b = set(map(int, found)), set(map(int, present))
    right = len(a & b)
    return (right / len(a) if a else 0.0, right / len(b) if b else float("nan"), 2 * right / max(1, len(a) + len(b)))


def rouge_l(said: Sequence[int], true: Sequence[int]) -> float:
    """F1 of the longest common subsequence: 2 LCS / (|said| + |true|); NaN if ``true`` is empty.

    Source: Lin, "ROUGE: a package for automatic evaluation of summaries", 2004 (beta = 1).

    By hand: 1 3 4 is common to 1 2 3 4 and 1 3 4: 2 * 3 / 7.

    >>> round(rouge_l([1, 2, 3, 4], [1, 3, 4]), 4)
    0.8571
    """
    from rapidfuzz.distance import LCSseq

    if not len(true):
        return float("nan")
    return 2 * LCSseq.similarity(list(map(int, said)), list(map(int, true))) / (len(said) + len(true))


@method(paper="arXiv:2504.20570")
@dataclass(frozen=True)
class FederatedGradients:
    """Texts that a server recovers from one batch's LoRA gradients at the first attention layer (reduced ReCIT).

        residual(v) = ||h_v - P h_v|| / ||h_v||,      success = [ a recovered text is the record, token for token ]

    with P the projection onto the rows of dL/dA, all the server is sent, and h_v what the layer reads for token v: tokens
    with a residual below that of all but ``false_accepts`` of absent ones are taken to be in the batch (see
    ``observations/_row_space``), and put in order by a beam search of ``beams`` under the audited model. The participant's
    batch holds ``batch_size`` records, the adapters have ``rank``; ``seed`` draws A, and B, which the server sends as noise,
    since with the usual B = 0 the gradient of A is 0. ``hits`` is ROUGE-L of the best recovered text; curves without axis
    hold it with precision, recall and F1 of the token set of the batch.

    Bound: the rank of dL/dA is at most min(modules * ``rank``, width of the layer). Up to so many distinct tokens in a batch
    the set is read exactly; beyond, each token keeps only a part of itself in the space and the set decays: on an untrained
    model of width 128 with records of 17 distinct tokens, token F1 was .73, .60, .50, .33 at rank 4 and .97 to .99 at rank 64
    for batches of 1, 2, 4, 8 records (58 distinct tokens). Beyond the width itself everything lies in the space and nothing
    is read. The note says how many batches are beyond. The last token of a text leaves no trace and is guessed. Averaging
    over several steps, dropout, clipping and added noise break it.

    This reads what a participant holds *now*: it works on texts the model never saw, and better order is all that memory
    adds. A rate on records never trained on is therefore no floor here, but the same danger.

    Source: Xie, He, Li, Jia and Ji, "ReCIT: reconstructing full private data from gradient in parameter-efficient
    fine-tuning of large language models", 2025. Deviations: the reduced version of this package: the span test stands
    in for their filters, beam search for their pairing of tokens, and the model is not fine-tuned on notes beforehand;
    so their claim of working at large batches is not tested.

    By hand: see ``overlap`` and ``rouge_l``.
    """

    rank: int = 16
    batch_size: int = 1
    false_accepts: float = 0.01
    beams: int = 8
    seed: int = 0

    reads_memory: ClassVar[bool] = False  # records never trained on are recovered as well
    on_request: ClassVar[str] = (
        "asks what a federated server would read, not what the model remembers; name it to run it"
    )
    testbed_settings: ClassVar[Mapping[str, Any]] = {"rank": 64}
    testbed_reason: ClassVar[str] = "records of the testbed have 20 tokens, more than a rank of 16 can hold"

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.rank < 1:
            raise BadInput(f"federated_gradients: rank {self.rank} and batch_size {self.batch_size} must be 1 or more")
        _ = self._gradients

    @property
    def _gradients(self) -> AdapterGradients:
        return AdapterGradients(self.rank, self.batch_size, self.false_accepts, self.beams, self.seed)

    def needs(self) -> Mapping[str, Ask]:
        return {"gradients": Ask(self._gradients, view=InCompany(self.batch_size)), "tokens": Ask(TokenStatistics())}

    def extract(self, gradients: AdapterData, tokens: TokenData) -> Extracted:
        n = len(gradients.reason)
        rows = np.array([self._row(gradients, i) for i in range(n)], dtype=np.float64).reshape(n, 1 + len(MEASURES))
        log_p = suffix(tokens, tokens.log_probability, 0, SUFFIX_TOKENS)
        return Extracted(
            success=rows[:, 0],
            log_probability=log_p.sum(),
            tokens=log_p.lengths,
            hits=rows[:, 4],
            reason=reasons(gradients.reason, rows[:, 0]),
            note=_note(gradients),
            curves=tuple(Curve(name, "", (0.0,), rows[:, k : k + 1]) for k, name in enumerate(MEASURES, start=1)),
        )

    def _row(self, data: AdapterData, i: int) -> tuple[float, ...]:
        true = data.true_ids[i]
        if data.reason[i] or not len(true):
            return (np.nan,) * (1 + len(MEASURES))
        texts = data.texts(i)
        exact = any(np.array_equal(text, true) for text in texts)
        return (float(exact), *overlap(data.accepted[i], data.present[i]), max(rouge_l(text, true) for text in texts))


def _note(data: AdapterData) -> str:
    known = np.array([not why for why in data.reason], dtype=bool)
    if not known.any():
        return ""
    beyond = int(np.sum(data.rows[known] > data.capacity[known]))
    return f"{beyond} of {int(known.sum())} batches have more distinct inputs than the adapters' rank can hold"
