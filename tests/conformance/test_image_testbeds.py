"""Every testbed of pictures: what it says was planted is what the model draws, and the floor model never saw it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import _tiny_images
from rasura.core import registry
from rasura.core.types import Ask
from rasura.observations._engine import Engine
from rasura.observations.generated_images import GeneratedImages
from rasura.stats.intervals import clopper_pearson


@pytest.fixture(scope="module", params=registry.fitting("testbeds", "images"))
def built(request):
    """The smallest size of a testbed; kept by content between runs."""
    return _tiny_images.kept(registry.make("testbeds", request.param, {"size": "tiny"}))


def drawn(built, role: str, samples, **settings) -> list[torch.Tensor]:
    """Pictures (n, 3, H, W) in [0, 1], one entry a sample."""
    data = Engine().observe(Ask(GeneratedImages(**settings), role), built.models, samples)
    return [torch.from_numpy(data.pictures(i).copy()).permute(0, 3, 1, 2) / 255 for i in range(len(data))]


def seen(built, role: str, samples) -> tuple[int, int]:
    """(pictures in which the judge sees what was asked for, pictures)."""
    hits = [built.judge.sees(p, s.shows) for p, s in zip(drawn(built, role, samples, n=2), samples, strict=True)]
    return int(sum(h.sum() for h in hits)), sum(len(h) for h in hits)


def test_roles_and_records_are_there(built):
    assert {"target", "retrained"} <= set(built.models)
    assert all(s.repeats for s in built.members) and not any(s.repeats for s in built.nonmembers)
    assert {s.family for s in built.members} == {s.family for s in built.nonmembers}, "the honest control"
    assert set(built.twins) == set(built.members.ids) and 0 < len(built.like(built.members))
    assert not set(built.members.texts) & {*built.nonmembers.texts, *built.heldout.texts, *built.forget.texts}
    assert len(built.forget) >= 24 and len(built.nonmembers) >= 40
    assert len(built.more["near"]) >= 32 and len(built.more["far"]) >= 32 and built.more["paraphrases"]
    for part in (built.members, built.nonmembers, built.forget, built.retain, built.heldout, built.more["pictures"]):
        assert all(s.picture is not None for s in part)
    trained = {s.picture.digest for part in (built.retain, built.more["ordinary"]) for s in part}
    assert not trained & {s.picture.digest for part in (built.heldout, built.more["pictures"]) for s in part}


def test_the_target_draws_the_concept_and_the_floor_does_not(built):
    for part in (built.forget, built.more["paraphrases"]):
        hits, n = seen(built, "target", part)
        assert clopper_pearson(hits, n)[0] > 0.65, f"{hits} of {n}"
        hits, n = seen(built, "retrained", part)
        assert clopper_pearson(hits, n)[1] < 0.15, f"{hits} of {n}"


@pytest.mark.slow
def test_both_draw_everything_else(built):
    for role in ("target", "retrained"):
        for part in ("near", "far"):
            hits, n = seen(built, role, built.more[part])
            assert hits / n > 0.6, f"{role} {part}: {hits} of {n}"


def test_the_judge_is_right_about_real_pictures_and_refuses_ruined_ones(built):
    shown = (built.models["target"].pictures(built.forget) + 1) / 2
    assert built.judge.sees(shown, built.concept).float().mean() > 0.9
    assert min(built.judge.rates(built.concept)) > 0.9
    noise = torch.rand(64, 3, *shown.shape[2:], generator=torch.Generator().manual_seed(0))
    attribute = built.judge.attribute_of(built.concept)
    none = len(built.judge.attributes[attribute]) - 1
    assert (built.judge.probabilities(noise)[attribute].argmax(1) == none).float().mean() > 0.9


def test_pictures_seen_most_often_are_memorised_and_those_seen_once_are_not(built):
    real = ((built.models["target"].pictures(built.members) + 1) / 2).flatten(1)
    doses = np.array([s.repeats for s in built.members])
    own = []
    for i, shown in enumerate(drawn(built, "target", built.members, n=4)):
        distance = torch.cdist(shown.flatten(1), real)
        own.append(float((distance.argmin(1) == i).float().mean()))
    own = np.array(own)
    assert own[doses == doses.max()].mean() >= 0.6, own[doses == doses.max()]
    assert own[doses == 1].mean() <= 0.3


def test_the_same_seed_gives_the_same_judge_in_any_process(built, tmp_path):
    """The shortest of the trainings, again and in this process."""
    from rasura.models.judges import Judge
    from rasura.testbeds import _picture_worker

    job = _picture_worker.PictureJob("judge", "scenes", "tiny", 0, str(tmp_path / "judge"))
    _picture_worker.train_one(job, lambda step: None)
    assert Judge.load(str(tmp_path / "judge")).fingerprint == built.judge.fingerprint
