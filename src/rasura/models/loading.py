"""A model by path, whatever kind it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def load(path: str, *, backend: str = "transformers", **options: Any) -> Any:
    """A handle: ``TextToImage`` for a folder with model_index.json, ``MaskedLM`` for a masked language model by its
    config.json, otherwise ``CausalLM``.

    ``backend`` "vllm": a language model that vLLM runs, for scoring only (``VllmLM``).
    A hub id is asked for its model_index.json first. ``options`` as in the handles' own ``load``. Raises BadInput,
    UnsafeModel, NotYetSupported.
    """
    if backend == "vllm":
        from .vllm_scoring import VllmLM

        return VllmLM.load(path, **options)
    from ._pipelines import is_pipeline

    if is_pipeline(path):
        from .text_to_image import TextToImage

        return TextToImage.load(path, **options)
    from .masked_lm import MaskedLM, is_masked

    if is_masked(_architectures(path)):
        return MaskedLM.load(path, **options)
    from .causal_lm import CausalLM

    return CausalLM.load(path, **options)


def _architectures(path: str) -> list[str]:
    """What the configuration of a folder or hub id names; nothing where it cannot be read, which loading will explain."""
    from ._folder import architectures, read_object
    from ._loading import is_hub_id

    folder = Path(path).expanduser()
    if folder.exists() or not is_hub_id(path):
        return architectures(read_object(folder / "config.json")) if (folder / "config.json").is_file() else []
    try:
        from huggingface_hub import hf_hub_download

        return architectures(json.loads(Path(hf_hub_download(path, "config.json")).read_text(encoding="utf-8")))
    except Exception:  # whatever is wrong with it, the loader that follows says so in one line
        return []
