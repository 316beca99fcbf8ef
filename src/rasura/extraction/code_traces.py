"""Which kinds of code come out: secrets, licences, data, tests, documentation, or ordinary code."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..core.records import MeasureRow
from ..core.registry import method
from ..core.types import Ask, Estimate, Sample, Samples
from ..data._code_kinds import KINDS, code_kind
from ..observations._suffix import SUFFIX_TOKENS, suffix
from ..observations.generations import GenerationData, Generations
from ..observations.token_statistics import TokenData, TokenStatistics
from ._dose import rate
from ._match import Curve, Extracted, reasons
from ._similarity import bleu

SMOOTHING = 5.0  # the constant of Chen and Cherry's fourth technique


def smoothed_bleu(said: str, true: str, order: int = 4) -> float:
    """BLEU over characters with Chen and Cherry's smoothing 4; NaN if ``true`` is empty.

        BLEU = min(1, exp(1 - |true|/|said|)) (prod_{k=1..K} p_k)^(1/K)

    with p_k as in ``_similarity.bleu``, and where no k-gram matches, the j-th time that happens, the number of matches
    is taken as log|said| / (5 * 2^j). 0 if not even one character matches. K = min(``order``, |true|): four characters
    are needed for a 4-gram, and a suffix of three that comes out right is right.

    Source: Chen and Cherry, "A systematic comparison of smoothing techniques for sentence-level BLEU", WMT 2014.

    By hand: "abcx" for "abcd": p = 3/4, 2/3, 1/2 and for k = 4 log 4 / 10 = .1386; product .0347, fourth root .4315.

    >>> round(smoothed_bleu("abcx", "abcd"), 4), smoothed_bleu("abc", "abc"), smoothed_bleu("", "a")
    (0.4315, 1.0, 0.0)
    """
    if not true:
        return float("nan")
    longest = min(order, len(true))
    matched = [sum((_grams(said, k) & _grams(true, k)).values()) for k in range(1, longest + 1)]
    if not matched[0]:
        return 0.0
    logs, missing = [], 0
    for k, found in enumerate(matched):
        missing += not found
        count = found or max(math.log(len(said)), 1e-9) / (SMOOTHING * 2**missing)
        logs.append(math.log(count / max(1, len(said) - k)))
    return math.exp(min(0.0, 1.0 - len(true) / len(said)) + math.fsum(logs) / longest)


def _grams(text: str, k: int) -> Counter[str]:
    return Counter(text[i : i + k] for i in range(len(text) - k + 1))


def kind_of(sample: Sample) -> str:
    """The record's family if it names a kind of content, else what its text looks like (``data._code_kinds``)."""
    return sample.family if sample.family in KINDS else code_kind(sample.text)


@dataclass(frozen=True)
class KindRow:
    """One kind of content at one dose."""

    kind: str
    repeats: int | None  # copies an epoch; None: unknown
    exact: Estimate  # share of passages that come out exactly
    characters: Estimate  # mean BLEU-4 over characters
    tokens: Estimate  # mean BLEU-4 over tokens


def by_kind(found: Extracted, samples: Samples) -> tuple[KindRow, ...]:
    """Exact match and both BLEU-4 by kind of content and dose: compare kinds in rows of equal ``repeats`` only.

    ``found``: what ``CodeTraces.extract`` returned for ``samples``. Kinds in the order of ``KINDS``, doses rising; rows
    with no record that can be judged are left out.
    """
    kinds = np.array([kind_of(s) for s in samples], dtype=object)
    doses = np.array([-1 if s.repeats is None else s.repeats for s in samples], dtype=np.int64)
    characters, tokens = (curve.values[:, 0] for curve in found.curves[:2])
    rows = []
    for kind in KINDS:
        for dose in sorted(set(doses[kinds == kind].tolist())):
            chosen = (kinds == kind) & (doses == dose)
            measures = [rate(v[chosen]) for v in (found.success, characters, tokens)]
            rows += [KindRow(kind, None if dose < 0 else dose, *measures)] if measures[0].known else []
    return tuple(rows)


@method(paper="arXiv:2312.11658")
@dataclass(frozen=True)
class CodeTraces:
    """Passages of code that greedy decoding completes exactly, with BLEU-4, split by kind of content.

        success = [ said = true ],        hits = BLEU-4 of the tokens of said against those of true

    where said is the greedy continuation of the passage's beginning and true what the passage says there, both at most
    ``suffix_tokens`` tokens long (0: to the end of the record), cut as in every extractor (``prefix_tokens`` scored
    tokens of prompt; 0: up to the marked secret, else half). They are compared as text: two rows of tokens that spell
    the same text are the same code. Two curves without axis hold the BLEU-4 of each record: over characters with
    smoothing, as in the authors' script (``smoothed_bleu``), and over tokens without. ``by_kind`` splits all three by kind
    of content and dose.

    Shares are of the records given. The authors' figures are of passages chosen because they looked extractable (100
    tokens found often in the corpus, with one continuation); they are no share of training data, and nor are these.

    Source: Al-Kaswan, Izadi and van Deursen, "Traces of memorisation in large language models for code", ICSE 2024;
    prompt and suffix of 50 tokens. Deviations from their script: it takes BLEU = 1 for an exact match, which texts with
    the same character 4-grams in another order also reach; here the text itself is compared. Its BLEU calls the
    characters of a string its words, which is kept for comparison and named so. Their kinds had no secrets; here keys,
    tokens and passwords are a kind of their own (``data._code_kinds``). K = min(4, length) for shorter suffixes.

    By hand: see ``smoothed_bleu``. Its flaw: "abc" three times, with 1 and 2 between or 2 and 1, has the same 4-grams.

    >>> smoothed_bleu("abc1abc2abc", "abc2abc1abc")
    1.0
    """

    prefix_tokens: int = 0
    suffix_tokens: int = SUFFIX_TOKENS

    def needs(self) -> Mapping[str, Ask]:
        return {
            "generations": Ask(Generations(self.prefix_tokens, self.suffix_tokens)),
            "tokens": Ask(TokenStatistics()),
        }

    def extract(self, generations: GenerationData, tokens: TokenData) -> Extracted:
        n, cut = len(generations.reason), (self.prefix_tokens, self.suffix_tokens)
        pairs = [self._texts(generations, i) for i in range(n)]
        exact = np.array([float(said == true) if true else np.nan for said, true in pairs], dtype=np.float64)
        characters = np.array([smoothed_bleu(said, true) for said, true in pairs], dtype=np.float64)
        by_token = np.array([self._token_bleu(generations, i) for i in range(n)], dtype=np.float64)
        log_p = suffix(tokens, tokens.log_probability, *cut)
        return Extracted(
            success=exact,
            log_probability=log_p.sum(),
            tokens=log_p.lengths,
            hits=by_token,
            reason=reasons(generations.reason, exact),
            curves=(
                Curve("BLEU-4 over characters", "", (0.0,), characters[:, None]),
                Curve("BLEU-4 over tokens", "", (0.0,), by_token[:, None]),
            ),
        )

    def measures(self, found: Extracted, samples: Samples) -> tuple[MeasureRow, ...]:
        """The rows of ``by_kind``: exact completions of each kind of content against its copies."""
        return tuple(
            MeasureRow(
                f"{row.kind}, exact", "" if row.repeats is None else "copies", float(row.repeats or 0), row.exact
            )
            for row in by_kind(found, samples)
        )

    def _texts(self, data: GenerationData, i: int) -> tuple[str, str]:
        """What is said and what should be, as text. What is said after the record's end does not count; a record that
        goes on after the suffix is cut to as many characters as were said, or, if the model stopped early, to as many
        as the suffix would have at the record's own characters a token."""
        said, true = str(data.texts[i][0]), str(data.true_text[i])
        left, most = len(data.true_ids[i]), self.suffix_tokens
        if not most or left <= most:
            return said[: len(true)], true
        full = len(data.ids[i]) >= most
        return said, true[: len(said) if full else round(len(true) * most / left)]

    def _token_bleu(self, data: GenerationData, i: int) -> float:
        true = data.true_ids[i][: self.suffix_tokens or None]
        return bleu(data.ids[i][: len(true)], true)
