"""Loading a language model without running anything it brings along: safetensors, no remote code, finite weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..core.errors import BadInput, UnsafeModel

_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
_HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?$")


def load_parts(
    path: str,
    *,
    device: str,
    dtype: str,
    allow_pickle: bool,
    trust_remote_code: bool,
    kind: str = "AutoModelForCausalLM",
) -> tuple[Any, Any]:
    """(module, tokenizer) from a local folder or a hub id; ``kind`` names the transformers class that loads it."""
    folder = Path(path).expanduser()
    if folder.exists():
        _check_folder(folder, allow_pickle, trust_remote_code)
    elif not is_hub_id(path):
        raise BadInput(f"{path}: no such model folder")
    where = str(folder) if folder.exists() else path
    module = _load_module(kind, where, device, dtype, allow_pickle, trust_remote_code)
    tokenizer = _load_tokenizer(where, trust_remote_code)
    check_finite(module, path)
    largest = max(tokenizer.get_vocab().values())
    rows = module.get_input_embeddings().weight.shape[0]
    if largest >= rows:
        raise BadInput(
            f"{path}: the tokenizer has ids up to {largest}, the embedding only {rows} rows; they do not belong together"
        )
    return module, tokenizer


def is_hub_id(path: str) -> bool:
    """Whether a string can name a model on a hub, as against a mistyped path."""
    return bool(_HUB_ID.match(str(path))) and not str(path).startswith((".", "/", "~"))


def _check_folder(folder: Path, allow_pickle: bool, trust_remote_code: bool) -> None:
    if not folder.is_dir():
        raise BadInput(f"{folder}: a file; a model is a folder with config.json and weights")
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder}: not a model folder (no config.json)")
    if not any(folder.glob("*.safetensors")) and not allow_pickle:
        if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
            raise UnsafeModel(
                f"{folder}: weights are pickled, loading them can run code; convert to safetensors or pass --allow-pickle"
            )
        raise BadInput(f"{folder}: no weights (*.safetensors) in it")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise BadInput(f"{folder}: no tokenizer in it (expected one of {', '.join(_TOKENIZERS)})")
    if not trust_remote_code and '"auto_map"' in (folder / "config.json").read_text(errors="replace"):
        raise UnsafeModel(
            f"{folder}: config.json asks to run code that comes with the model; read it, then pass --trust-remote-code"
        )


def _load_module(auto: str, path: str, device: str, dtype: str, allow_pickle: bool, trust_remote_code: bool) -> Any:
    import torch
    import transformers

    quiet_library()

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    kind = ("float32" if chosen == "cpu" else "auto") if dtype == "auto" else dtype
    try:
        module = getattr(transformers, auto).from_pretrained(
            path, dtype=kind, trust_remote_code=trust_remote_code, use_safetensors=None if allow_pickle else True
        )
        return module.to(chosen).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BadInput(f"{path}: cannot be loaded as a language model ({first_line(error)})") from None


def _load_tokenizer(path: str, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
    except Exception as error:  # the tokenizer libraries raise plain Exception on a damaged file
        raise BadInput(f"{path}: its tokenizer cannot be loaded ({first_line(error)})") from None


def check_finite(module: Any, path: str) -> None:
    """Raises BadInput naming the first parameter with NaN or infinite values."""
    import torch

    for name, parameter in module.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise BadInput(f"{path}: the weights of {name} contain NaN or infinite values")


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def quiet_library() -> None:
    """transformers draws progress bars of its own for reading and writing weights; ours are enough."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
