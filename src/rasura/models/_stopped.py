"""A forward pass that ends where the answer is: later layers do not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput, NotYetSupported
from . import sites

if TYPE_CHECKING:
    import torch


class _Stop(Exception):
    """Carries a hidden state out of a forward pass that need not go on."""

    def __init__(self, hidden: torch.Tensor) -> None:
        self.hidden = hidden


def forward_to(module: Any, layer: int, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Output of decoder layer ``layer``: (B, T, d). Raises BadInput for a layer that is not there."""
    blocks = sites.blocks(module)
    if not 0 <= layer < len(blocks):
        raise BadInput(f"layer {layer}: the model has layers 0 to {len(blocks) - 1}")

    def stop(_module: Any, _inputs: Any, output: Any) -> None:
        raise _Stop(output[0] if isinstance(output, tuple) else output)

    hook = blocks[layer][1].register_forward_hook(stop)
    try:
        module.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
    except _Stop as reached:
        return reached.hidden
    finally:
        hook.remove()
    raise NotYetSupported(f"{type(module).__name__}: its forward pass did not go through layer {layer}")
