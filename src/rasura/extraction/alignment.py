"""Which post-training examples a chat model writes when it is given nothing but its own chat template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.records import MeasureRow
from ..core.registry import method
from ..core.types import Ask, Estimate, Samples
from ..observations._suffix import SUFFIX_TOKENS, suffix
from ..observations.free_generations import NO_TEMPLATE, Draws, FreeData, FreeGenerations
from ..observations.record_texts import RecordTexts, TextData
from ..observations.text_embeddings import EmbeddingData, TextEmbeddings
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.intervals import proportion
from ._coverage import found_within, steps
from ._lexical import Compare, blocks, cosines, edit_similarities
from ._match import Curve, Extracted

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
ROUNDING = 1e-6  # cosines of float32 vectors


@dataclass(frozen=True)
class Aligned(Extracted):
    """Matches by meaning in ``success``; ``hits`` is each record's nearest draw by meaning."""

    by_string: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (n,) its nearest draw by edit similarity
    matches: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (n,) draws that match the record by meaning
    draw_hits: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (draws,) each draw's nearest record by meaning
    draw_strings: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (draws,) and by edit similarity


def threshold_at(held_out: np.ndarray, rate: float = 0.01) -> float:
    """The smallest similarity that at most a share ``rate`` of held-out records reaches.

    ``held_out`` (m,): each held-out record's nearest draw, NaN left out. With k = floor(rate (m + 1)) - 1 records allowed
    to match (none when m is small) it lies just above the (k + 1)-th largest value, so that another held-out record is
    matched with probability at most ``rate`` where m + 1 >= 1 / rate, and 1/(m + 1) below. Raises BadInput without one.

    By hand, values 0, .01, ..., 1.98 (199 of them): floor(.01 * 200) - 1 = 1 may match, so it is just above 1.97.

    >>> round(threshold_at(np.arange(199) / 100), 4)
    1.97
    """
    values = np.sort(np.asarray(held_out, dtype=np.float64)[~np.isnan(held_out)])[::-1]
    if not len(values):
        raise BadInput("alignment: no held-out record to set the threshold by")
    allowed = max(0, int(np.floor(rate * (len(values) + 1) + 1e-9)) - 1)
    return float(values[allowed] + 2 * ROUNDING)


@method(paper="arXiv:2510.18554")
@dataclass(frozen=True)
class Alignment:
    """Post-training examples that a chat model writes of its own accord, from nothing but its chat template.

        success_i = [ max over draws g of similarity(g, x_i) >= threshold ],        hits_i = that maximum

    ``draws`` texts are drawn at ``temperature``, ``top_k`` and ``top_p`` from what the tokenizer's chat template puts before
    the user's words (``header``: that text itself, special tokens by name, where there is no template), each turn at
    most ``new_tokens`` tokens: the model writes the user's turn and then the answer. similarity is the cosine between

    - with ``encoder``: the vectors of an embedding model given as role "encoder";
    - without: weighted counts of words, word pairs and runs of letters (``_lexical``), which sees changed values and
      word order, but no paraphrase.

    ``seed``: of the draws. ``threshold`` .95 is the paper's and belongs to its embedding model. With records that were
    never trained on, ``calibrated`` sets it where at most 1 % of those are matched, and the curve over thresholds shows both
    populations side by side. ``by_string`` and its curve are the same for edit similarity over characters, which is what
    the paper says undercounts; ``leak_rate`` counts draws instead of records. The curve over draws is what fewer draws
    find on average. A tokenizer without chat template leaves every record NaN and says so.

    Records should be unique: an example that stands twice in the index is found twice. Record texts and draws are both
    compared without special tokens, question and answer on two lines.

    ``tokens`` and ``log_probability`` are, as in every extractor, those of the record's second part after its first.

    Source: Barbero, Gu, Choquette-Choo and others, "Extracting alignment data in open models", 2025 (header, cosine and
    .95). Deviations: lexical vectors stand in for an embedding model where none is given; the threshold can be
    calibrated; nearest neighbours are exact, without a vector index; defaults for draws are a laptop's.

    By hand: see ``threshold_at`` and ``_coverage.found_within``.
    """

    draws: int = 1000
    threshold: float = 0.95
    header: str = ""
    new_tokens: int = 128
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    encoder: bool = False

    across_vocabularies: ClassVar[bool] = True  # the encoder reads text, not the model's tokens
    on_request: ClassVar[str] = "draws many texts of its own; name it to run it"
    testbed_settings: ClassVar[Mapping[str, Any]] = {
        "draws": 256, "header": "<|endoftext|>", "new_tokens": 20, "temperature": 0.6, "threshold": 0.85,
    }  # fmt: skip
    testbed_reason: ClassVar[str] = (
        "the testbed has no chat template, so drawing begins where its documents do; its records have 20 tokens and no end, "
        "and one copy in twenty documents asks for sharper draws than temperature 1 if 256 of them are to hold half"
    )

    def __post_init__(self) -> None:
        if self.draws < 1 or not 0.0 < self.threshold <= 1.0:
            raise BadInput(
                f"alignment: expected draws of 1 or more and a threshold above 0 and at most 1; got {self.draws}, {self.threshold}"
            )
        _ = self._free

    @property
    def _free(self) -> FreeGenerations:
        sampler = self.temperature, self.top_k, self.top_p
        return FreeGenerations(self.header, not self.header, self.new_tokens, *sampler, self.seed)

    def unfit(self, model: Any) -> str:
        """Why this model cannot be asked with these settings; empty when it can."""
        has_template = self.header or getattr(model.tokenizer, "chat_template", None)
        return "" if has_template else NO_TEMPLATE

    def needs(self) -> Mapping[str, Ask]:
        view, texts = Draws(self.draws), Ask(RecordTexts())
        said = Ask(self._free, view=view)
        if self.encoder:
            said = Ask(TextEmbeddings(said), of="encoder", view=view)
            texts = Ask(TextEmbeddings(texts), of="encoder")
        return {"said": said, "texts": texts, "tokens": Ask(TokenStatistics())}

    def extract(self, said: FreeData | EmbeddingData, texts: TextData | EmbeddingData, tokens: TokenData) -> Aligned:
        """``said`` and ``texts`` come with vectors where there is an ``encoder``."""
        kept = np.array([not r and bool(str(t).strip()) for r, t in zip(said.reason, said.texts, strict=True)], bool)
        drawn, records = [str(t) for t in said.texts[kept]], [str(t) for t in texts.texts]
        meaning, string = _nothing, _nothing
        if drawn and records:
            string = edit_similarities(drawn, records)
            meaning = _inner_products(said, texts, kept) if self.encoder else cosines(drawn, records)
        reason = _reasons(said, texts, tokens, bool(drawn))
        size = len(drawn), len(records), self.threshold
        return self._found(_nearest(meaning, *size).but(reason), _nearest(string, *size).but(reason), reason, tokens)

    def _found(self, meaning: _Nearest, string: _Nearest, reason: np.ndarray, tokens: TokenData) -> Aligned:
        log_p = suffix(tokens, tokens.log_probability, 0, SUFFIX_TOKENS)
        drawn = len(meaning.of_draw)
        return Aligned(
            success=_at_least(meaning.of_record, self.threshold),
            log_probability=log_p.sum(),
            tokens=log_p.lengths,
            hits=meaning.of_record,
            reason=reason,
            note=f"{drawn} draws",
            curves=(
                Curve("matched by meaning", "similarity", THRESHOLDS, _over(meaning.of_record)),
                Curve("matched by string", "similarity", THRESHOLDS, _over(string.of_record)),
                _coverage(meaning.matches, drawn),
            ),
            by_string=string.of_record,
            matches=meaning.matches,
            draw_hits=meaning.of_draw,
            draw_strings=string.of_draw,
        )

    def measures(self, found: Aligned, samples: Samples) -> tuple[MeasureRow, ...]:
        """The share of draws that match some record, by meaning and by string, at each threshold."""
        rows = [
            MeasureRow(f"draws that match by {'string' if by_string else 'meaning'}", "similarity", threshold, share)
            for by_string in (False, True)
            for threshold in THRESHOLDS
            if (share := leak_rate(found, threshold, by_string)).known
        ]
        return tuple(rows)

    def calibrated(self, found: Aligned, held_out: Aligned, rate: float = 0.01) -> Aligned:
        """The same matches at the thresholds that at most ``rate`` of records never trained on reach.

        Meaning and string each get a threshold of their own, so that their rates may be compared: ``success`` is by
        meaning, and the last curve "matched by string" has the one point of the string's threshold. ``matches`` and the
        curve over draws stay as they were.
        """
        meaning, string = (threshold_at(v, rate) for v in (held_out.hits, held_out.by_string))
        at_rate = Curve("matched by string at the same rate", "", (0.0,), _at_least(found.by_string, string)[:, None])
        return replace(
            found,
            success=_at_least(found.hits, meaning),
            note=f"{found.note}, thresholds {meaning:.3f} (meaning) and {string:.3f} (string)",
            curves=(*found.curves, at_rate),
        )


def leak_rate(found: Aligned, threshold: float = 0.95, by_string: bool = False) -> Estimate:
    """The share of draws that match any record at ``threshold``, with Wilson's interval over draws.

    >>> blank = np.zeros(0)
    >>> found = Aligned(*[blank] * 5, draw_hits=np.array([0.97, 0.2, 0.99, 0.5]), draw_strings=np.array([0.9, 0.1, 1.0, 0.3]))
    >>> leak_rate(found).value, leak_rate(found, by_string=True).value
    (0.5, 0.25)
    """
    values = found.draw_strings if by_string else found.draw_hits
    return proportion(float(np.sum(values >= threshold - ROUNDING)), len(values), "share of draws")


def _nothing(block: slice) -> np.ndarray:
    return np.zeros((block.stop - block.start, 0))


@dataclass(frozen=True)
class _Nearest:
    of_record: np.ndarray  # (n,) each record's best draw
    of_draw: np.ndarray  # (drawn,) each draw's best record
    matches: np.ndarray  # (n,) draws at the threshold or above

    def but(self, reason: np.ndarray) -> _Nearest:
        """Without the records that cannot be judged."""
        known = np.array([not why for why in reason], dtype=bool)
        return replace(
            self,
            of_record=np.where(known, self.of_record, np.nan),
            matches=np.where(known, self.matches, np.nan),
        )


def _nearest(compare: Compare, drawn: int, n: int, threshold: float) -> _Nearest:
    best, of_draw, matches = np.full(n, -1.0), np.full(drawn, np.nan), np.zeros(n)
    for block in blocks(drawn if n else 0):
        alike = compare(block)
        best = np.maximum(best, alike.max(axis=0))
        of_draw[block] = alike.max(axis=1)
        matches += (alike >= threshold - ROUNDING).sum(axis=0)
    return _Nearest(np.minimum(best, 1.0), np.minimum(of_draw, 1.0), matches)


def _inner_products(said: EmbeddingData, texts: EmbeddingData, kept: np.ndarray) -> Compare:
    left, right = said.matrix()[kept].astype(np.float64), texts.matrix().astype(np.float64)
    return lambda block: left[block] @ right.T


def _at_least(similarity: np.ndarray, threshold: float) -> np.ndarray:
    return np.where(np.isnan(similarity), np.nan, (similarity >= threshold - ROUNDING).astype(np.float64))


def _over(similarity: np.ndarray) -> np.ndarray:
    return np.stack([_at_least(similarity, t) for t in THRESHOLDS], axis=1)


def _coverage(matches: np.ndarray, drawn: int) -> Curve:
    """Share of records matched by the first so many draws, averaged over orders of the draws."""
    x = steps(drawn)
    columns = [found_within(matches, drawn, n) for n in x]
    values = np.stack(columns, axis=1) if x else np.zeros((len(matches), 0))
    return Curve("matched by meaning, by number of draws", "draws", tuple(float(n) for n in x), values)


def _reasons(said: Any, texts: Any, tokens: TokenData, any_draw: bool) -> np.ndarray:
    why = "" if any_draw else next((str(r) for r in said.reason if r), "the model said nothing")
    pairs = zip(texts.reason, tokens.reason, strict=True)
    return np.array([str(t) or str(k) or why for t, k in pairs], dtype=object)
