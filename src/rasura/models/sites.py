"""Where things are inside a transformer: names of modules by what they do.

Kinds: ``block`` (one decoder layer), ``attention.query_key_value`` (fused or separate projections),
``attention.output``, ``mlp.up``, ``mlp.down``, ``embedding``, ``head``. Found by the module names that Hugging Face
architectures use; an architecture that uses none of them is an error, never an empty list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.errors import NotYetSupported
from ..core.types import Site

if TYPE_CHECKING:
    from torch import nn

SUFFIXES = {
    "attention.query_key_value": (
        "attention.query_key_value", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.qkv_proj",
        "attn.c_attn", "attn.q_proj", "attn.k_proj", "attn.v_proj", "self_attention.query_key_value",
    ),
    "attention.output": (
        "attention.dense", "self_attn.o_proj", "self_attn.out_proj", "self_attn.dense", "attn.c_proj", "attn.out_proj",
        "self_attention.dense",
    ),
    "mlp.up": ("mlp.dense_h_to_4h", "mlp.gate_proj", "mlp.up_proj", "mlp.gate_up_proj", "mlp.c_fc", "mlp.fc_in", "mlp.fc1", "fc1"),
    "mlp.down": ("mlp.dense_4h_to_h", "mlp.down_proj", "mlp.c_proj", "mlp.fc_out", "mlp.fc2", "fc2"),
}  # fmt: skip


def blocks(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The decoder layers in order: the longest list of modules whose entries are of one class."""
    from torch import nn

    lists = [
        (name, child)
        for name, child in module.named_modules()
        if isinstance(child, nn.ModuleList) and len(child) and len({type(c) for c in child}) == 1
    ]
    expected = getattr(getattr(module, "config", None), "num_hidden_layers", None)
    fitting = [pair for pair in lists if len(pair[1]) == expected] or lists
    if not fitting:
        raise NotYetSupported(f"{type(module).__name__}: no list of decoder layers was found in it")
    name, child = max(fitting, key=lambda pair: len(pair[1]))
    return [(f"{name}.{i}", block) for i, block in enumerate(child)]


def find(module: nn.Module, kind: str) -> list[Site]:
    """All sites of one kind, in layer order. Raises NotYetSupported when the architecture shows none."""
    layers = [name for name, _ in blocks(module)]
    if kind == "block":
        return [Site(name, kind, i) for i, name in enumerate(layers)]
    if kind in ("embedding", "head"):
        part = module.get_input_embeddings() if kind == "embedding" else module.get_output_embeddings()
        return [Site(name, kind, -1) for name, child in module.named_modules() if child is part]
    if kind not in SUFFIXES:
        raise NotYetSupported(
            f"no kind of site is called '{kind}'; there are block, embedding, head, {', '.join(SUFFIXES)}"
        )
    found = [
        Site(name, kind, _layer(name, layers))
        for name, child in module.named_modules()
        if name.endswith(SUFFIXES[kind]) and hasattr(child, "weight")
    ]
    if not found:
        raise NotYetSupported(f"{type(module).__name__}: no {kind} module is known by name in this architecture")
    return found


def _layer(name: str, layers: list[str]) -> int:
    return next((i for i, layer in enumerate(layers) if name.startswith(layer + ".")), -1)
