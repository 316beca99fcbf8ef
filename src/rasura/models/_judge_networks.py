"""The networks behind a judge: pictures (B, 3, H, W) in [0, 1] to (features, logits by attribute).

Sizing and normalising are done here, from the model's own preprocessor configuration, so that gradients reach the
pictures and no picture library is needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput, UnsafeModel
from ._loading import check_finite, device_of, first_line, is_hub_id, quiet_library

if TYPE_CHECKING:
    import torch

NONE = "none of these"
NEVER = -1e9  # the logit of a class that a foreign classifier does not have


def load(path: str, device: str) -> tuple[Any, dict[str, Any], dict[str, Any] | None]:
    """(network, attributes, confusion) of a folder with judge.json, or else of a transformers image classifier."""
    folder = Path(path).expanduser()
    if (folder / "judge.json").is_file():
        return _load_own(folder, device)
    _check(path, folder)
    network = classifier()(*_transformers(path, device, "AutoModelForImageClassification"))
    return network, {"class": network.labels}, None


def zero_shot(path: str, labels: tuple[str, ...], template: str, nothing: str, device: str) -> tuple[Any, Any]:
    """(network, attributes) of a CLIP model with labels given as words."""
    if not labels or len(set(labels)) < len(labels):
        raise BadInput(f"{path}: a zero-shot judge needs labels, each named once")
    _check(path, Path(path).expanduser())
    from transformers import AutoTokenizer

    model, settings = _transformers(path, device, "CLIPModel")
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
    except Exception as error:  # the tokenizer libraries raise plain Exception on a damaged file
        raise BadInput(f"{path}: its tokenizer cannot be loaded ({first_line(error)})") from None
    texts = [*(template.format(label) for label in labels), nothing]
    return clip()(model, settings, tokenizer, texts), {"class": (*labels, NONE)}


def _check(path: str, folder: Path) -> None:
    if not folder.exists():
        if not is_hub_id(path):
            raise BadInput(f"{path}: no such judge")
        return
    if not (folder / "config.json").is_file():
        raise BadInput(f"{path}: not a judge (neither judge.json nor config.json)")
    if not any(folder.glob("*.safetensors")):
        if any(folder.glob("*.bin")):
            raise UnsafeModel(f"{path}: weights are pickled, loading them can run code; convert to safetensors")
        raise BadInput(f"{path}: no weights (*.safetensors) in it")


def _load_own(folder: Path, device: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    from safetensors.torch import load_file

    try:
        about = json.loads((folder / "judge.json").read_text())
        network = picture_net()(**about["network"])
        network.load_state_dict(load_file(folder / "judge.safetensors"))
        attributes, confusion = about["attributes"], about["confusion"]
    except Exception as error:  # a damaged file shows as whatever the library stumbled over
        raise BadInput(f"{folder}: a damaged judge ({first_line(error)})") from None
    check_finite(network, str(folder))
    return network.to(device_of(device)), attributes, confusion


def _transformers(path: str, device: str, kind: str) -> tuple[Any, dict[str, Any]]:
    """A model of one of transformers' classes and its preprocessor's settings."""
    import transformers

    quiet_library()
    try:
        model = getattr(transformers, kind).from_pretrained(path, dtype="float32", use_safetensors=True)
        settings = transformers.image_processing_base.ImageProcessingMixin.get_image_processor_dict(path)[0]
    except Exception as error:  # a damaged file shows as whatever the library stumbled over
        raise BadInput(f"{path}: cannot be loaded as {kind} with a preprocessor ({first_line(error)})") from None
    check_finite(model, path)
    return model.to(device_of(device)).eval(), settings


def sized(pictures: torch.Tensor, side: int, crop: int | None = None) -> torch.Tensor:
    """Square pictures scaled to ``side`` (antialiased bilinear) and cropped to their middle ``crop`` pixels."""
    from torch.nn.functional import interpolate

    if tuple(pictures.shape[2:]) != (side, side):
        pictures = interpolate(pictures, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    cut = (side - (crop or side)) // 2
    return pictures[:, :, cut : side - cut, cut : side - cut] if cut else pictures


def _prepared(pictures: torch.Tensor, settings: Mapping[str, Any]) -> torch.Tensor:
    """As the preprocessor configuration says: ``size`` (shortest edge or height), ``crop_size``, mean and deviation."""
    import torch

    size, crop = settings.get("size") or {}, settings.get("crop_size") or {}
    side = size if isinstance(size, int) else size.get("shortest_edge") or size.get("height")
    cut = crop if isinstance(crop, int) else crop.get("height")
    if settings.get("do_resize", True) and side:
        pictures = sized(pictures, int(side), int(cut) if cut and settings.get("do_center_crop", True) else None)
    if not settings.get("do_normalize", True):
        return pictures
    mean, deviation = (
        torch.tensor(settings[key], device=pictures.device).reshape(1, 3, 1, 1) for key in ("image_mean", "image_std")
    )
    return (pictures - mean) / deviation


@cache
def picture_net() -> type:
    """The class of the testbeds' own network; made on first use, so that importing this file loads no torch."""
    from torch import nn

    class PictureNet(nn.Module):
        """Three convolutions with batch norm, the last two halving the picture, and one linear head an attribute."""

        def __init__(self, side: int, width: int, heads: Mapping[str, int]) -> None:
            super().__init__()
            self.config = {"side": side, "width": width, "heads": dict(heads)}
            widths = (3, width, 2 * width, 2 * width)
            layers: list[nn.Module] = []
            for i in range(3):
                stride = 1 if i == 0 else 2
                layers += [nn.Conv2d(widths[i], widths[i + 1], 3, stride, 1), nn.BatchNorm2d(widths[i + 1]), nn.ReLU()]
            self.body = nn.Sequential(*layers)
            inner = widths[-1] * (-(-side // 4)) ** 2
            self.last = nn.Sequential(nn.Linear(inner, 2 * width), nn.ReLU())
            self.heads = nn.ModuleDict({name: nn.Linear(2 * width, classes) for name, classes in heads.items()})

        def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            features = self.last(self.body(sized(pictures, self.config["side"]) * 2 - 1).flatten(1))
            return features, {name: head(features) for name, head in self.heads.items()}

    return PictureNet


@cache
def classifier() -> type:
    """The class around a transformers image classifier."""
    import torch
    from torch import nn

    class Classifier(nn.Module):
        """Labels from the configuration; ``NONE`` is never answered, because the model has no such class."""

        def __init__(self, model: Any, settings: Mapping[str, Any]) -> None:
            super().__init__()
            self.model, self.settings = model, dict(settings)
            names = [str(model.config.id2label[i]) for i in range(model.config.num_labels)]
            self.labels = (*names, NONE)
            self.config = [names, self.settings]

        def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            answer = self.model(_prepared(pictures, self.settings), output_hidden_states=True)
            logits = torch.nn.functional.pad(answer.logits, (0, 1), value=NEVER)
            return _pooled(answer.hidden_states[-1]), {"class": logits}

    return Classifier


def _pooled(hidden: torch.Tensor) -> torch.Tensor:
    """(B, f) from tokens (B, n, f) or maps (B, f, h, w), by their mean."""
    return hidden.mean(1) if hidden.ndim == 3 else hidden.flatten(2).mean(-1)


@cache
def clip() -> type:
    """The class around CLIP with fixed texts."""
    import torch
    from torch import nn

    class ZeroShot(nn.Module):
        """Logits are cosines of picture and text times CLIP's own temperature; features are the picture's projection."""

        def __init__(self, model: Any, settings: Mapping[str, Any], tokenizer: Any, texts: list[str]) -> None:
            super().__init__()
            self.model, self.settings = model, dict(settings)
            self.config = [texts, self.settings]
            device = next(model.parameters()).device
            read = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
            with torch.no_grad():
                answer = model.text_model(
                    input_ids=read["input_ids"].to(device), attention_mask=read["attention_mask"].to(device)
                )
                self.register_buffer("texts", _unit(model.text_projection(answer.pooler_output)))

        def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            answer = self.model.vision_model(pixel_values=_prepared(pictures, self.settings))
            features = self.model.visual_projection(answer.pooler_output)
            return features, {"class": self.model.logit_scale.exp() * _unit(features) @ self.texts.T}

    return ZeroShot


def _unit(rows: torch.Tensor) -> torch.Tensor:
    return rows / rows.norm(dim=-1, keepdim=True)
