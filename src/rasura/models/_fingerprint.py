"""Hash of a model by content: every tensor's bytes, shapes, dtypes, and the configuration that shapes its answers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_SILENT = (
    "_name_or_path",
    "transformers_version",
    "torch_dtype",
    "dtype",
    "architectures",
    "use_cache",
    "_attn_implementation",
)


def fingerprint(module: Any, vocabulary: str) -> str:
    """32 hex digits. Sampling tensors would miss an edit of one layer, so all bytes take part."""
    import torch

    h = hashlib.blake2b(digest_size=16)
    config = {k: v for k, v in module.config.to_dict().items() if k not in _SILENT}
    h.update(json.dumps(config, sort_keys=True, default=str).encode())
    h.update(vocabulary.encode())
    for name, tensor in sorted(module.state_dict().items()):
        h.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        h.update(memoryview(tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy()))
    return h.hexdigest()


def short_hash(value: Any) -> str:
    """Hash of plain data."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()
