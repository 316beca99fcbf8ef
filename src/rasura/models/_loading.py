"""Loading a language model without running anything it brings along: safetensors, no remote code, finite weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..core.errors import BadInput
from ._folder import check_folder

WHOLE = ("AutoModelForCausalLM", "AutoModelForMaskedLM")  # what every tensor is needed of
DTYPES = ("float32", "bfloat16", "float16", "float64")
PLAIN_TEXT = "The quick brown fox, 0123456789: jumps over C1=CC=CC=C1 the lazy dog. \u4e2d\u6587 \u0434\u0430"
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
        check_folder(folder, allow_pickle, trust_remote_code)
    elif not is_hub_id(path):
        raise BadInput(f"{path}: no such model folder")
    where = str(folder) if folder.exists() else path
    module = _load_module(kind, where, device, dtype, allow_pickle, trust_remote_code)
    tokenizer = _load_tokenizer(where, trust_remote_code)
    check_finite(module, path)
    if not tokenizer(PLAIN_TEXT)["input_ids"]:
        raise BadInput(f"{path}: its tokenizer makes no tokens of plain text")
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


def _load_module(auto: str, path: str, device: str, dtype: str, allow_pickle: bool, trust_remote_code: bool) -> Any:
    import transformers

    quiet_library()

    chosen = device_of(device)
    kind = ("float32" if chosen == "cpu" else "auto") if dtype == "auto" else checked_dtype(dtype)
    try:
        module, story = getattr(transformers, auto).from_pretrained(
            path,
            dtype=kind,
            trust_remote_code=trust_remote_code,
            use_safetensors=None if allow_pickle else True,
            output_loading_info=True,
        )
        module = module.to(chosen).eval()
    except Exception as error:  # a damaged file shows as whatever the library stumbled over
        raise BadInput(f"{path}: cannot be loaded as a language model ({_why(error)})") from None
    missing = sorted(story.get("missing_keys") or ())
    if missing and auto in WHOLE:  # the library fills what is missing at random and goes on
        raise BadInput(
            f"{path}: {len(missing)} tensors of the model are missing from its weights, the first {missing[0]}"
        )
    return module


def device_of(device: str) -> str:
    """The device asked for. Raises BadInput when it is none, or not here."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except Exception as error:  # RuntimeError, AssertionError, NotImplementedError: one a back end
        raise BadInput(
            f"--device {device}: no such device here ({first_line(error)[:60]}); known are cpu, cuda, cuda:1, mps"
        ) from None
    return device


def checked_dtype(dtype: str) -> str:
    """The number format asked for. Raises BadInput."""
    if dtype not in DTYPES:
        raise BadInput(f"--dtype {dtype}: no such number format; known are auto, {', '.join(DTYPES)}")
    return dtype


def _why(error: Exception) -> str:
    if "ignore_mismatched_sizes" in str(error):
        return "its weights have other shapes than config.json says"
    return first_line(error)


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
    """What a library says, short: its first line, and the next where the first ends with a colon."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(said[: 2 if said[0].endswith(":") else 1])[:160]


def quiet_library() -> None:
    """transformers draws progress bars of its own for reading and writing weights; ours are enough."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
