"""What the handles of helping models share: models that are asked something and never audited."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from ..core.errors import NotYetSupported
from ..core.types import Samples
from ._fingerprint import fingerprint
from ._handle import TextHandle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.types import Site


class HelperModel(TextHandle):
    """A transformers model and its tokenizer, of which nothing is ever changed or taken apart."""

    treatments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __init__(self, module: Any, tokenizer: Any, *, name: str = "helper") -> None:
        self.module, self.tokenizer, self.name = module.eval(), tokenizer, name

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every tensor's bytes and dtype, the configuration and the tokenizer."""
        return fingerprint(self.module, self.vocabulary_hash)

    @property
    def architecture(self) -> str:
        return type(self.module).__name__

    @property
    def context(self) -> int:
        """Tokens it can read at once; of a longer text it reads the beginning."""
        limit = getattr(self.module.config, "max_position_embeddings", None) or 1 << 30
        return int(min(limit, getattr(self.tokenizer, "model_max_length", None) or limit))

    def sites(self, kind: str) -> Sequence[Site]:
        raise NotYetSupported(f"{self.architecture}: a model that only helps is not taken apart here")

    def clone(self) -> Self:
        """The same model: nothing here ever changes its weights."""
        return self

    def fit(self, samples: Samples, *, truncate: bool = False) -> Samples:
        """Unchanged: of a text that is too long the beginning is read."""
        return samples

    def save(self, folder: str) -> None:
        """Weights as safetensors, and the tokenizer, in the layout plain transformers loads."""
        self.module.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)
