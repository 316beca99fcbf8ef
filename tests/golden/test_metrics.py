"""Metrics against open-unlearning's own numbers.

Provenance: evaluation functions of locuslab/open-unlearning, commit d3d7cf9, run on the unperturbed Llama of
``golden/_fixture.py`` with the FORGET batch (and HOLDOUT for membership); transformers 4.45.1, float32, CPU, one
thread. Printed to six digits or more; tolerance 1e-5 relative or half a unit of the last printed digit.
"""

from __future__ import annotations

import numpy as np
import pytest

from golden._fixture import FORGET, HOLDOUT, build_llama
from rasura.core import registry
from rasura.core.types import Ask
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenStatistics

BACKS = ("metrics.extraction_strength", "metrics.forget_loss", "metrics.membership_auc", "metrics.probability")

LOSSES = (5.504486, 5.697886, 5.533188)
PROBABILITY = 0.00379163
LOSS_AUC = 0.3333  # their orientation: 1 = the forget set looks memorised, as here


@pytest.fixture(scope="module")
def observed():
    engine, models = Engine(), {"target": build_llama()}
    return {
        name: engine.observe(Ask(TokenStatistics()), models, batch.samples)
        for name, batch in (("forget", FORGET), ("holdout", HOLDOUT))
    }


def test_losses(observed):
    assert observed["forget"].loss == pytest.approx(LOSSES, rel=1e-5)
    assert registry.get("metrics", "forget_loss")().estimate(observed["forget"]).value == pytest.approx(
        np.mean(LOSSES), rel=1e-5
    )


def test_probability(observed):
    assert registry.get("metrics", "probability")().estimate(observed["forget"]).value == pytest.approx(
        PROBABILITY, rel=1e-5
    )


def test_membership_auc(observed):
    found = registry.get("metrics", "membership_auc")().estimate(observed["forget"], observed["holdout"])
    assert found.value == pytest.approx(LOSS_AUC, abs=5e-5)


def strength(rank: list[int]) -> float:
    return registry.module_of("metrics", "extraction_strength").strength(np.array(rank))


def as_open_unlearning(rank: list[int]) -> float:
    """Their strength from ours: the last labelled token is left out, and nothing right gives 1/L instead of 0."""
    return max(strength(rank[:-1]), 1 / (len(rank) - 1))


@pytest.mark.parametrize(
    ("rank", "theirs", "ours"),
    [
        ([1, 1, 1, 1, 0, 0, 0, 0], 0.428571, 0.5),  # 7 positions counted: 4 wrong, then 3 right
        ([1, 1, 1, 1, 1, 1], 0.2, 0.0),  # 5 positions counted, all wrong
        ([0, 0, 0, 0], 1.0, 1.0),
    ],
)
def test_extraction_strength(rank, theirs, ours):
    assert as_open_unlearning(rank) == pytest.approx(theirs, abs=5e-7)
    assert strength(rank) == ours
