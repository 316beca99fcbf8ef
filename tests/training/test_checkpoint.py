"""Killed and resumed: the same weights, bit for bit; nobody else's checkpoint; nothing half written."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rasura.core.errors import BadInput
from rasura.core.protocols import Loss
from rasura.training.loop import Loop, train
from training._toy import Toy, same

BASE = Loop(steps=12, checkpoint_every=4, weight_decay=0.01, schedule="cosine")


class Killed(Exception):
    """Whatever ends a process."""


def dies_at(toy: Toy, step: int):
    def loss(k):
        if k == step:
            raise Killed
        return toy.loss(k)

    return loss


def variants():
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[0] = True
    yield pytest.param({}, torch.float32, None, id="plain")
    yield pytest.param({}, torch.bfloat16, None, id="half-precision")
    yield pytest.param({}, torch.float32, {"weight": mask}, id="masked")
    yield pytest.param({"accumulate": 2}, torch.float32, None, id="accumulated")
    yield pytest.param({"combine": "project"}, torch.float32, None, id="projected")
    yield pytest.param({"retain_budget": 50.0, "probe_every": 3}, torch.float32, None, id="budget")


@pytest.mark.parametrize(("settings", "dtype", "masks"), list(variants()))
@pytest.mark.parametrize("step", [5, 8, 11])
def test_resumed_run_ends_in_the_same_weights(tmp_path, settings, dtype, masks, step):
    """Killed at one step and again two steps later, then finished; the steps before a checkpoint are not run again."""
    from dataclasses import replace

    loop, place = replace(BASE, **settings), tmp_path / "deep" / "run.safetensors"
    whole, broken = Toy(dtype), Toy(dtype)
    probe = lambda toy: lambda: float(toy.loss(99).retain)  # noqa: E731
    straight = train(whole, whole.loss, loop, masks=masks, probe=probe(whole))
    for at in (step, min(step + 2, 11)):
        broken = Toy(dtype)
        with pytest.raises(Killed):
            train(
                broken, dies_at(broken, at * loop.accumulate), loop, masks=masks, checkpoint=place, probe=probe(broken)
            )
    broken, asked = Toy(dtype), []
    resumed = train(
        broken, lambda k: asked.append(k) or broken.loss(k), loop, masks=masks, checkpoint=place, probe=probe(broken)
    )
    assert min(asked) >= 4 * loop.accumulate
    assert same(broken.state, whole.state)
    assert resumed == straight
    assert list(place.parent.iterdir()) == [place], "nothing half-written is left behind"


def test_divergence_after_a_resume_goes_back_to_the_same_weights(tmp_path):
    def run(kill: int | None, place: Path | None) -> Toy:
        toy = Toy()

        def loss(k):
            if k == kill:
                raise Killed
            return Loss(None, toy.module.weight.sum() * torch.nan) if k == 9 else toy.loss(k)

        loop = Loop(steps=12, checkpoint_every=4, probe_every=5)
        if kill is not None:
            with pytest.raises(Killed):
                train(toy, loss, loop, checkpoint=place)
            return toy
        assert train(toy, loss, loop, checkpoint=place).kept == 8
        return toy

    place = tmp_path / "run.safetensors"
    run(9, place)
    assert same(run(None, place).state, run(None, None).state)


def test_the_file_is_private_plain_and_whole(tmp_path):
    place, toy = tmp_path / "run.safetensors", Toy()
    with pytest.raises(Killed):
        train(toy, dies_at(toy, 6), BASE, checkpoint=place)
    from safetensors import safe_open

    assert stat.S_IMODE(place.stat().st_mode) == 0o600 and [p.name for p in tmp_path.iterdir()] == [place.name]
    with safe_open(str(place), framework="pt") as file:
        assert json.loads(file.metadata()["rasura"])["step"] == 4
        assert {"weight.0", "state.0.exp_avg", "state.0.exp_avg_sq", "state.0.step"} <= set(file.keys())


def test_masked_weights_have_no_momentum(tmp_path):
    place, toy = tmp_path / "run.safetensors", Toy()
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[1, 2] = True
    with pytest.raises(Killed):
        train(toy, dies_at(toy, 6), BASE, masks={"weight": mask}, checkpoint=place)
    from safetensors.torch import load_file

    kept = load_file(str(place))
    for key in ("state.0.exp_avg", "state.0.exp_avg_sq"):
        assert bool((kept[key][~mask] == 0).all()) and kept[key][1, 2] != 0


def test_other_settings_are_refused(tmp_path):
    place, toy = tmp_path / "run.safetensors", Toy()
    with pytest.raises(Killed):
        train(toy, dies_at(toy, 6), BASE, checkpoint=place)
    with pytest.raises(BadInput, match="checkpoint of another training"):
        train(toy, toy.loss, Loop(steps=13, checkpoint_every=4), checkpoint=place)


@pytest.mark.parametrize("at", [None, 0, 3, 40, -1, -100])
def test_a_damaged_file_is_set_aside_and_said(tmp_path, caplog, at):
    """Emptied, or one bit of the length, the header or the weights flipped: never trained on from there."""
    place, whole, toy, asked = tmp_path / "run.safetensors", Toy(), Toy(), []
    with pytest.raises(Killed):
        train(toy, dies_at(toy, 10), BASE, checkpoint=place)
    content = bytearray(place.read_bytes())
    if at is not None:
        content[at] ^= 1
    place.write_bytes(bytes(content) if at is not None else b"")
    train(whole, whole.loss, BASE)
    again = Toy()
    train(again, lambda k: asked.append(k) or again.loss(k), BASE, checkpoint=place)
    assert asked[0] == 0 and same(again.state, whole.state)
    assert (tmp_path / "run.safetensors.damaged").is_file() and "damaged checkpoint" in caplog.text


def test_a_checkpoint_outlives_its_training(tmp_path):
    """What is saved afterwards can be killed too; asked for again, the end is a few steps away."""
    place, whole, again, asked = tmp_path / "run.safetensors", Toy(), Toy(), []
    train(whole, whole.loss, BASE, checkpoint=place)
    train(again, lambda k: asked.append(k) or again.loss(k), BASE, checkpoint=place)
    assert asked[0] == 8 and same(again.state, whole.state)


SCRIPT = """
import os, signal, sys
sys.path[:0] = [sys.argv[2], sys.argv[3]]
from pathlib import Path
from training._toy import Toy
from rasura.training.loop import Loop, train
toy = Toy()
def loss(k):
    if k == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return toy.loss(k)
train(toy, loss, Loop(steps=12, checkpoint_every=4, weight_decay=0.01, schedule="cosine"), checkpoint=Path(sys.argv[1]))
"""


def test_killed_for_good(tmp_path):
    """SIGKILL in a process of its own: nothing gets the chance to tidy up."""
    place, here = tmp_path / "run.safetensors", Path(__file__).parent.parent
    ended = subprocess.run([sys.executable, "-c", SCRIPT, str(place), str(here), str(here.parent / "src")], timeout=120)
    assert ended.returncode == -signal.SIGKILL and place.is_file()
    whole, resumed, asked = Toy(), Toy(), []
    train(whole, whole.loss, BASE)
    train(resumed, lambda k: asked.append(k) or resumed.loss(k), BASE, checkpoint=place)
    assert asked[0] == 8 and same(resumed.state, whole.state)
