"""A built testbed on disk: one folder that the command line and Python both read."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import BadInput
from ..core.types import Samples
from ..data.readers import read_samples, write_samples
from ..models.causal_lm import CausalLM
from ._planted import Planted
from ._training import Placed

PARTS = ("members", "nonmembers", "forget", "retain", "heldout")
ROLES = ("target", "retrained", "reference")

log = logging.getLogger("rasura")


def default_cache() -> Path:
    """Where finished work is kept: $RASURA_CACHE, else the user's cache folder."""
    chosen = os.environ.get("RASURA_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(chosen) if chosen else Path(base) / "rasura"


@contextmanager
def building(folder: Path) -> Iterator[None]:
    """One process builds what belongs in ``folder``; a second one waits, and finds it there.

    The lock is the system's: it goes with its process, however that ends.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(folder / ".building.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("%s: another process is building this; waiting for it", folder)
            lock.acquire()
    except OSError as error:
        raise BadInput(f"{folder}: cannot write there ({error.strerror}); choose another place") from None
    try:
        for stale in folder.glob(".*.partial"):  # of a build that was killed
            shutil.rmtree(stale, ignore_errors=True)
        yield
    finally:
        lock.release()


def put(model: Any, out: Path) -> None:
    """Save a model: ``out`` appears when it is whole. Raises BadInput where it cannot be written."""
    from safetensors import SafetensorError

    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True, mode=0o700)
        model.save(str(partial))
        if not out.exists():  # else a worker that outlived its parent was first, with the same weights
            os.replace(partial, out)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"{out}: the model cannot be written ({why}); free space, and run again") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def why_it_failed(role: str, code: int, errors: Sequence[str]) -> str:
    """One line on a training process that ended badly: its last words, or the signal that ended it."""
    if code < 0:
        return f"training the {role} model was stopped by signal {-code}; run again: finished models are kept"
    return f"training the {role} model failed: {next((e.strip() for e in reversed(errors) if e.strip()), 'no message')[:200]}"


def write_parts(folder: Path, parts: Mapping[str, Samples], twins: Mapping[str, str], about: Mapping[str, Any]) -> None:
    """The records beside the models, and last ``testbed.json``, by which a folder is known to be whole."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in PARTS:
        write_samples(parts[name], folder / f"{name}.jsonl")
    partial = folder / ".testbed.json"
    partial.write_text(json.dumps({"twins": dict(twins), **about}, indent=1, sort_keys=True))
    os.replace(partial, folder / "testbed.json")


def write_transcript(placed: tuple[Placed, ...], folder: Path) -> None:
    """Where every document stood in training, as a table."""
    import pyarrow
    import pyarrow.parquet

    columns = {name: [getattr(p, name) for p in placed] for name in ("epoch", "token", "step", "id")}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "transcript.parquet", compression="zstd")


def load(folder: str | Path) -> Planted:
    """A built testbed. Raises BadInput when the folder is not one."""
    folder = Path(folder)
    if not (folder / "testbed.json").is_file():
        raise BadInput(
            f"{folder}: not a testbed folder (no testbed.json); make one with: rasura testbed build language --out {folder}"
        )
    about = json.loads((folder / "testbed.json").read_text())
    models = {role: CausalLM.load(str(folder / role)) for role in ROLES if (folder / role).is_dir()}
    named = {role: CausalLM(m.module, m.tokenizer, name=f"{about['name']} {role}") for role, m in models.items()}
    parts = {
        name: read_samples(folder / f"{name}.jsonl") if (folder / f"{name}.jsonl").stat().st_size else Samples()
        for name in PARTS
    }
    return Planted(named, **parts, twins=about["twins"])
