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
    h = hashlib.blake2b(digest_size=16)
    config = {k: v for k, v in module.config.to_dict().items() if k not in _SILENT}
    h.update(json.dumps(config, sort_keys=True, default=str).encode())
    h.update(vocabulary.encode())
    _add_tensors(h, module)
    return h.hexdigest()


def pipeline_fingerprint(model: Any) -> str:
    """32 hex digits of a text-to-image pipeline: its networks, their configurations, the schedule, the tokenizers."""
    h = hashlib.blake2b(digest_size=16)
    schedule = {k: v for k, v in dict(model.schedule.config).items() if not k.startswith("_")}
    h.update(json.dumps([schedule, model.vocabulary_hash], sort_keys=True, default=str).encode())
    for part in (model.unet, model.vae, *model.encoders):
        config = part.config if isinstance(part.config, dict) else part.config.to_dict()
        kept = {k: v for k, v in config.items() if k not in _SILENT and not k.startswith("_")}
        h.update(json.dumps(kept, sort_keys=True, default=str).encode())
        _add_tensors(h, part)
    return h.hexdigest()


def _add_tensors(h: Any, module: Any) -> None:
    import torch

    for name, tensor in sorted(module.state_dict().items()):
        h.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        h.update(memoryview(tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy()))


def vocabulary_hash(tokenizer: Any) -> str:
    """Equal for two tokenizers exactly when they cut text into the same ids."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return short_hash(backend.to_str() if backend is not None else sorted(tokenizer.get_vocab().items()))


def short_hash(value: Any) -> str:
    """Hash of plain data."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()
