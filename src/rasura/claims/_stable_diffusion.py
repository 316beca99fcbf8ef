"""How many parameters Stable Diffusion 1.4's U-Net has, counted on the network itself without its weights."""

from __future__ import annotations

from typing import Any

from ..models._pipelines import library
from ..models._unet_sites import find

# unet/config.json as published with CompVis/stable-diffusion-v1-4
CONFIGURATION: dict[str, Any] = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}


def counted() -> dict[str, int]:
    """Parameters: "all" of the U-Net, "keys" and "values" of its cross-attention. Memory is never allocated."""
    import torch
    from torch import nn

    with torch.device("meta"):
        unet = library().UNet2DConditionModel(**CONFIGURATION)
    module = nn.ModuleDict({"unet": unet})
    sites = [s.name for s in find(module, "cross_attention.key_value")]

    def parameters(ending: str) -> int:
        layers = [module.get_submodule(name) for name in sites if name.endswith(ending)]
        return sum(p.numel() for layer in layers for p in layer.parameters())

    return {"all": sum(p.numel() for p in unet.parameters()), "keys": parameters("to_k"), "values": parameters("to_v")}
