"""The handle of a model that reads pictures and texts into one space (CLIP): alignment scores and features by path."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput
from ._fingerprint import _add_tensors
from ._judge_networks import _check, _prepared, _transformers
from ._loading import first_line

if TYPE_CHECKING:
    import torch


class ImageText:
    """CLIP (Radford and others 2021): ``image_features`` and ``text_features`` in one space.

    The roles it serves: ``clip`` for clip_score, ``encoder`` for distances between sets of pictures.
    """

    modality = "image-text"

    def __init__(self, model: Any, settings: dict[str, Any], tokenizer: Any, *, name: str = "clip") -> None:
        self.model, self.settings, self.tokenizer, self.name = model.eval(), settings, tokenizer, name

    @classmethod
    def load(cls, path: str, *, device: str = "auto") -> ImageText:
        """A CLIP model by folder or hub id. Raises BadInput, UnsafeModel."""
        from pathlib import Path

        from transformers import AutoTokenizer

        _check(path, Path(path).expanduser())
        model, settings = _transformers(path, device, "CLIPModel")
        try:
            tokenizer = AutoTokenizer.from_pretrained(path)
        except Exception as error:  # the tokenizer libraries raise plain Exception on a damaged file
            raise BadInput(f"{path}: its tokenizer cannot be loaded ({first_line(error)})") from None
        return cls(model, settings, tokenizer, name=str(path))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every tensor and of how pictures are prepared."""
        h = hashlib.blake2b(repr(sorted(self.settings.items(), key=str)).encode(), digest_size=16)
        _add_tensors(h, self.model)
        return h.hexdigest()

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    def width(self, sample: Any) -> int:
        """Every picture costs the same."""
        return 1

    def image_features(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (B, 3, H, W) in [0, 1], of any size, to (B, f)."""
        answer = self.model.vision_model(pixel_values=_prepared(pictures, self.settings))
        return self.model.visual_projection(answer.pooler_output)

    features = image_features

    def text_features(self, texts: Sequence[str]) -> torch.Tensor:
        """(B, f); texts longer than the encoder reads are cut."""
        read = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(self.device)
        answer = self.model.text_model(input_ids=read["input_ids"], attention_mask=read["attention_mask"])
        return self.model.text_projection(answer.pooler_output)
