"""How much of what a model generates unprompted stood in its training data, and how that grows with the draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from ..core.errors import BadInput
from ..core.records import DoseRow, MeasureRow
from ..core.registry import method
from ..core.types import Ask, Estimate, Samples
from ..data._smiles import is_molecule
from ..observations._suffix import SUFFIX_TOKENS, suffix
from ..observations.free_generations import Draws, FreeData, FreeGenerations
from ..observations.record_texts import RecordTexts, TextData
from ..observations.token_statistics import TokenData, TokenStatistics
from ..stats.intervals import difference_of_means, mean_estimate, proportion
from ._coverage import found_within, steps
from ._match import Curve, Extracted
from ._power_law import Decay, decays

NO_STRING = -1  # of a draw that is not valid
ABSENT = -1  # of a draw that is no record


@dataclass(frozen=True)
class Generated(Extracted):
    """Records that were generated; ``hits`` is NaN. The columns over draws say everything about novelty, without text."""

    times: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (n,) draws that are the record, NaN unknown
    string: np.ndarray = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64)
    )  # (draws,) equal number, equal string
    record: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # (draws,) row of the record it is

    @property
    def draws(self) -> int:
        return len(self.string)


@dataclass(frozen=True)
class NoveltyPoint:
    """The first ``draws`` draws. Uniqueness is taken before novelty, or common strings would be counted again and again."""

    draws: int
    valid: Estimate  # of draws
    unique: Estimate  # distinct valid strings / valid draws
    novel: Estimate  # distinct valid strings that are no record / distinct valid strings

    @property
    def memorised(self) -> Estimate:
        """1 - novel."""
        n = self.novel
        return Estimate(1 - n.value, 1 - n.high, 1 - n.low, n.n, n.unit, n.level, n.note)


def novelty_curve(found: Generated, at: Iterable[int] = ()) -> tuple[NoveltyPoint, ...]:
    """Validity, uniqueness and novelty of the first N draws, for each N of ``at`` (default: 10, 20, 50, ... all).

    Novelty falls with N and depends on nothing as much: compare models at equal N only (``novelty_difference``).
    """
    points = []
    for n in at or steps(found.draws):
        strings, first = _distinct(found, n)
        valid = int(np.sum(found.string[:n] != NO_STRING))
        novel = int(np.sum(found.record[first] == ABSENT))
        shares = (valid, min(n, found.draws)), (len(strings), valid), (novel, len(strings))
        points.append(NoveltyPoint(n, *(proportion(float(k), m) for k, m in shares)))
    return tuple(points)


def novelty_decay(points: Sequence[NoveltyPoint]) -> tuple[Decay, ...]:
    """Power law and exponential through novelty against N, the closer one first."""
    return decays([p.draws for p in points], [p.novel.value for p in points])


def novelty_difference(a: Generated, b: Generated) -> Estimate:
    """Novelty of ``a`` minus that of ``b`` at equal N, the smaller number of draws of both; Welch's interval."""
    n = min(a.draws, b.draws)
    novel = [(found.record[_distinct(found, n)[1]] == ABSENT).astype(np.float64) for found in (a, b)]
    return difference_of_means(*novel, "share")


def generation_rates(found: Generated, repeats: Iterable[int | None]) -> tuple[DoseRow, ...]:
    """How often a record of each number of copies is generated: mean draws a record, as a share of all draws.

    One row a dose, rising; the interval is over records. Records whose copies are unknown take no part.
    """
    copies = np.array([-1 if r is None else r for r in repeats], dtype=np.int64)
    share = found.times / max(1, found.draws)
    levels = sorted({int(c) for c in copies if c >= 0})
    return tuple(DoseRow(d, mean_estimate(share[copies == d], "of draws", bounds=(0.0, 1.0))) for d in levels)


def _distinct(found: Generated, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the distinct valid strings among the first n draws, and where each stands first."""
    valid = np.flatnonzero(found.string[:n] != NO_STRING)
    strings, first = np.unique(found.string[valid], return_index=True)
    return strings, valid[first]


@method(paper="arXiv:2405.04912")
@dataclass(frozen=True)
class Novelty:
    """Records that unprompted generation reproduces, and how novel what is generated is against the number of draws.

        success_i = [ some draw is x_i ]
        valid = valid draws / N,   unique = distinct valid / valid,   novelty = distinct valid that are no record / distinct valid

    of N = ``draws`` draws from the token that begins a text (or ``header``), at ``temperature``, ``top_k`` and ``top_p``, at most
    ``new_tokens`` tokens long, from ``seed``. Two strings are the same if they are equal character for character, white
    space at their ends left out: nothing is canonicalised, so two spellings of one molecule count as two, on both sides.
    ``valid``: "any" (every draw with a character), or "smiles" (``data._smiles``: a small part of SMILES; what stands outside
    it counts as not valid). A draw that ran out of tokens is a record if it begins with one, else it is not valid under
    "smiles" and compared as it stands under "any".

    The curve over draws is the share of records that fewer draws find on average. ``measures`` adds the shares above for the
    first N draws (``novelty_curve``) and P(generated | copies) (``generation_rates``); ``novelty_decay`` fits a power law and
    an exponential, ``novelty_difference`` compares two models at equal N. Novelty is against the records given: where they
    are a part of the training data it is too high.

    ``tokens`` and ``log_probability`` are, as in every extractor, those of the record's second part after its first.

    Source: Ross, Belgodere, Hoffman, Chenthamarakshan, Navratil, Mroueh and Das, "GP-MoLFormer: a foundation model for
    molecular generation", 2024 (temperature 1, no truncation; uniqueness before novelty; novelty against N, there a
    falling exponential up to 10^10 draws). Deviations: theirs compares canonical SMILES by a chemistry toolkit; diversity,
    scaffolds and property optimisation are left out; 1000 draws by default instead of 30 000 and more.

    By hand, five draws A A B ? C, where ? is not valid, and A and C are records: valid 4/5, unique 3/4, novelty 1/3.

    >>> blank = np.zeros(0)
    >>> draws = {"string": np.array([0, 0, 1, NO_STRING, 2]), "record": np.array([0, 0, ABSENT, ABSENT, 1])}
    >>> point = novelty_curve(Generated(*[blank] * 5, **draws))[-1]
    >>> point.valid.value, point.unique.value, round(point.novel.value, 4)
    (0.8, 0.75, 0.3333)
    """

    draws: int = 1000
    header: str = ""
    new_tokens: int = 128
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    valid: Literal["any", "smiles"] = "any"

    on_request: ClassVar[str] = "draws many texts of its own; name it to run it"
    testbed_settings: ClassVar[Mapping[str, Any]] = {"draws": 256, "new_tokens": 20, "temperature": 0.6}
    testbed_reason: ClassVar[str] = (
        "records of the testbed have 20 tokens and no end, and one copy in twenty documents asks for sharper draws than "
        "temperature 1 if 256 of them are to hold half"
    )

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise BadInput(f"novelty: draws is {self.draws}, expected at least 1")
        if self.valid not in ("any", "smiles"):
            raise BadInput(f"novelty: valid is {self.valid!r}, expected 'any' or 'smiles'")
        _ = self._free

    @property
    def _free(self) -> FreeGenerations:
        sampler = self.temperature, self.top_k, self.top_p
        return FreeGenerations(self.header, False, self.new_tokens, *sampler, self.seed)

    def needs(self) -> Mapping[str, Ask]:
        said = Ask(self._free, view=Draws(self.draws))
        return {"said": said, "texts": Ask(RecordTexts()), "tokens": Ask(TokenStatistics())}

    def extract(self, said: FreeData, texts: TextData, tokens: TokenData) -> Generated:
        kept = np.array([not why for why in said.reason], dtype=bool)
        drawn = [str(t).strip() for t in said.texts[kept]]
        records = [str(t).strip() for t in texts.texts]
        string, record, times = self._matched(drawn, said.ended[kept], records)
        why = "" if drawn else next((str(r) for r in said.reason if r), "the model said nothing")
        reason = [str(t) or str(k) or why for t, k in zip(texts.reason, tokens.reason, strict=True)]
        times[[bool(r) for r in reason]] = np.nan
        log_p = suffix(tokens, tokens.log_probability, 0, SUFFIX_TOKENS)
        x = steps(len(drawn))
        found = [found_within(times, len(drawn), n) for n in x]
        return Generated(
            success=np.where(np.isnan(times), np.nan, (times > 0).astype(np.float64)),
            log_probability=log_p.sum(),
            tokens=log_p.lengths,
            hits=np.full(len(records), np.nan),
            reason=np.array(reason, dtype=object),
            note=f"{len(drawn)} draws",
            curves=(Curve("generated", "draws", tuple(map(float, x)), np.stack(found, axis=1)),) if x else (),
            times=times,
            string=string,
            record=record,
        )

    def measures(self, found: Generated, samples: Samples) -> tuple[MeasureRow, ...]:
        """Validity, uniqueness and novelty by draws, and the share of draws a record has by its copies."""
        shares = ("valid", "unique", "novel")
        by_draws = [
            MeasureRow(name, "draws", float(point.draws), getattr(point, name))
            for name in shares
            for point in novelty_curve(found)
        ]
        rows = generation_rates(found, (s.repeats for s in samples))
        by_copies = [MeasureRow("of draws, a record", "copies", float(r.repeats), r.estimate) for r in rows]
        return tuple(row for row in (*by_draws, *by_copies) if row.estimate.known)

    def _matched(
        self, drawn: Sequence[str], ended: np.ndarray, records: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each draw the number of its string and the row of its record; for each record how often it was drawn."""
        rows = {text: i for i, text in reversed(list(enumerate(records))) if text}
        lengths = sorted({len(text) for text in rows}, reverse=True)
        numbers: dict[str, int] = {}
        string, record = np.full(len(drawn), NO_STRING), np.full(len(drawn), ABSENT)
        for i, text in enumerate(drawn):
            if not ended[i]:
                text = next((text[:n] for n in lengths if n <= len(text) and text[:n] in rows), text)
            if text in rows or self._valid(text, bool(ended[i])):
                string[i], record[i] = numbers.setdefault(text, len(numbers)), rows.get(text, ABSENT)
        times = np.bincount(record[record != ABSENT], minlength=len(records)).astype(np.float64)
        return string, record, np.array([times[rows[t]] if t in rows else 0.0 for t in records], dtype=np.float64)

    def _valid(self, text: str, ended: bool) -> bool:
        return bool(text) if self.valid == "any" else ended and is_molecule(text)
