"""A model by path, whatever kind it is."""

from __future__ import annotations

from typing import Any


def load(path: str, **options: Any) -> Any:
    """A handle: ``TextToImage`` for a folder with model_index.json, otherwise ``CausalLM``.

    A hub id is asked for its model_index.json first. ``options`` as in the handles' own ``load``. Raises BadInput,
    UnsafeModel, NotYetSupported.
    """
    from ._pipelines import is_pipeline

    if is_pipeline(path):
        from .text_to_image import TextToImage

        return TextToImage.load(path, **options)
    from .causal_lm import CausalLM

    return CausalLM.load(path, **options)
