"""The `language` testbed on somebody's own records: a calibration of what signals can show on that kind of text.

Records are split at random: a fifth goes to the reference model (its first pieces are the held-out records), the rest
are members or not by a coin, members with doses 1, 4, 16 and 32. Only the first piece of each record that fits a
training row is used, so one record is one observation; a record whose first piece nearly equals another's is left out. The tokenizer is trained on all records of both sides alike,
which a random split makes exchangeable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.errors import BadInput
from ..core.types import Sample, Samples
from ..data.checks import without_near_duplicates
from ._doses import assign_doses, match_twins

DOSES: Mapping[int, float] = {4: 0.2, 16: 0.1, 32: 0.1}  # shares of the members; the others are seen once an epoch
REFERENCE_SHARE = 0.2
FORGET_FROM = 16
LEAST = 60  # fewer records cannot fill two sides and a reference


@dataclass(frozen=True)
class OwnCorpus:
    """Like ``_plants.Corpus``, from records somebody brought."""

    plants: Samples  # repeats = dose, 0 for non-members
    reference: Samples  # records of the reference model alone
    rest: tuple[str, ...]  # text of the reference records beyond their first piece
    twins: Mapping[str, str]
    forget_ids: frozenset[str]


def own_corpus(samples: Samples, tokenizer: Any, length: int, member_fraction: float, seed: int) -> OwnCorpus:
    """Split and dose records. Raises BadInput when there are too few."""
    first = Samples(replace(s, text=_pieces(s.text, tokenizer, length)[0], start=0, secret=None) for s in samples)
    single = set(without_near_duplicates(first).ids)
    samples = samples.where(lambda s: s.id in single)
    if len(samples) < LEAST:
        raise BadInput(f"{len(samples)} records that differ: a testbed on your own text needs at least {LEAST}")
    order = np.random.default_rng([seed, 7]).permutation(len(samples))
    cut = int(REFERENCE_SHARE * len(samples))
    held, pool = samples.take(order[:cut]), samples.take(order[cut:])
    pieces = [_pieces(s.text, tokenizer, length) for s in held]
    begin = {s.id: s for s in first}
    records = Samples(begin[s.id] for s in pool)
    counts = _counts(len(records), member_fraction)
    doses = assign_doses(records, counts, seed)
    plants = Samples(replace(s, repeats=d, family=s.family or "record") for s, d in zip(records, doses, strict=True))
    often = [s.id for s in plants if (s.repeats or 0) >= FORGET_FROM]
    chosen = np.random.default_rng([seed, 8]).permutation(len(often))[: len(often) // 2]
    return OwnCorpus(
        plants=plants,
        reference=Samples(
            Sample(s.id, p[0], repeats=1, family="background") for s, p in zip(held, pieces, strict=True)
        ),
        rest=tuple(piece for p in pieces for piece in p[1:]),
        twins=match_twins(records, counts, doses, seed),
        forget_ids=frozenset(often[i] for i in chosen),
    )


def _counts(n: int, member_fraction: float) -> dict[int, int]:
    members = round(n * member_fraction)
    more = {dose: max(1, round(share * members)) for dose, share in DOSES.items()}
    return {0: n - members, 1: members - sum(more.values()), **more}


def _pieces(text: str, tokenizer: Any, length: int) -> list[str]:
    """Consecutive parts of at most ``length`` - 1 tokens, so that a part and its separator fit a training row."""
    ends = [end for _, end in tokenizer.encode(text, add_special_tokens=False).offsets]
    cuts = [ends[i - 1] for i in range(length - 1, len(ends), length - 1)] + [len(text)]
    parts = [text[a:b] for a, b in zip([0, *cuts[:-1]], cuts, strict=True)]
    return [part for part in parts if part.strip()] or [text]
