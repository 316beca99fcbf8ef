"""Where things are inside a text-to-image model, by the names diffusers and transformers give them.

Kinds: ``cross_attention.key_value`` (attn2 to_k, to_v), ``cross_attention`` (all four projections of attn2),
``self_attention`` (of attn1), ``feed_forward.in`` and ``feed_forward.out`` (first and second matrix of a transformer
block's feed-forward), ``text.mlp`` (both matrices of the text encoders' feed-forwards), ``linear`` (every linear layer
of the U-Net). Names are module paths inside ``TextToImage.module``. A kind that matches nothing is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..core.errors import NotYetSupported
from ..core.types import Site

if TYPE_CHECKING:
    from torch import nn

PATTERNS = {
    "cross_attention.key_value": r"^unet\..*\.attn2\.to_[kv]$",
    "cross_attention": r"^unet\..*\.attn2\.(to_[qkv]|to_out\.0)$",
    "self_attention": r"^unet\..*\.attn1\.(to_[qkv]|to_out\.0)$",
    "feed_forward.in": r"^unet\..*\.ff\.net\.0\.proj$",
    "feed_forward.out": r"^unet\..*\.ff\.net\.2$",
    "text.mlp": r"^text_encoder(_2)?\..*\.mlp\.fc[12]$",
    "linear": r"^unet\..*$",
}


def find(module: nn.Module, kind: str) -> list[Site]:
    """All sites of one kind in the network's order. Raises NotYetSupported."""
    from torch import nn

    if kind not in PATTERNS:
        raise NotYetSupported(
            f"no kind of site is called '{kind}' in a text-to-image model; there are {', '.join(PATTERNS)}"
        )
    linear = [name for name, child in module.named_modules() if isinstance(child, nn.Linear)]
    found = [Site(name, kind, i) for i, name in enumerate(n for n in linear if re.match(PATTERNS[kind], n))]
    if not found:
        raise NotYetSupported(f"no {kind} layer was found in this U-Net by name: nothing would be changed")
    return found
