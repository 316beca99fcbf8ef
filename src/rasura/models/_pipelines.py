"""Loading and saving diffusers pipelines without running anything they bring along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.errors import BadInput, MissingDependency, NotYetSupported, UnsafeModel
from ._folder import read_object
from ._loading import check_finite, checked_dtype, device_of, first_line, is_hub_id, quiet_library

NEEDED = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
SUPPORTED = {
    "StableDiffusionPipeline": "Stable Diffusion 1.x and 2.x",
    "StableDiffusionXLPipeline": "Stable Diffusion XL",
}


def load_pipeline(path: str, *, device: str, dtype: str, allow_pickle: bool, trust_remote_code: bool) -> Any:
    """A pipeline from a local folder or a hub id, on its device, in evaluation mode.

    A safety checker is loaded with the rest so that it is saved again, and never run: pictures are looked at as the
    U-Net draws them.
    """
    folder = Path(path).expanduser()
    if folder.exists():
        _check_folder(folder, allow_pickle)
    elif not is_hub_id(path):
        raise BadInput(f"{path}: no such model folder")
    pipeline = _load(str(folder) if folder.exists() else path, device, dtype, allow_pickle, trust_remote_code)
    check(pipeline, path)
    return pipeline


def is_pipeline(path: str) -> bool:
    """Whether a folder or a hub id holds a pipeline rather than a language model."""
    folder = Path(path).expanduser()
    if folder.exists() or not is_hub_id(path):
        return (folder / "model_index.json").is_file()
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import LocalEntryNotFoundError

    if isinstance(try_to_load_from_cache(path, "model_index.json"), str):
        return True
    try:
        from huggingface_hub import file_exists

        return file_exists(path, "model_index.json")
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return False


def check(pipeline: Any, path: str) -> None:
    """Raises NotYetSupported, BadInput when this pipeline cannot be asked what the house asks."""
    kind = type(pipeline).__name__
    if kind not in SUPPORTED:
        why = "it denoises with a transformer; " if getattr(pipeline, "transformer", None) is not None else ""
        raise NotYetSupported(
            f"{path}: {kind}: {why}supported are {' and '.join(f'{k} ({v})' for k, v in SUPPORTED.items())}"
        )
    for name in NEEDED:
        if getattr(pipeline, name, None) is None:
            raise BadInput(f"{path}: the pipeline has no {name}")
        if name in ("unet", "text_encoder", "vae"):
            check_finite(getattr(pipeline, name), f"{path}/{name}")
    width = pipeline.unet.config.cross_attention_dim
    given = sum(e.config.hidden_size for e in (pipeline.text_encoder, getattr(pipeline, "text_encoder_2", None)) if e)
    if width != given:
        raise BadInput(f"{path}: the U-Net reads text features of width {width}, the text encoders give {given}")


def _check_folder(folder: Path, allow_pickle: bool) -> None:
    if not (folder / "model_index.json").is_file():
        raise BadInput(f"{folder}: not a text-to-image pipeline (no model_index.json)")
    index = read_object(folder / "model_index.json")
    kind = str(index.get("_class_name"))[:60]
    if "transformer" in index:
        raise NotYetSupported(
            f"{folder}: {kind} denoises with a transformer; supported are {' and '.join(SUPPORTED)}, which have a U-Net"
        )
    for part in ("unet", "vae", "text_encoder"):
        if not any((folder / part).glob("*.safetensors")) and not allow_pickle:
            if any((folder / part).glob("*.bin")):
                raise UnsafeModel(
                    f"{folder}/{part}: weights are pickled, loading them can run code; convert to safetensors or pass --allow-pickle"
                )
            raise BadInput(f"{folder}/{part}: no weights (*.safetensors) in it")


def _load(path: str, device: str, dtype: str, allow_pickle: bool, trust_remote_code: bool) -> Any:
    import torch

    quiet_library()
    diffusers = library()
    chosen = device_of(device)
    kind = ("float32" if chosen == "cpu" else "float16") if dtype == "auto" else checked_dtype(dtype)
    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(
            path,
            dtype=getattr(torch, kind),
            use_safetensors=None if allow_pickle else True,
            trust_remote_code=trust_remote_code,
        )
    except Exception as error:  # a damaged file shows as whatever the library stumbled over
        raise BadInput(f"{path}: cannot be loaded as a text-to-image pipeline ({first_line(error)})") from None
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(chosen)


def library() -> Any:
    """diffusers, or the line that installs it."""
    quiet_library()  # transformers says what it does without torchvision whenever a pipeline class is imported
    try:
        import diffusers
    except ImportError:
        raise MissingDependency("a text-to-image model", "diffusers", "images") from None
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    return diffusers


def save_pipeline(pipeline: Any, folder: str) -> None:
    """In the layout plain diffusers loads."""
    quiet_library()
    library()
    pipeline.save_pretrained(folder, safe_serialization=True)
