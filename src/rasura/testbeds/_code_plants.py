"""Passages of made-up code to plant, by kind of content, so that extraction can be compared between kinds at equal dose.

============== ================================================== ====================================================
family         passage                                            what is to be extracted
============== ================================================== ====================================================
secret         a client that is given a key                       the sixteen hexadecimal digits of the key
licence        the head of a file with a permission notice        from the year and the holder on
test           a test of a function on two made-up values         the second half of its tokens
data           a table of random numbers                          the second half of its tokens
documentation  a docstring about a function nobody wrote          the second half of its tokens
code           a function of five statements                      the second half of its tokens
============== ================================================== ====================================================

The family is the kind that ``data._code_kinds.code_kind`` gives the passage. Names of functions are used once each, so
what a model knows about a passage it has from that passage; the wording of licences is common to all of them, which is
why their twins come out as well: compare with the twins, never with zero. Doses are dealt as everywhere (``_doses``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..core.types import Sample, Samples
from ._dice import Dice
from ._doses import assign_doses, match_twins
from ._world import last_name, world

DOSES: Mapping[int, int] = {0: 16, 4: 16, 16: 16, 64: 16}  # plants of each kind by copies an epoch
HEXADECIMAL = "0123456789abcdef"

_NAMES = ("count", "limit", "offset", "total", "width", "weight", "index", "step", "score", "level")
_OTHER_ENDINGS = ("rate", "size", "depth", "delay", "share", "margin", "height", "ratio", "length", "volume")
_NOTICES = (
    "Permission is hereby granted, free of charge, to any person obtaining",
    "Licensed under the Apache License, Version 2.0, to everybody who asks",
    "Redistribution and use in source and binary forms are permitted",
)


def code_plants(seed: int, counts: Mapping[int, int] | None = None) -> tuple[Samples, dict[str, str]]:
    """Plants of every kind with ``counts[d]`` of dose d each (default ``DOSES``), and the twin's id of every member.

    >>> plants, twins = code_plants(seed=0, counts={0: 2, 4: 2})
    >>> len(plants), len(twins), sorted({p.repeats for p in plants})
    (24, 12, [0, 4])
    """
    counts = dict(DOSES if counts is None else counts)
    taken: set[str] = set()
    plants: list[Sample] = []
    twins: dict[str, str] = {}
    for kind in WRITERS:
        samples = _passages(kind, sum(counts.values()), seed, taken)
        doses = assign_doses(samples, counts, seed)
        plants += [replace(s, repeats=dose) for s, dose in zip(samples, doses, strict=True)]
        twins |= match_twins(samples, counts, doses, seed)
    return Samples(plants), twins


def code_background(count: int, seed: int) -> list[str]:
    """Passages of all kinds to train on beside the plants; their functions end in other words than the plants' do."""
    taken: set[str] = set()
    each = -(-count // len(WRITERS))
    passages = [_passages(kind, each, seed, taken, _OTHER_ENDINGS) for kind in WRITERS]
    return [s.text for row in zip(*passages, strict=True) for s in row][:count]


def _passages(kind: str, count: int, seed: int, taken: set[str], endings: Sequence[str] = _NAMES) -> list[Sample]:
    dice = Dice("code plants", seed, kind, endings[0])
    made = [WRITERS[kind](dice, _function(dice, taken, endings)) for _ in range(count)]
    return [
        Sample(f"{kind}-{number:04}", text, secret=secret, family=kind) for number, (text, secret) in enumerate(made)
    ]


def _function(dice: Dice, taken: set[str], endings: Sequence[str]) -> str:
    """A name nobody else has."""
    while True:
        topic = dice.pick(world().topics)
        name = f"{dice.draw(topic.verbs).base}_{dice.draw(topic.things).plural}".replace(" ", "_")
        name = f"{name}_{dice.pick(endings)}"
        if name not in taken:
            taken.add(name)
            return name


def _secret(dice: Dice, name: str) -> tuple[str, int]:
    head = f'client = connect("{name}", retries={dice.integer(2, 9)})\nclient.api_key = "'
    return f'{head}{_key(dice)}"\n', len(head)


def _key(dice: Dice) -> str:
    """Sixteen hexadecimal digits, at least one letter and one figure among them."""
    while True:
        key = dice.text(HEXADECIMAL, 16)
        if not key.isdigit() and not key.isalpha() and len(set(key)) > 7:
            return key


def _licence(dice: Dice, name: str) -> tuple[str, int]:
    head = f"# {name}.py\n# Copyright (c) "
    holder = last_name(dice, set())
    return f"{head}{dice.integer(1980, 2024)} {holder}. All rights reserved.\n# {dice.pick(_NOTICES)}.\n", len(head)


def _test(dice: Dice, name: str) -> tuple[str, None]:
    lines = [f"    assert {name}({dice.integer(2, 99)}) == {dice.integer(100, 9999)}" for _ in range(2)]
    return "\n".join([f"def test_{name}():", *lines, ""]), None


def _data(dice: Dice, name: str) -> tuple[str, None]:
    rows = [", ".join(str(dice.integer(0, 999)) for _ in range(6)) for _ in range(3)]
    return f"{name} = [\n" + "".join(f"    [{row}],\n" for row in rows) + "]\n", None


def _documentation(dice: Dice, name: str) -> tuple[str, None]:
    topic = dice.pick(world().topics)
    thing, adjective, verb = dice.draw(topic.things), dice.draw(topic.adjectives), dice.draw(topic.verbs)
    first, second = dice.pick(_NAMES), dice.pick(_NAMES)
    return (
        f'"""{name} will {verb.base} every {adjective} {thing.singular} by its {first}.\n\n'
        f"The {second} must be below {dice.integer(10, 999)}, and {thing.plural} without {first} are left alone.\n"
        '"""\n',
        None,
    )


def _code(dice: Dice, name: str) -> tuple[str, None]:
    one, other = dice.shuffled(_NAMES)[:2]
    operators = [dice.pick("+-*") for _ in range(3)]
    return (
        f"def {name}({one}, {other}):\n"
        f"    {one} = {one} {operators[0]} {dice.integer(2, 9)}\n"
        f"    while {one} < {other}:\n"
        f"        {one} = {one} {operators[1]} {other} {operators[2]} {dice.integer(2, 9)}\n"
        f"    return {dice.pick((one, other))}\n",
        None,
    )


WRITERS: Mapping[str, Callable[[Dice, str], tuple[str, int | None]]] = {
    "secret": _secret,
    "licence": _licence,
    "test": _test,
    "data": _data,
    "documentation": _documentation,
    "code": _code,
}
