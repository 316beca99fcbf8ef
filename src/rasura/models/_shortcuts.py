"""What a pass may leave out for a given model: each shortcut is compared once with the model's own answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def head_is_plain(base: Any, device: torch.device) -> bool:
    """Are the logits the output matrix times the last hidden state? Some architectures scale or cap them afterwards."""
    import torch

    with torch.no_grad():
        ids = torch.zeros((1, 2), dtype=torch.long, device=device)
        own = base(input_ids=ids, use_cache=False).logits.float()
        hidden = base.base_model(input_ids=ids, use_cache=False).last_hidden_state
        return bool(torch.allclose(own, base.get_output_embeddings()(hidden).float(), atol=1e-3, rtol=1e-3))


def padding_is_unseen(base: Any, device: torch.device) -> bool:
    """Does padding behind a text change nothing, even where no mask says that it is padding?

    Causal attention never looks there, and without a mask it takes a faster path.
    """
    import torch

    ids = (torch.arange(8, device=device) % len(base.get_input_embeddings().weight)).view(2, 4)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], device=device)
    try:
        with torch.no_grad():
            told, untold = (
                base.base_model(input_ids=ids, attention_mask=m, use_cache=False).last_hidden_state[mask.bool()]
                for m in (mask, None)
            )
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
        return False  # it cannot do without a mask, or reads fewer tokens than that
    tolerance = torch.finfo(told.dtype).eps ** 0.5
    return bool(torch.allclose(told, untold, atol=tolerance, rtol=tolerance))
