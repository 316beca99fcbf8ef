"""Who is planted how often, decided so that nothing but the model can tell members from non-members.

Chance alone does not balance small groups: with 32 members drawn freely, text length by itself reached an AUC of .37.
The design below leaves identity to chance and takes length away from it.

1. Sort the samples of a family by length and cut them into B blocks, B being the smallest count asked for. Every
   block holds every dose in the same proportion, so within each dose the lengths are spread like those of dose 0: if
   the counts are multiples of B, the AUC of length between dose 0 and any other dose lies within 1/2 +- 1/(2 B).
2. Cut each block into *strata* of neighbours in length, as many as possible such that each holds at least one
   non-member and one member, and shuffle the roles inside each stratum. The *twin* of a member is a non-member of its
   own stratum. Exchanging a member with its twin gives another outcome of the same probability: which of the two was
   planted is a fair coin.
3. Shuffle the doses above 0 over the members of the block.

The standard sizes have more members than non-members; then a stratum is one non-member with the one or two members
whose twin it is. An exact test permutes membership within strata and doses within blocks; a paired one must count a
shared twin as one observation, not two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from ..core.types import Sample
from ._dice import Dice


class Block(NamedTuple):
    """Samples of similar length that receive every dose in proportion."""

    strata: list[list[int]]  # indices of samples, neighbours in length
    nonmembers: list[int]  # how many of each stratum are left out of training
    doses: list[int]  # what the members get, before shuffling


def assign_doses(samples: Sequence[Sample], counts: Mapping[int, int], seed: int) -> list[int]:
    """A dose for every sample, ``counts[d]`` of them d, balanced on text length.

    >>> pairs = [Sample(str(i), "x" * n) for i, n in enumerate([5, 90, 6, 91])]
    >>> doses = assign_doses(pairs, {0: 2, 8: 2}, seed=0)
    >>> doses[0] + doses[2], doses[1] + doses[3]  # one short text is planted and one long text
    (8, 8)
    """
    dice = Dice(seed, "doses", *(sample.id for sample in samples[:1]))  # families of one size must not share coins
    result = [0] * len(samples)
    for block in _blocks(samples, counts):
        doses = dice.shuffled(block.doses)
        for stratum, nonmembers in zip(block.strata, block.nonmembers, strict=True):
            for index in dice.shuffled(stratum)[nonmembers:]:
                result[index] = doses.pop()
    return result


def match_twins(
    samples: Sequence[Sample], counts: Mapping[int, int], doses: Sequence[int], seed: int
) -> dict[str, str]:
    """For the id of every member that of its twin: a non-member of its stratum, drawn if there are several."""
    dice = Dice(seed, "twins", *(sample.id for sample in samples[:1]))
    twins: dict[str, str] = {}
    for block in _blocks(samples, counts):
        for stratum in block.strata:
            nonmembers = [i for i in stratum if not doses[i]]
            for member in (i for i in stratum if doses[i] and nonmembers):
                twins[samples[member].id] = samples[dice.pick(nonmembers)].id
    return twins


def _blocks(samples: Sequence[Sample], counts: Mapping[int, int]) -> Iterator[Block]:
    """The design: fixed by lengths and counts alone, before any coin is thrown."""
    if sum(counts.values()) != len(samples):
        raise ValueError(f"doses for {sum(counts.values())} samples asked for, {len(samples)} samples given")
    order = sorted(range(len(samples)), key=lambda i: (len(samples[i].text), i))
    number = min((count for count in counts.values() if count), default=0)
    start = 0
    for block in range(number):
        share = {dose: _share(counts[dose], block, number) for dose in sorted(counts)}
        stop = start + sum(share.values())
        doses = [dose for dose in share if dose for _ in range(share[dose])]
        yield _stratified(order[start:stop], share.get(0, 0), doses)
        start = stop


def _share(count: int, part: int, parts: int) -> int:
    """Size of one part if ``count`` things are dealt evenly to ``parts``."""
    return count * (part + 1) // parts - count * part // parts


def _stratified(indices: list[int], nonmembers: int, doses: list[int]) -> Block:
    number = max(1, min(nonmembers, len(doses)))
    cuts = [len(indices) * i // number for i in range(number + 1)]
    strata = [indices[a:b] for a, b in pairwise(cuts)]
    if not nonmembers or not doses:
        return Block(strata, [nonmembers], doses)
    few = nonmembers <= len(doses)
    return Block(strata, [1 if few else len(stratum) - 1 for stratum in strata], doses)
