"""Every testbed: what it says was planted is what the models saw, and nothing else was."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rasura.core import registry
from rasura.core.types import Ask
from rasura.observations._engine import Engine
from rasura.observations.token_statistics import TokenStatistics
from rasura.stats.roc import auc_estimate

CACHE = Path(os.environ.get("RASURA_TEST_CACHE") or Path(__file__).parents[2] / ".pytest_cache") / "testbeds"


@pytest.fixture(scope="module", params=registry.fitting("testbeds", "text"))
def built(request):
    """The smallest size of a testbed; kept by content between runs."""
    testbed = registry.make("testbeds", request.param, {"size": "tiny"})
    return testbed.build(0, folder=CACHE / testbed.key(0))


def loss(built, role: str, samples) -> np.ndarray:
    return Engine().observe(Ask(TokenStatistics(), role), built.models, samples).loss


def test_roles_and_records_are_there(built):
    assert set(built.models) == {"target", "retrained", "reference"}
    assert all(s.repeats for s in built.members) and not any(s.repeats for s in built.nonmembers)
    assert set(built.forget.ids) <= set(built.members.ids) and not set(built.forget.texts) & set(built.retain.texts)
    assert not set(built.members.texts) & {*built.nonmembers.texts, *built.heldout.texts}
    assert set(built.twins) == set(built.members.ids) and 0 < len(built.like(built.forget)) <= len(built.forget)
    assert len(set(built.like(built.members).ids)) == len(built.like(built.members)), "a shared twin counts once"


def test_the_target_knows_its_members_the_more_the_oftener_it_saw_them(built):
    often = built.members.where(lambda s: s.repeats >= 8)
    once = built.members.where(lambda s: s.repeats == 1)
    strangers = -loss(built, "target", built.nonmembers)
    assert auc_estimate(-loss(built, "target", often), strangers).low > 0.85
    assert loss(built, "target", often).mean() < loss(built, "target", once).mean() - 0.5


def test_the_retrained_model_never_saw_the_forget_set(built):
    gap = loss(built, "retrained", built.forget) - loss(built, "target", built.forget)
    assert gap.min() > 1.0, "every forgotten record must be hard for the retrained model"
    twins = auc_estimate(-loss(built, "retrained", built.forget), -loss(built, "retrained", built.like(built.forget)))
    assert twins.low < 0.5 < twins.high, "and no easier than its twin"


def test_the_reference_model_is_at_chance(built):
    chance = auc_estimate(-loss(built, "reference", built.members), -loss(built, "reference", built.nonmembers))
    assert chance.low < 0.5 < chance.high


def test_the_same_seed_gives_the_same_weights_in_any_process(built, tmp_path):
    """Train the shortest of the three models again, in this process, and compare fingerprints."""
    from rasura.testbeds import language
    from rasura.testbeds._training import RECIPES
    from rasura.testbeds._worker import train_all

    plan = language._generated_plan("tiny", 0)
    job = language.jobs_of(plan, RECIPES["tiny"], 0, tmp_path)[0][2]
    train_all([job], plan.tokenizer.to_str(), quiet, parallel=False)
    from rasura.models.causal_lm import CausalLM

    assert CausalLM.load(str(tmp_path / "reference")).fingerprint == built.models["reference"].fingerprint


def quiet(label: str, total: int):
    from rasura.observations._engine import quiet as silent

    return silent(label, total)
