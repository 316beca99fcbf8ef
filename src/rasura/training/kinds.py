"""Which class answers for the model before training, by the kind of model."""

from __future__ import annotations

from typing import Any

from ..core.errors import WrongModality
from .frozen import Frozen
from .frozen_images import FrozenImages

KINDS: dict[str, Any] = {"text": Frozen, "images": FrozenImages}


def kind_of(model: Any) -> Any:
    """``Frozen`` or ``FrozenImages``. Raises WrongModality for a handle that nothing here can train."""
    kind = KINDS.get(getattr(model, "modality", "text"))
    if kind is None:
        raise WrongModality(
            f"a model of kind '{model.modality}' cannot be trained to forget; known: {', '.join(KINDS)}"
        )
    return kind
