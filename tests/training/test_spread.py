"""A training of several processes ends in the weights of one, and goes on from its checkpoint."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from safetensors import safe_open

import _tiny
from _several import start
from rasura.data.writers import write_samples

SCRIPT = Path(__file__).with_name("_several.py")


def differences(count: int, folder: Path, *names: str) -> dict:
    """The largest difference of any weight from a training of one process, by way of training and of spreading it."""
    done = [(p, *p.communicate(timeout=500)) for p in start(count, [str(SCRIPT), str(folder), *names])]
    assert all(p.returncode == 0 for p, _, _ in done), "\n".join(err[-3000:] for _, _, err in done)
    found = json.loads(done[0][1].splitlines()[-1])
    assert found["moved"] > 1e-4, "a training that moves nothing proves nothing"
    return found["differences"]


def check(found: dict[str, float], resumed: int, within: float = 1e-6) -> None:
    worst = max(found, key=found.__getitem__)
    assert found[worst] < within, (worst, found)
    again = [d for name, d in found.items() if "resumed" in name]
    assert len(again) == resumed and not any(again), "resuming is exact"


def test_two_processes_train_to_the_weights_of_one(tmp_path):
    check(differences(2, tmp_path, "npo", "token means of uneven records"), resumed=2)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_every_way_of_training_survives_being_spread(tmp_path, count):
    """Objectives that average over records, tokens, hidden states; adapters, masks, two gradients, a budget; tied weights."""
    within = {2: 1e-6, 3: 4e-6}[count]  # uneven thirds are added up in another order, and AdamW carries the rounding on
    check(differences(count, tmp_path), resumed=4, within=within)


@pytest.mark.slow
def test_a_killed_erasing_of_two_processes_goes_on_from_its_checkpoint(tmp_path):
    """kill -9 of both, with sharded weights: the same command ends in the same bytes, and one process could go on too."""
    found = _tiny.planted()
    for name in ("forget", "retain"):
        write_samples(getattr(found, name), str(tmp_path / f"{name}.jsonl"))
    found.models["target"].save(str(tmp_path / "target"))

    def erase(out: str) -> list[subprocess.Popen[str]]:
        sides = ["--forget", f"{tmp_path}/forget.jsonl", "--retain", f"{tmp_path}/retain.jsonl"]
        places = ["--store", f"{tmp_path}/store", "--out", f"{tmp_path}/{out}"]
        settings = [f"--set=loop.{s}" for s in ("steps=30", "learning_rate=1e-4", "checkpoint_every=5")]
        command = ["-m", "rasura", "erase", f"{tmp_path}/target", *sides, *places, *settings]
        return start(2, command, ACCELERATE_USE_FSDP="true")

    def finished(processes: list[subprocess.Popen[str]]) -> None:
        ends = [(p, *p.communicate(timeout=200)) for p in processes]
        assert all(p.returncode == 0 for p, _, _ in ends), ends[0][2][-3000:]
        assert "30 steps" in ends[0][1] and ends[1][1] == ""

    processes = erase("killed")
    while not list((tmp_path / "killed").glob("training-*.safetensors")):
        assert all(p.poll() is None for p in processes)
        time.sleep(0.01)
    for p in processes:
        p.kill()
        p.communicate()
    assert not (tmp_path / "killed" / "erasure.json").exists()
    (checkpoint,) = (tmp_path / "killed").glob("training-*.safetensors")
    with safe_open(str(checkpoint), framework="pt") as file:
        assert 5 <= json.loads(file.metadata()["rasura"])["step"] < 30
        assert file.get_tensor("weight.0").shape == found.models["target"].module.get_input_embeddings().weight.shape
    finished(erase("killed"))
    finished(erase("whole"))
    for name in ("model.safetensors", "erasure.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list((tmp_path / "killed").glob("training-*"))
