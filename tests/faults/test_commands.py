"""Kills, full disks, read-only places, races and clocks, on the commands users type (see _commands.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

STAGES = ("audit", "extract", "erase", "verify", "report")


def told(folder: Path, *words: str) -> dict:
    script = Path(__file__).with_name("_commands.py")
    done = subprocess.run([sys.executable, str(script), str(folder), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def one_line(said: str) -> bool:
    return said.startswith("rasura: ") and said.count("\n") == 1 and "unexpected" not in said


@pytest.fixture(scope="module")
def fixed(tmp_path_factory) -> dict:
    return told(tmp_path_factory.mktemp("ground"), "fixed")


def test_killed_at_fixed_moments(fixed):
    """Half-way through its writing, and just before the last file is moved into its place: every stage, twice."""
    assert set(fixed["kills"]) == set(STAGES)
    for stage, seen in fixed["kills"].items():
        assert seen["killed"] == 2 and not seen["wrong"], (stage, seen)
        assert seen["code"] == 0 and seen["same"] and seen["files"] >= 1, (stage, seen)


@pytest.mark.slow
def test_killed_fifty_times_at_random_moments(tmp_path):
    seen = told(tmp_path, "random", "10")
    assert set(seen) == set(STAGES)
    for stage, s in seen.items():
        assert s["killed"] == 10 and not s["wrong"] and s["code"] == 0 and s["same"], (stage, s)


@pytest.mark.slow
def test_a_full_disk(tmp_path):
    """One line, exit code 2, nothing half-written left lying; with room, the same command ends in the same bytes."""
    for stage, seen in told(tmp_path, "full").items():
        assert seen["code"] == 2 and one_line(seen["said"]) and "too large" in seen["said"], (stage, seen)
        assert not seen["rest"] and seen["only_whole"], (stage, seen)
        assert seen["again"] == 0 and seen["same"], (stage, seen)


@pytest.mark.slow
def test_places_where_nothing_can_be_written(tmp_path):
    for which, seen in told(tmp_path, "nowhere").items():
        assert seen["code"] == 2 and one_line(seen["said"]) and "/proc/rasura" in seen["said"], (which, seen)


def test_three_audits_share_one_store(fixed):
    assert fixed["together"] == {"codes": [0, 0, 0, 0], "records": 1, "same": True, "rest": []}


@pytest.mark.slow
def test_the_clock_takes_no_part(tmp_path):
    seen = told(tmp_path, "clock")
    assert seen["codes"] == [0, 0] and seen["records"] == 1 and seen["untouched"] and seen["shards"] >= 2
