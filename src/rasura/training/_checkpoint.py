"""Where a training was when it was last known to be well: one safetensors file, whole or absent, no pickle.

Tensors: ``weight.<i>`` (the float32 masters) and ``state.<i>.<key>`` (the optimiser's); everything else is JSON in
the file's header. A file that belongs to other settings or other parameters is refused, never half used.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput, StoreDamaged

if TYPE_CHECKING:
    import torch

    from ._weights import Weights


def write(path: Path, weights: Weights, optimiser: torch.optim.Optimizer, facts: dict[str, Any]) -> None:
    """Keep everything a resumed run needs. Written under a temporary name and renamed."""
    from safetensors.torch import save_file

    tensors = {f"weight.{i}": m.detach().contiguous() for i, m in enumerate(weights.masters)}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"state.{i}.{key}": value.contiguous() for key, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        save_file(tensors, str(temporary), metadata={"rasura": json.dumps(facts)})
        os.chmod(temporary, 0o600)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read(path: Path, weights: Weights, optimiser: torch.optim.Optimizer, identity: str) -> dict[str, Any] | None:
    """Put weights and optimiser back where they were; None when there is no checkpoint.

    Raises BadInput when the file belongs to another run, StoreDamaged when it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("rasura", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, OSError, ValueError):
        raise StoreDamaged(f"{path}: this checkpoint cannot be read; delete it to train from the start") from None
    if facts.get("identity") != identity:
        raise BadInput(
            f"{path}: a checkpoint of another training (other settings or another model); delete it or choose another place"
        )
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        kind, i, *rest = key.split(".", 2)
        if kind == "state":
            state.setdefault(int(i), {})[rest[0]] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    weights.restore([tensors[f"weight.{i}"] for i in range(len(weights.masters))])
    return facts
