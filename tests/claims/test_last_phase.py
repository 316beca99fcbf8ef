"""The claim about text alone: its rule on made-up numbers, and its study on a tiny model."""

from __future__ import annotations

import numpy as np
import pytest

from _study import run
from rasura.claims._decide import FAILS, HOLDS, UNRESOLVED
from rasura.claims._last_phase import BASE, CHILD, OUTSIDER, PARTITION, LastPhase, LastPhaseData
from rasura.claims.text_alone_tells_the_training_order import TextAloneTellsTheTrainingOrder


def last_phase(base: int, child: int, outsider: int) -> LastPhaseData:
    """How many of 20, 20 and 60 texts rank first."""
    p = np.concatenate([np.where(np.arange(n) < k, 0.05, 0.5) for k, n in ((base, 20), (child, 20), (outsider, 60))])
    kind = np.repeat(np.array([BASE, CHILD, OUTSIDER], dtype=object), [20, 20, 60])
    names = np.array(list(PARTITION.values()), dtype=object)
    several = [np.concatenate([kind, names]), np.concatenate([p, [0.3, 0.6]])]
    return LastPhaseData(*several, np.linspace(0, 1, 102), np.full(102, 320.0))


@pytest.mark.parametrize(
    ("base", "child", "outsider", "outcome"),
    [
        (20, 19, 3, HOLDS),
        (5, 5, 3, FAILS),
        (20, 5, 3, FAILS),  # a little more training hides it
        (20, 20, 20, FAILS),  # everybody's text is found
        (16, 16, 3, UNRESOLVED),
    ],
)
def test_the_rule(base, child, outsider, outcome):
    verdict = TextAloneTellsTheTrainingOrder().decide([last_phase(base, child, outsider)] * 3)
    assert verdict.outcome == outcome, verdict.ours
    assert [row[0] for row in verdict.table[1:]] == [BASE, CHILD, OUTSIDER, *PARTITION.values()]
    assert f"{PARTITION[BASE]}: p 0.3, 0.3, 0.3" in verdict.why
    assert "is 0.0941 [" in verdict.why  # the mean of 0, 1/101, ... 19/101


@pytest.mark.slow
def test_the_study():
    """The rank among four orders is a quarter at best, and the text of a trial is as long as its prompts allow."""
    study = LastPhase("tiny", texts=60, last=0.4, orders=4, new_share=0.2, outsiders=5, prompts=2, new_tokens=8)
    data = run(study)
    assert (data.kind == BASE).sum() == 4 and (data.kind == OUTSIDER).sum() == 5
    trials = ~np.isin(data.kind, list(PARTITION.values()))
    assert set(data.p_value[trials]) <= {0.25, 0.5, 0.75, 1.0} and (data.tokens[trials] <= 2 * 12).all()
    assert (~trials).sum() == 2
