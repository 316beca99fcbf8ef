"""Word for word: does greedy decoding continue the beginning of a record with exactly the rest of it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..core.registry import method
from ..core.types import Ask
from ..observations._suffix import SUFFIX_TOKENS, suffix, verbatim
from ..observations.token_statistics import TokenData, TokenStatistics
from ._match import Extracted, reasons


@method(paper="arXiv:2202.07646")
@dataclass(frozen=True)
class Verbatim:
    """Records that greedy decoding completes word for word from their own beginning.

        success_i = [ rank_t = 0 for all tokens t of the suffix ]

    where rank_t counts the tokens the model puts before x_t given the true tokens x_<t. While all choices agree with the
    record, greedy decoding reads exactly the context of the teacher-forced pass, so by induction it says the suffix if
    and only if every rank is 0 (up to rounding where two tokens tie). One forward pass, no generation.

    The suffix begins where ``Sample.secret`` says, else after half of the scored tokens, or after ``prefix_tokens``
    scored tokens if that is positive; it is at most ``suffix_tokens`` long (0: to the end). ``hits`` is the share of
    suffix tokens with rank 0. A text that any model predicts is "extracted" from a model that never saw it: compare
    with records that were never trained on.

    Source: Carlini, Ippolito, Jagielski, Lee, Tramer and Zhang, "Quantifying memorization across neural language
    models", ICLR 2023: prefix and suffix of 50 tokens. Deviation: records are cut at their secret or half, not in
    windows of 100 tokens (``prefix_tokens=50`` gives the paper's prompt); the sequence end is not part of the suffix.

    By hand: of 4 tokens the last 2 are the suffix; the first record has both right, the second one of two.

    >>> from rasura.core.types import Ragged
    >>> ranks, logs = Ragged.of([[3, 1, 0, 0], [0, 0, 0, 2]]), Ragged.of([np.log([0.5] * 4)] * 2)
    >>> data = TokenData(logs, logs, logs, ranks, ranks.lengths, *[ranks.lengths] * 2, np.array(["", ""], dtype=object))
    >>> found = Verbatim().extract(data)
    >>> found.success.tolist(), found.hits.tolist(), np.exp(found.log_probability).round(9).tolist()
    ([1.0, 0.0], [1.0, 0.5], [0.25, 0.25])
    """

    prefix_tokens: int = 0
    suffix_tokens: int = SUFFIX_TOKENS

    word_for_word: ClassVar[bool] = True  # its rate is what "extracted word for word" means in a verdict

    def needs(self) -> Mapping[str, Ask]:
        return {"tokens": Ask(TokenStatistics())}

    def extract(self, tokens: TokenData) -> Extracted:
        cut = (self.prefix_tokens, self.suffix_tokens)
        rank, log_p = suffix(tokens, tokens.rank, *cut), suffix(tokens, tokens.log_probability, *cut)
        success = verbatim(rank)
        return Extracted(
            success=success,
            log_probability=log_p.sum(),
            tokens=rank.lengths,
            hits=rank.reduce(lambda row: float(np.mean(row == 0))),
            reason=reasons(tokens.reason, success),
        )
