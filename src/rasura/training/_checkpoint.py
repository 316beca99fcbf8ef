"""Where a training was when it was last known to be well: one safetensors file, whole or absent, no pickle.

Tensors: ``weight.<i>`` (the float32 masters) and ``state.<i>.<key>`` (the optimiser's); everything else is JSON in
the file's header, and with it SHA-256 over the whole file (its own digits as zeros). A file that belongs to other
settings or other parameters is refused, never half used; one that is not what was written is set aside as *.damaged,
said in one line, and training begins from the start.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput
from ..observations._engine_processes import first
from ._spread import shard_of, whole_of

if TYPE_CHECKING:
    import torch

    from ._weights import Weights

START, BLANK = b'"sha256":"', b"0" * 64

log = logging.getLogger("rasura")


def write(path: Path, weights: Weights, optimiser: torch.optim.Optimizer, facts: dict[str, Any]) -> None:
    """Keep everything a resumed run needs, under a temporary name and renamed. Raises BadInput where it cannot be kept.

    Weights sharded over processes are gathered and written by the first, so any number of processes can go on from it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {f"weight.{i}": whole_of(m.detach(), weights.live[i]).contiguous() for i, m in enumerate(weights.masters)}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"state.{i}.{key}": whole_of(v, weights.live[i]).contiguous() for key, v in state.items()}
    if not first():
        return
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, str(temporary), metadata={"rasura": json.dumps(facts), "sha256": BLANK.decode()})
        at, digits, _ = _digits(temporary)
        with open(temporary, "r+b") as file:
            file.seek(at)
            file.write(digits)
        os.chmod(temporary, 0o600)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise BadInput(
            f"{path.parent}: cannot keep the training's checkpoint ({getattr(error, 'strerror', None) or error}); "
            "free space, and run again"
        ) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _digits(path: Path) -> tuple[int, bytes, bytes]:
    """(where the digits stand, what they should be, what they are). Raises ValueError where there are none."""
    with open(path, "rb") as file:
        length = file.read(8)
        header = length + file.read(min(int.from_bytes(length, "little"), path.stat().st_size))
        at = header.rfind(START) + len(START)
        if at < len(START):
            raise ValueError("no checksum")
        whole = hashlib.sha256(header[:at] + BLANK + header[at + len(BLANK) :])
        while block := file.read(1 << 20):
            whole.update(block)
    return at, whole.hexdigest().encode(), header[at : at + len(BLANK)]


def read(path: Path, weights: Weights, optimiser: torch.optim.Optimizer, identity: str) -> dict[str, Any] | None:
    """Put weights and optimiser back where they were; None when there is no checkpoint, or a damaged one.

    Raises BadInput when the file belongs to another run.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        _, expected, found = _digits(path)
        if expected != found:
            raise ValueError("its checksum does not fit")
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads(file.metadata()["rasura"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, ValueError, FileNotFoundError):
        with contextlib.suppress(FileNotFoundError):  # another process of this run may have set it aside
            os.replace(path, path.with_name(f"{path.name}.damaged"))
        log.warning("%s: a damaged checkpoint; set aside as *.damaged, training begins from the start", path)
        return None
    if facts.get("identity") != identity:
        raise BadInput(
            f"{path}: a checkpoint of another training (other settings or another model); delete it or choose another place"
        )
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        kind, i, *rest = key.split(".", 2)
        if kind == "state":
            state.setdefault(int(i), {})[rest[0]] = _part(value, weights.live[int(i)])
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    weights.restore([shard_of(tensors[f"weight.{i}"], p) for i, p in enumerate(weights.live)])
    return facts


def _part(value: torch.Tensor, like: Any) -> torch.Tensor:
    """A state tensor as this process holds it; counters are whole everywhere."""
    return shard_of(value, like) if value.dim() else value
