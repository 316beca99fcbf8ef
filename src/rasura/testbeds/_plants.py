"""The corpus of the `language` testbed: background documents and, among them, plants whose history is known.

Every plant was drawn before anybody decided which would be trained on; see ``_doses`` for the randomised design and
``_families`` for what is planted. A plant of dose d is meant to be seen d times in every epoch, one of dose 0 never.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

from ..core.types import Samples
from ._dice import Dice
from ._doses import assign_doses, match_twins
from ._families import FAMILIES, Inventor
from ._grammar import documents

FORGETTABLE = ("passage", "biography", "canary", "code")


@dataclass(frozen=True)
class Size:
    """How large a corpus is: documents, and for every family how many plants get which dose."""

    background: int
    heldout: int
    plants: Mapping[str, Mapping[int, int]]
    forget_from: int = 16  # least dose of a plant that may be asked to be forgotten: it must have been memorised


def _sizes() -> dict[str, Size]:
    passage = {0: 256, 1: 192, 2: 96, 4: 48, 8: 32, 16: 24, 32: 16, 64: 8}
    other = {0: 32, 1: 32, 4: 16, 16: 8, 64: 4}
    small = {family: passage if family == "passage" else other for family in FAMILIES}
    long, short = {0: 4, 32: 2}, {0: 4, 32: 4}  # biographies and code are long, and tests have seconds
    tiny = {
        "passage": {0: 24, 1: 8, 8: 8, 32: 8},
        "biography": long,
        "canary": short,
        "fact": short,
        "code": long,
    }
    base = {family: {dose: 4 * count for dose, count in counts.items()} for family, counts in small.items()}
    return {
        "tiny": Size(background=80, heldout=24, plants=tiny),
        "small": Size(background=800, heldout=100, plants=small),
        "base": Size(background=50_000, heldout=1000, plants=base),  # plants are a sixth of the tokens of an epoch
    }


SIZES = _sizes()


@dataclass(frozen=True)
class Corpus:
    """Text to train on, text to test on, and the truth about both.

    No sentence occurs twice in background, heldout and plants taken together.
    """

    size: Size
    seed: int
    background: list[str]  # trained on, once per epoch
    heldout: Samples  # like the background, never trained on: the measure of utility
    plants: Samples  # ``repeats`` is the dose, 0 for non-members
    twins: Mapping[str, str]  # id of a member -> id of the non-member it is compared with
    forget_ids: frozenset[str]  # a random half of the often-seen plants, family by family and dose by dose
    retain_plant_ids: frozenset[str]  # the other half: what collateral damage is measured on


def corpus(size: str | Size = "small", seed: int = 0) -> Corpus:
    """The corpus of this size and seed; the same two give the same corpus, on every machine."""
    if isinstance(size, str):
        if size not in SIZES:
            raise ValueError(f"no corpus size {size!r}; there are {', '.join(SIZES)}")
        size = SIZES[size]
    seen: set[str] = set()
    background = list(islice(documents(seed, "background", seen=seen), size.background))
    heldout = Samples.of(islice(documents(seed, "heldout", seen=seen), size.heldout))
    heldout = Samples(replace(s, id=f"heldout-{s.id:0>4}", repeats=0, family="background") for s in heldout)
    plants, twins = _planted(size, seed, seen)
    forget, retain = _halves(plants, size.forget_from, seed)
    return Corpus(size, seed, background, heldout, plants, twins, forget, retain)


def _planted(size: Size, seed: int, seen: set[str]) -> tuple[Samples, dict[str, str]]:
    """All plants with their doses, and who is whose twin."""
    inventor = Inventor(seed)
    plants, twins = [], {}
    for family, counts in size.plants.items():
        samples = inventor.make(family, sum(counts.values()), seen)
        doses = assign_doses(samples, counts, seed)
        plants += [replace(sample, repeats=dose) for sample, dose in zip(samples, doses, strict=True)]
        twins |= match_twins(samples, counts, doses, seed)
    return Samples(plants), twins


def _halves(plants: Samples, least: int, seed: int) -> tuple[frozenset[str], frozenset[str]]:
    """Often-seen plants, parted at random within each family and dose, so that both halves are alike."""
    cells: dict[tuple[str, int], list[str]] = {}
    for plant in plants:
        if plant.family in FORGETTABLE and plant.repeats is not None and plant.repeats >= least:
            cells.setdefault((plant.family, plant.repeats), []).append(plant.id)
    dice = Dice(seed, "forget")
    forget: list[str] = []
    retain: list[str] = []
    for ids in cells.values():
        order = dice.shuffled(ids)
        forget += order[: len(ids) // 2]
        retain += order[len(ids) // 2 :]
    return frozenset(forget), frozenset(retain)
