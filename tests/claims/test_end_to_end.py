"""Studies on the tiny planted models: in one process, in two, from the store, from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rasura.claims import _seeds
from rasura.claims._doses import Doses
from rasura.claims._erasing import Erasing
from rasura.claims._finetuning import Finetuning
from rasura.claims._seeds import each_seed
from rasura.cli import group
from rasura.cli._output import run
from rasura.core import registry
from rasura.core.errors import RasuraError
from rasura.core.store import Store
from rasura.testbeds._folder import write_parts
from rasura.testbeds.language import Language


@pytest.fixture
def cache(planted, tmp_path, monkeypatch):
    """A cache in which the tiny planted models stand where the tiny testbed's would: nothing is trained."""
    monkeypatch.setenv("RASURA_CACHE", str(tmp_path))
    for seed in (0, 1, 2):
        folder = tmp_path / "testbeds" / Language("tiny").key(seed)
        parts = {p: getattr(planted, p) for p in ("members", "nonmembers", "forget", "retain", "heldout")}
        folder.mkdir(parents=True)
        for role, model in planted.models.items():
            model.save(str(folder / role))
        write_parts(folder, parts, planted.twins, {"name": "tiny"})
    return tmp_path


def test_a_study_runs_once_and_is_read_back(cache, monkeypatch):
    store = Store()
    (first,) = each_seed(Doses("tiny"), (0,), store)
    assert first.dose.max() == 40 and first.score.shape == first.dose.shape == first.extracted.shape
    assert np.mean(first.extracted[first.dose == 40]) > 0.5 > np.mean(first.extracted[first.dose == 0])
    monkeypatch.setattr(Doses, "run", lambda *_: pytest.fail("it was there already"))
    (again,) = each_seed(Doses("tiny"), (0,), store)
    assert np.array_equal(first.score, again.score) and first.family.tolist() == again.family.tolist()


def test_another_process_gives_what_this_one_gives(cache):
    """One seed beside nobody, in a process of its own, then here; its tick is counted on the way."""
    ticks, study = [], Doses("tiny")
    store, here = Store(cache / "store"), Store()
    key = _seeds.key_of(study, 1)
    _seeds._side_by_side(study, [1], {1: key}, store, ticks.append)
    (alone,) = each_seed(study, (1,), here)
    assert ticks == [1] and np.array_equal(store.read(key, study.Data).score, alone.score)


def test_missing_seeds_run_side_by_side(cache, monkeypatch):
    """Those that are not in the store, two at a time; one that fails is the error of all."""
    import threading

    together = threading.Barrier(2, timeout=10)
    done = []

    def spawn(job, ticked):
        if job["seed"] in (1, 2):
            together.wait()  # breaks unless both are under way at once
        done.append(job["seed"])
        Store(job["store"]).write(job["key"], data)

    store, study = Store(cache / "store"), Doses("tiny")
    (data,) = each_seed(study, (0,), store)
    monkeypatch.setattr(_seeds, "_spawn", spawn)
    assert len(each_seed(study, (0, 1, 2), store)) == 3 and sorted(done) == [1, 2]

    def broken(job, ticked):
        raise RasuraError("no memory")

    monkeypatch.setattr(_seeds, "_spawn", broken)
    with pytest.raises(RasuraError, match="no memory"):
        _seeds._side_by_side(study, [1, 2], {1: "a", 2: "b"}, store, done.append)


def test_a_worker_that_fails_says_so(cache):
    with pytest.raises(RasuraError, match="seed 7 of x.Y failed: ModuleNotFoundError"):
        _seeds._spawn({"study": {"class": "x.Y"}, "seed": 7, "key": "k", "store": "s"}, lambda: None)


def test_finetuning_sees_every_epoch(cache):
    """Members are learned, others are not; draws only where they were asked for."""
    ticks = []
    study = Finetuning(size="tiny", texts=12, epochs=4, learning_rate=6e-3, sampled=(4,), draws=2)
    planted = Language("tiny").build(0)
    data = study.run(0, planted, lambda: ticks.append(1))
    members = data.member == 1
    assert members.sum() == 12 and len(ticks) == 4 and data.plain.shape == (24, 4)
    assert data.plain[members, -1].mean() > data.plain[~members, -1].mean() > data.plain[~members, 0].mean()
    assert np.isnan(data.any_draw[members, :3]).all() and not np.isnan(data.any_draw[members, 3]).any()
    assert np.isnan(data.any_draw[~members]).all()
    assert (data.by_ratio[members, 3] <= data.any_draw[members, 3]).all()
    assert np.allclose(data.ratio, data.base[:, None] / -data.plain) and np.allclose(
        data.difference, data.base[:, None] + data.plain
    )


def test_erasing_is_watched_without_being_changed(cache):
    """The last look at a watched run is the model that the plain run gives, and column 0 the model before."""
    from dataclasses import replace

    from rasura.core import registry
    from rasura.core.types import Ask, Request
    from rasura.observations._engine import Engine
    from rasura.observations.token_statistics import TokenStatistics

    planted = Language("tiny").build(0)
    data = Erasing(size="tiny", steps=10, every=5).run(0, planted, lambda: None)
    recipe = registry.module_of("erasers.objectives", "npo").recipe()
    loop = replace(recipe.loop, steps=10, warmup=recipe.loop.warmup * recipe.loop.steps / 10)
    after = replace(recipe, loop=loop).apply(planted.models["target"], Request(planted.forget, planted.retain), seed=0)
    for column, model in ((0, planted.models["target"]), (2, after)):
        seen = Engine().observe(Ask(TokenStatistics()), {"target": model}, planted.forget)
        assert np.array_equal(data.loss[data.of("forget"), column], seen.loss)
    assert data.loss.shape[1] == 3 and np.isnan(data.relearned).all()


def test_the_command_line_prints_and_keeps(cache, monkeypatch, capsys):
    """One claim, studied on the tiny models, printed as JSON; the second call reads the verdict back."""
    from rasura.claims import hubble_dose_response as module

    monkeypatch.setattr(module.HubbleDoseResponse, "__init__", small_init(module))
    assert run(group, ["claims", "hubble_dose_response", "--json"]) == 0
    (body,) = json.loads(capsys.readouterr().out)
    assert body["claim"] == "hubble_dose_response" and body["outcome"] in ("holds", "fails here", "not resolvable")
    monkeypatch.setattr(module.HubbleDoseResponse, "check", lambda *_: pytest.fail("it was there already"))
    assert run(group, ["claims", "hubble_dose_response"]) == 0
    assert body["ours"] in capsys.readouterr().out


def small_init(module):
    """The claim's defaults, turned down: the command line makes claims with their defaults."""

    def init(self) -> None:
        for name, value in {**vars_of(module), "study": Doses("tiny"), "seeds": (0,), "resamples": 20}.items():
            object.__setattr__(self, name, value)

    return init


def vars_of(module):
    import dataclasses

    return {f.name: f.default for f in dataclasses.fields(module.HubbleDoseResponse)}


def test_a_family_is_the_claims_about_one_kind_of_model():
    """Every claim is in exactly one of the two."""
    from rasura.cli.claims import _chosen

    families = {family: [c.name for c in _chosen((), family)] for family in ("all", "text", "images")}
    assert "hubble_dose_response" in families["text"] and "uce_closed_form_erases" in families["images"]
    assert sorted(families["text"] + families["images"]) == families["all"] == list(registry.names("claims"))
    assert [c.name for c in _chosen(("bias_is_amplified",), "images")] == ["bias_is_amplified"]


def test_bad_use_is_one_line(cache, capsys):
    for arguments, said in (
        (["claims", "hubble_dose"], "did you mean hubble_dose_response?"),
        (["claims", "--family", "pictures"], "'pictures' is not one of"),
        (["claims", "hubble_dose_response", "--family", "images"], "no claim named here is about images models"),
        (["claims", "--write", "/nowhere/x.md"], "cannot be written"),
    ):
        assert run(group, arguments) == 2
        assert said in capsys.readouterr().err


def test_a_page_of_one_family_leaves_the_others_as_they_were(tmp_path):
    """What is listed beside the page and was not checked now stays; a claim that no longer exists goes."""
    from rasura.claims._page import listed
    from rasura.cli.claims import _others
    from rasura.core.records import Verdict

    old = [
        Verdict(name, "holds", "1", "theirs", "why", "threshold")
        for name in ("hubble_dose_response", "mope_beats_loss", "a_claim_of_old")
    ]
    (tmp_path / "claims.json").write_text(listed(old))
    assert _others(tmp_path / "claims.md", [old[1]]) == [old[0]]
    assert _others(tmp_path / "nothing.md", []) == []
