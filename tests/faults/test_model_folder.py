"""An erased model's folder: whole, or no model folder; nothing of an older model stays among its files."""

from __future__ import annotations

import errno
from contextlib import nullcontext
from pathlib import Path

import pytest
from safetensors import SafetensorError

import _tiny
from rasura.cli import _model_folder, main
from rasura.cli._model_folder import alone, publish
from rasura.core.errors import BadInput
from rasura.models.causal_lm import CausalLM

FILES = 6  # weights, two of the tokenizer, generation settings, configuration, record


class Stopped(BaseException):
    """Stands for a kill: nothing in the code catches it."""


class Broken:
    """A model that writes half of itself."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def save(self, folder: str) -> None:
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise self.error


@pytest.fixture
def record():
    from rasura.core.records import Verdict

    return Verdict("c", "holds", "1", "1", "", "0")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_older_model_leaves_no_weights_behind(tmp_path, record):
    fresh, used = tmp_path / "fresh", tmp_path / "used"
    fresh.mkdir()
    publish(_tiny.neox(1), record, fresh)
    _tiny.neox(0).save(str(used))
    for name in ("model-00002-of-00002.safetensors", "model.safetensors.index.json", "training-1.safetensors"):
        (used / name).write_text("older")
    (used / "notes.txt").write_text("mine")
    publish(_tiny.neox(1), record, used)
    assert contents(used) == contents(fresh) | {"notes.txt": b"mine"}


@pytest.mark.parametrize("at", range(1, 9))
def test_stopped_anywhere_it_is_whole_or_nothing_loads_it(tmp_path, record, monkeypatch, at):
    folder, moved = tmp_path / "erased", []
    folder.mkdir()
    old, new = _tiny.neox(0), _tiny.neox(1)
    publish(old, record, folder)
    replace = _model_folder.os.replace

    def stop(source, place):
        if Path(place).parent == folder:
            moved.append(place)
            if len(moved) == at:
                raise Stopped
        replace(source, place)

    with monkeypatch.context() as patch:
        patch.setattr(_model_folder.os, "replace", stop)
        with pytest.raises(Stopped) if at <= FILES else nullcontext():
            publish(new, record, folder)
    if at < FILES:  # the configuration comes last but the record
        with pytest.raises(BadInput, match="no config.json"):
            CausalLM.load(str(folder))
    assert (folder / "erasure.json").exists() == (at > FILES)
    publish(new, record, folder)
    assert CausalLM.load(str(folder)).fingerprint == new.fingerprint != old.fingerprint
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("No space left")])
def test_a_full_disk_keeps_the_model_that_was_there_and_the_checkpoint(tmp_path, record, error):
    publish(_tiny.neox(0), record, tmp_path)
    (tmp_path / "training-1.safetensors").write_text("steps")
    before = contents(tmp_path)
    with pytest.raises(BadInput, match="No space left.*its training is kept") as said:
        publish(Broken(error), record, tmp_path)
    assert contents(tmp_path) == before and "\n" not in str(said.value)


HOLD = """
import sys
from rasura.cli._model_folder import alone
with alone(__import__("pathlib").Path(sys.argv[1])):
    print("inside", flush=True)
    sys.stdin.read()
"""


def test_a_second_erasure_into_a_folder_is_refused_and_a_killed_one_holds_nothing(tmp_path, capsys):
    """The lock goes with its process."""
    import subprocess
    import sys

    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "inside\n"
        words = ["erase", str(tmp_path / "no model"), "--forget", "f.jsonl", "--out", str(tmp_path)]
        with pytest.raises(SystemExit, match="2"):
            main(words)  # before anything is loaded
        assert "another erasure is writing there" in capsys.readouterr().err
        with alone(tmp_path / "elsewhere"):
            pass
        other.kill()
    with alone(tmp_path):
        assert not list(tmp_path.iterdir())


def test_a_place_for_the_lock_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(_model_folder.tempfile, "gettempdir", lambda: "/proc/rasura")
    with pytest.raises(BadInput, match="set TMPDIR"), alone(tmp_path):
        raise AssertionError("without a lock")
