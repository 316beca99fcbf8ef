"""What a model folder may hold, looked at before a library opens it: plain files, safetensors, no code, sane sizes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.errors import BadInput, UnsafeModel

TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
CONFIGURATIONS = ("config.json", "tokenizer_config.json", "processor_config.json")
JSON_LIMIT = 100_000_000  # bytes of a configuration or an index
DEPTHS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_attention_heads", "n_head", "num_experts")
DEEPEST = 4096  # layers, heads or experts: each is built before a weight is read, so a lie costs hours


def check_folder(folder: Path, allow_pickle: bool, trust_remote_code: bool) -> None:
    """Raises BadInput, UnsafeModel for a folder that is no model, or that a library should not be given."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: a file; a model is a folder with config.json and weights")
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder}: not a model folder (no config.json)")
    _check_weights(folder, allow_pickle)
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise BadInput(f"{folder}: no tokenizer in it (expected one of {', '.join(TOKENIZERS)})")
    _check_configurations(folder, trust_remote_code)


def read_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file that came with a model. Raises BadInput."""
    try:
        if file.stat().st_size > JSON_LIMIT:
            raise BadInput(f"{file}: larger than {JSON_LIMIT // 10**6} MB")
        body = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{file}: cannot be read ({error.strerror or type(error).__name__})") from None
    except BadInput:
        raise
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file}: not JSON that can be read ({type(error).__name__})") from None
    if not isinstance(body, dict):
        raise BadInput(f"{file}: expected a JSON object")
    return body


def architectures(config: Any) -> list[str]:
    """The names of classes a configuration gives. Raises BadInput where they are something else."""
    named = config.get("architectures") or [] if isinstance(config, dict) else []
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise BadInput("config.json: architectures must be a list of names")
    return named


def _check_weights(folder: Path, allow_pickle: bool) -> None:
    """Safetensors, or pickles where they were allowed; a library follows an index, so it may name nothing else."""
    safe = sorted(folder.glob("*.safetensors"))
    if not safe and not allow_pickle:
        if any(file for kind in ("*.bin", "*.pt", "*.pth", "*.pkl") for file in folder.glob(kind)):
            raise UnsafeModel(
                f"{folder}: weights are pickled, loading them can run code; convert to safetensors or pass --allow-pickle"
            )
        raise BadInput(f"{folder}: no weights (*.safetensors) in it")
    for file in safe:
        if not file.is_file():
            raise BadInput(f"{file}: not a regular file")
    for index in sorted(folder.glob("*.safetensors.index.json")):
        named = read_object(index).get("weight_map")
        if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
            raise BadInput(f"{index}: weight_map must say for each tensor which file holds it")
        for name in sorted(set(named.values())):
            if Path(name).name != name or "\\" in name:
                raise UnsafeModel(f"{index}: names a file outside the model's folder")
            if not name.endswith(".safetensors") and not allow_pickle:
                raise UnsafeModel(
                    f"{index}: names weights that are not safetensors; convert them or pass --allow-pickle"
                )


def _check_configurations(folder: Path, trust_remote_code: bool) -> None:
    for name in CONFIGURATIONS:
        if not (folder / name).is_file():
            continue
        body = read_object(folder / name)
        if not trust_remote_code and "auto_map" in body:
            raise UnsafeModel(
                f"{folder}: {name} asks to run code that comes with the model; read it, then pass --trust-remote-code"
            )
        for key, value in _numbers(body):
            if key in DEPTHS and value > DEEPEST:
                raise BadInput(f"{folder}: {name} says {key} is {value:.3g}; no model has more than {DEEPEST}")


def _numbers(body: dict[str, Any], depth: int = 4) -> Iterator[tuple[str, float]]:
    """Numbers by field, those of configurations inside included."""
    for key, value in body.items():
        if isinstance(value, (int, float)):
            yield key, float(min(value, 1e300))
        elif isinstance(value, dict) and depth:
            yield from _numbers(value, depth - 1)
