"""An erased model and its record in their folder: whole, or not a model folder at all.

Everything is written aside first. Then the files by which a folder is known as a model or a run are taken away, the
others are moved in, and those files last, the record after them: killed in between, what is left has no configuration
and nothing loads it. The checkpoint a training goes on from is removed when all is in place.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import BadInput
from ..core.records import write

RECORD = "erasure.json"
LAST = ("config.json", "model_index.json", RECORD)  # in this order
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
CHECKPOINTS = "training-*.safetensors*"  # also those set aside as damaged


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One erasure at a time into a folder, of the processes of one machine: two would read each other's checkpoints.

    The lock lies outside the folder, which is the model's, and goes with its process. Raises BadInput where it is taken.
    """
    from filelock import FileLock, Timeout

    whose = f"{Path.home()} {folder.resolve()}".encode("utf-8", "surrogateescape")  # a lock of one's own can be opened
    lock = FileLock(Path(tempfile.gettempdir()) / f"rasura-{hashlib.sha256(whose).hexdigest()[:32]}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BadInput(f"{folder}: another erasure is writing there; wait for it, or choose another --out") from None
    except OSError as error:
        raise BadInput(
            f"{lock.lock_file}: cannot write there ({error.strerror}); set TMPDIR to another place"
        ) from None
    try:
        yield
    finally:
        lock.release()


def publish(model: Any, record: Any, folder: Path) -> Path:
    """Write both into ``folder``, which exists; the record's path. Raises BadInput where they cannot be written."""
    from safetensors import SafetensorError

    aside = folder / ".erased.partial"
    shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
    try:
        aside.mkdir(mode=0o700)
        model.save(str(aside))
        write(record, aside / RECORD)
        _to_disk(aside)
        _move(aside, folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        why = getattr(error, "strerror", None) or error
        raise BadInput(
            f"{folder}: the erased model cannot be written ({why}); its training is kept: free space, and run again"
        ) from None
    except BadInput:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    for checkpoint in folder.glob(CHECKPOINTS):
        checkpoint.unlink()
    return folder / RECORD


def _move(aside: Path, folder: Path) -> None:
    for name in reversed(LAST):
        (folder / name).unlink(missing_ok=True)
    for old in {file for pattern in WEIGHTS for file in folder.glob(pattern)} - set(folder.glob(CHECKPOINTS)):
        old.unlink()  # of a model that was here before: a loader would take its shards for this one's
    new = sorted(aside.iterdir(), key=lambda entry: (entry.name in LAST and 1 + LAST.index(entry.name), entry.name))
    for entry in new:
        place = folder / entry.name
        if place.is_dir():
            shutil.rmtree(place)
        os.replace(entry, place)
    aside.rmdir()


def _to_disk(folder: Path) -> None:
    """After a power cut too, what is moved into place is whole."""
    for file in folder.rglob("*"):
        if file.is_file():
            with open(file, "rb") as stream:
                os.fsync(stream.fileno())
