"""A training of several processes ends in the weights of one, and goes on from its checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from _several import start

SCRIPT = Path(__file__).with_name("_several.py")


def differences(count: int, folder: Path, *names: str) -> dict:
    """The largest difference of any weight from a training of one process, by way of training and of spreading it."""
    done = [(p, *p.communicate(timeout=500)) for p in start(count, [str(SCRIPT), str(folder), *names])]
    assert all(p.returncode == 0 for p, _, _ in done), "\n".join(err[-3000:] for _, _, err in done)
    found = json.loads(done[0][1].splitlines()[-1])
    assert found["moved"] > 1e-4, "a training that moves nothing proves nothing"
    return found["differences"]


def check(found: dict[str, float], resumed: int) -> None:
    worst = max(found, key=found.__getitem__)
    assert found[worst] < 1e-6, (worst, found)
    again = [d for name, d in found.items() if "resumed" in name]
    assert len(again) == resumed and not any(again), "resuming is exact"


def test_two_processes_train_to_the_weights_of_one(tmp_path):
    check(differences(2, tmp_path, "npo", "token means of uneven records"), resumed=2)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_every_way_of_training_survives_being_spread(tmp_path, count):
    """Objectives that average over records, tokens, hidden states; adapters, masks, two gradients, a budget; tied weights."""
    check(differences(count, tmp_path), resumed=4)
