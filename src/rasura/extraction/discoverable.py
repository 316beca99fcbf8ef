"""The protocol of memorisation studies: how much comes out, exactly and in part, from how long a beginning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..core.registry import method
from ..core.types import Ask, Ragged
from ..observations._cut import cut_of
from ..observations._suffix import SUFFIX_TOKENS, verbatim
from ..observations.generations import GenerationData, Generations
from ..observations.token_statistics import TokenData, TokenStatistics
from ._lengths import AXIS, checked_lengths, key_of, prompt_lengths
from ._match import Curve, Extracted, reasons
from ._similarity import bleu, edit_similarity, hamming_accuracy, right_before_error

PARTIAL = (("tokens right (Hamming)", hamming_accuracy), ("BLEU-4", bleu), ("edit similarity", edit_similarity))
SHARE, TOKENS = ("share", (0.0, 1.0)), ("tokens", (0.0, float("inf")))


@method(paper="arXiv:2202.07646")
@dataclass(frozen=True)
class Discoverable:
    """Records that come out word for word from their first k tokens, for every k, with partial credit beside it.

        success_i(k) = [ rank_t = 0 for k < t <= k + m_i ],     m_i = min(``suffix_tokens``, T_i - max k)

    over the T_i scored tokens of record i, with rank_t the number of tokens the model puts before the true one and k each
    of ``context_lengths``; without any, the one prompt that every extractor uses (``prefix_tokens``, else up to the
    secret, else half). Every length asks a record for equally many tokens and judges the same records: those of more
    than max k tokens. ``success`` and ``hits`` are at the longest prompt.

    Whether a record comes out, and how many tokens are right before the first error, follow from one teacher-forced
    pass for all lengths at once, because greedy decoding reads the record's own tokens up to its first error. Credit for
    what follows an error needs real generation, one a length (``partial_credit``): share of tokens right, BLEU-4 and
    edit similarity, all over token ids that were cut from the record once and never read again as text.

    Predictable text (licences, tables) comes out of any model: hold every number against records never seen. Of the three
    dose curves, copies come from ``Sample.repeats``, length from here, and size from extracting with several models.
    BadInput for lengths that are not positive, rising and distinct.

    Sources: Carlini, Ippolito, Jagielski, Lee, Tramer and Zhang, "Quantifying memorization across neural language
    models", ICLR 2023 (suffixes of 50 tokens; prompts of 50 and more); held-out text as the floor: Chowdhery et al.,
    "PaLM: scaling language modeling with pathways", 2022. Deviations: a prompt begins where its record begins, so
    that one pass serves all lengths, and a longer prompt asks for later tokens; BLEU is not smoothed.

    By hand: ranks 5 0 0 1 0 of 5 tokens, prompts of 1 and 3 tokens, m = 2: tokens 2 and 3 come out, token 4 fails.

    >>> ranks = Ragged.of([[5, 0, 0, 1, 0]])
    >>> data = TokenData(ranks, ranks, ranks, ranks, ranks.lengths, *[ranks.lengths] * 2, np.array([""], dtype=object))
    >>> found = Discoverable(context_lengths=(1, 3), partial_credit=False).extract(data)
    >>> [(c.name, c.values.tolist()) for c in found.curves]
    [('word for word', [[1.0, 0.0]]), ('tokens right before the first error', [[2.0, 0.0]])]
    """

    context_lengths: tuple[int, ...] = ()
    prefix_tokens: int = 0
    suffix_tokens: int = SUFFIX_TOKENS
    partial_credit: bool = True

    def __post_init__(self) -> None:
        checked_lengths("discoverable", self.context_lengths)

    @property
    def lengths(self) -> tuple[int, ...]:
        return prompt_lengths(self.context_lengths, self.prefix_tokens)

    def needs(self) -> Mapping[str, Ask]:
        said = {
            key_of("said", k): Ask(Generations(k, self.suffix_tokens))
            for k in (self.lengths if self.partial_credit else ())
        }
        return {"tokens": Ask(TokenStatistics()), **said}

    def extract(self, tokens: TokenData, **said: GenerationData) -> Extracted:
        """``said``: what greedy decoding says from each length of prompt, under the names ``needs`` gave it."""
        begins = np.stack([cut_of(tokens, k) for k in self.lengths], axis=1)  # (n, lengths)
        wanted = np.maximum(0, tokens.tokens - begins.max(axis=1))
        wanted = np.minimum(wanted, self.suffix_tokens) if self.suffix_tokens > 0 else wanted
        ranks = [_cut(tokens.rank, b, wanted) for b in begins.T]
        exact = np.stack([verbatim(r) for r in ranks], axis=1)
        before = np.stack([_each(r, right_before_error) for r in ranks], axis=1)
        curves = [
            self._curve("word for word", exact),
            self._curve("tokens right before the first error", before, TOKENS),
        ]
        if self.partial_credit:
            answers = [said[key_of("said", k)] for k in self.lengths]
            curves += [
                self._curve(name, np.stack([_alike(a, wanted, how) for a in answers], axis=1)) for name, how in PARTIAL
            ]
        success = exact[:, -1]
        return Extracted(
            success=success,
            log_probability=_cut(tokens.log_probability, begins[:, -1], wanted).sum(),
            tokens=ranks[-1].lengths,
            hits=ranks[-1].reduce(lambda row: float(np.mean(row == 0))),
            reason=reasons(tokens.reason, success),
            curves=tuple(curves),
        )

    def _curve(self, name: str, values: np.ndarray, kind: tuple[str, tuple[float, float]] = SHARE) -> Curve:
        return Curve(name, AXIS if self.context_lengths else "", tuple(map(float, self.lengths)), values, *kind)


def _cut(values: Ragged, begin: np.ndarray, length: np.ndarray) -> Ragged:
    return Ragged.of([row[b : b + n] for row, b, n in zip(values, begin, length, strict=True)], values.values.dtype)


def _each(rows: Ragged, how) -> np.ndarray:
    return np.array([how(row) for row in rows], dtype=np.float64)


def _alike(answer: GenerationData, wanted: np.ndarray, how) -> np.ndarray:
    """One measure of what was said against what the record says, both cut to the tokens asked for."""
    pairs = zip(answer.ids, answer.true_ids, wanted, strict=True)
    return np.array([how(said[:n], true[:n]) for said, true, n in pairs], dtype=np.float64)
