"""A built testbed on disk: one folder that the command line and Python both read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
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


def default_cache() -> Path:
    """Where finished work is kept: $RASURA_CACHE, else the user's cache folder."""
    chosen = os.environ.get("RASURA_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(chosen) if chosen else Path(base) / "rasura"


def write_parts(folder: Path, parts: Mapping[str, Samples], twins: Mapping[str, str], about: Mapping[str, Any]) -> None:
    """The records beside the models, and what was planted."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in PARTS:
        write_samples(parts[name], folder / f"{name}.jsonl")
    (folder / "testbed.json").write_text(json.dumps({"twins": dict(twins), **about}, indent=1, sort_keys=True))


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
