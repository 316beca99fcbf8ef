"""Membranes: rank-r adapters that let a concept's prompts through weakened and other prompts almost as they were.

Every linear layer of the U-Net's transformer blocks answers

    y = W x + sum_k gamma_k (alpha_k / r_k) U_k A_k x,        U_k: (out, r),  A_k: (r, in)

with one strength gamma_k a row of the batch and adapter k. Adapters are summed as changes, each from the layer's own input:
adding or scaling the factors U and A of several would mix them (U_1 + U_2)(A_1 + A_2), and scaling both factors of one
by gamma applies gamma^2. Nothing is added to the weights and no hook outlives a pass of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...core.errors import BadInput
from ...core.types import digest

if TYPE_CHECKING:
    import torch

KINDS = ("cross_attention", "self_attention", "feed_forward.in", "feed_forward.out")


@dataclass(frozen=True, eq=False)
class Membranes:
    """One concept's adapters: a guard of a text-to-image model.

    ``names``: layers, with ``up`` (out, r) and ``down`` (r, in) for each; ``scale``: alpha / r; ``phrases``: what the
    strength of a prompt is measured against; ``calibrated``: whether the empty prompt is subtracted first.
    """

    concept: str
    phrases: tuple[str, ...]
    names: tuple[str, ...]
    up: tuple[torch.Tensor, ...]
    down: tuple[torch.Tensor, ...]
    scale: float
    calibrated: bool = True

    def around(self, model: Any, embedded: Any) -> Any:
        """Hooks for one pass of the network, each row as strong as its prompt asks for."""
        return self.at(model, self.strength(model, embedded))

    @contextmanager
    def at(self, model: Any, gamma: torch.Tensor) -> Iterator[None]:
        """The network with every row i answering at strength gamma_i: (B,)."""
        handles = []
        try:
            for name, up, down in zip(self.names, self.up, self.down, strict=True):
                layer = model.module.get_submodule(name)
                handles.append(layer.register_forward_hook(_membrane(up, down, self.scale, gamma)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def strength(self, model: Any, embedded: Any) -> torch.Tensor:
        """gamma of each row: the larger of two likenesses to the concept, over its phrases; 0 for the empty prompt.

        cos( h(p) - h(""), h(c) - h("") ) of flattened embeddings, and the share of the concept's tokens in the prompt.
        """
        import torch

        nothing, concepts = self._concepts(model)
        hidden = embedded.hidden.float().flatten(1)
        cosine = torch.stack([_cosine(hidden - nothing, c - nothing) for c in concepts]).amax(0)
        shared = [max(_shared(model, p, phrase) for phrase in self.phrases) for p in embedded.prompts]
        gamma = torch.maximum(cosine, torch.tensor(shared, device=cosine.device))
        return torch.where(hidden.abs().amax(1) > 0, gamma, 0.0).clamp(0, 1)

    def _concepts(self, model: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """(what is subtracted, the phrases' embeddings), flat."""
        import torch

        with torch.no_grad():
            hidden = model.encode_prompts(["", *self.phrases]).hidden.float().flatten(1)
        return (hidden[0] if self.calibrated else torch.zeros_like(hidden[0])), hidden[1:]

    def merged(self, model: Any) -> Any:
        """A handle of its own with the adapters in its weights, at strength 1 for every prompt."""
        import torch

        whole = model.clone()
        with torch.no_grad():
            for name, up, down in zip(self.names, self.up, self.down, strict=True):
                weight = whole.module.get_submodule(name).weight
                weight.copy_((weight.float() + self.scale * (up @ down).to(weight.device)).to(weight.dtype))
        whole.weights_changed()
        return whole

    def save(self, path: str) -> None:
        """The adapter alone, as safetensors: a few kilobytes that fit every model of the same architecture."""
        import json

        from safetensors.torch import save_file

        tensors = {f"{n}.up": u.contiguous() for n, u in zip(self.names, self.up, strict=True)}
        tensors |= {f"{n}.down": d.contiguous() for n, d in zip(self.names, self.down, strict=True)}
        facts = [self.concept, self.phrases, self.names, self.scale, self.calibrated]
        save_file(tensors, path, metadata={"membranes": json.dumps(facts)})

    @classmethod
    def load(cls, path: str) -> Membranes:
        """The inverse of ``save``. Raises BadInput when the file is something else."""
        import json

        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads((file.metadata() or {})["membranes"])
                concept, phrases, names, scale, calibrated = facts
                up, down = (tuple(file.get_tensor(f"{n}.{part}") for n in names) for part in ("up", "down"))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise BadInput(f"{path}: no file of membranes ({type(error).__name__})") from None
        return cls(concept, tuple(phrases), tuple(names), up, down, float(scale), bool(calibrated))

    @cached_property
    def digest(self) -> str:
        """By content: part of the guarded model's fingerprint."""
        numbers = [t.detach().double().cpu().numpy().tobytes().hex() for t in (*self.up, *self.down)]
        return digest([self.concept, self.phrases, self.names, self.scale, self.calibrated, numbers])

    def __repr__(self) -> str:
        return f"Membranes({self.concept!r}, {self.digest})"

    def __str__(self) -> str:
        return f"spm adapters for '{self.concept}' ({len(self.names)} layers)"


def _membrane(up: torch.Tensor, down: torch.Tensor, scale: float, gamma: torch.Tensor) -> Callable[..., torch.Tensor]:
    def add(_layer: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        x = inputs[0]
        change = x.to(up.dtype) @ down.to(x.device).T @ up.to(x.device).T
        each = gamma.to(x.device).reshape(-1, *[1] * (change.ndim - 1))
        return output + (scale * each * change).to(output.dtype)

    return add


def _cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """cos of each row of a with b; 0 where a is nothing but rounding beside b."""
    size = b.norm().clamp(min=1e-12)
    return (a @ b) / (a.norm(dim=1).clamp(min=1e-3 * float(size)) * size)


def _shared(model: Any, prompt: str, phrase: str) -> float:
    """|tokens(p) and tokens(c)| / |tokens(c)|."""
    wanted = _words(model, phrase)
    return len(_words(model, prompt) & wanted) / len(wanted) if wanted else 0.0


def _words(model: Any, text: str) -> set[int]:
    tokens = model.tokens(text)
    return {tokens.ids[i] for i in tokens.words}
