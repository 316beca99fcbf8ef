"""Judges: handles that say what a picture shows, from a testbed's own network, a classifier or CLIP.

An attribute (shape, colour, ...) has classes c_1 .. c_K, the last of which is ``NONE``: a ruined picture must have an
answer too, or everything an eraser breaks would still be counted as something. A judge answers with P(c_k | picture)
and is said to *see* c_k where that is the largest. What such answers are worth is its confusion matrix M, counted on
pictures it was not trained on: M[i, j] pictures of class i were called j, so that

    sensitivity(k) = M[k, k] / sum_j M[k, j]        specificity(k) = 1 - sum_{i != k} M[i, k] / sum_{i != k, j} M[i, j]

and a rate of seen pictures r has the true rate (r + specificity - 1) / (sensitivity + specificity - 1) (Rogan and
Gladen, "Estimating prevalence from the results of a screening test", 1978).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import BadInput
from . import _judge_networks
from ._fingerprint import _add_tensors
from ._judge_networks import NONE

if TYPE_CHECKING:
    import torch

__all__ = ["NONE", "Judge"]


class Judge:
    """What a picture shows, by attribute.

    ``network``: a module from pictures (B, 3, H, W) in [0, 1] to (features (B, f), {attribute: logits (B, K)}).
    ``confusion``: counts (K, K) by attribute, rows true, columns said; attributes without one have unknown rates.
    Raises BadInput when one class stands in two attributes, since ``sees`` could not tell which is meant.
    """

    modality = "judge"

    def __init__(
        self,
        network: Any,
        attributes: Mapping[str, Sequence[str]],
        *,
        confusion: Mapping[str, Any] | None = None,
        name: str = "judge",
    ) -> None:
        self.network = network.eval()
        self.attributes: Mapping[str, tuple[str, ...]] = {a: tuple(classes) for a, classes in attributes.items()}
        self.confusion = {a: np.asarray(m, dtype=np.int64) for a, m in (confusion or {}).items()}
        self.name = name
        self._place = _places(self.attributes, name)

    @classmethod
    def load(cls, path: str, *, device: str = "auto") -> Judge:
        """A folder written by ``save``, or a transformers image classifier. Raises BadInput, UnsafeModel."""
        network, attributes, confusion = _judge_networks.load(str(path), device)
        return cls(network, attributes, confusion=confusion, name=str(path))

    @classmethod
    def zero_shot(
        cls,
        path: str,
        labels: Sequence[str],
        *,
        template: str = "a photo of a {}",
        nothing: str = "random noise",
        device: str = "auto",
    ) -> Judge:
        """CLIP by folder or hub id asked which of ``labels`` a picture is closest to (Radford et al. 2021).

        ``nothing``: the text that stands for ``NONE``. Raises BadInput on no labels, or on one named twice.
        """
        network, attributes = _judge_networks.zero_shot(str(path), tuple(labels), template, nothing, device)
        return cls(network, attributes, name=str(path))

    def save(self, path: str) -> None:
        """``judge.safetensors`` and ``judge.json``. Only a testbed's own network is written; others have a home."""
        from safetensors.torch import save_file

        config = getattr(self.network, "config", None)
        if not isinstance(self.network, _judge_networks.picture_net()):
            raise BadInput(f"{self.name}: a judge loaded from {type(self.network).__name__} is not saved again")
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        save_file({k: v.contiguous() for k, v in self.network.state_dict().items()}, folder / "judge.safetensors")
        confusion = {a: m.tolist() for a, m in self.confusion.items()}
        about = {"attributes": self.attributes, "confusion": confusion, "network": config}
        (folder / "judge.json").write_text(json.dumps(about, indent=1))

    # what it is

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every tensor, of how pictures are prepared, of the classes, and of what its answers are worth."""
        h = hashlib.blake2b(digest_size=16)
        confusion = {a: m.tolist() for a, m in self.confusion.items()}
        described = [type(self.network).__name__, self.network.config, self.attributes, confusion]
        h.update(json.dumps(described, sort_keys=True, default=str).encode())
        _add_tensors(h, self.network)
        return h.hexdigest()

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    def width(self, sample: Any) -> int:
        """Every picture costs the same."""
        return 1

    # what it says

    def probabilities(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """P(class | picture) by attribute, (B, K) float32 each, for pictures (B, 3, H, W) in [0, 1] of any size."""
        return {a: logits.softmax(-1) for a, logits in self._look(pictures)[1].items()}

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """What the last layer reads, (B, f) float32: the space in which distributions of pictures are compared."""
        return self._look(pictures)[0]

    def sees(self, pictures: torch.Tensor, shows: str) -> torch.Tensor:
        """Whether a picture shows the class, (B,) bool. Raises BadInput on a class it does not know."""
        attribute, index = self._find(shows)
        return self._look(pictures)[1][attribute].argmax(-1) == index

    def attribute_of(self, shows: str) -> str:
        """The attribute a class belongs to. Raises BadInput on a class it does not know."""
        return self._find(shows)[0]

    def rates(self, shows: str) -> tuple[float, float]:
        """(sensitivity, specificity) of ``sees`` for a class; (nan, nan) where no confusion matrix was counted.

        Raises BadInput on a class it does not know.
        """
        attribute, k = self._find(shows)
        return rates(self.confusion[attribute], k) if attribute in self.confusion else (np.nan, np.nan)

    def _find(self, shows: str) -> tuple[str, int]:
        if shows not in self._place:
            known = ", ".join(list(self._place)[:20])
            raise BadInput(f"the judge {self.name} does not know '{shows}'; it knows {known}")
        return self._place[shows]

    def _look(self, pictures: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        import torch

        if pictures.ndim != 4 or pictures.shape[1] != 3:
            raise BadInput(f"a judge reads pictures (B, 3, H, W), found {tuple(pictures.shape)}")
        with torch.set_grad_enabled(torch.is_grad_enabled() and pictures.requires_grad):
            features, logits = self.network(pictures.to(self.device, torch.float32))
        return features.float(), {a: values.float() for a, values in logits.items()}


def rates(confusion: np.ndarray, k: int) -> tuple[float, float]:
    """(sensitivity, specificity) of class k from counts, rows true; nan where no picture was counted.

    >>> rates(np.array([[9, 1, 0], [0, 10, 0], [2, 0, 8]]), 0)
    (0.9, 0.9)
    """
    others = np.delete(confusion, k, axis=0)
    sensitivity = confusion[k, k] / confusion[k].sum() if confusion[k].sum() else np.nan
    specificity = 1 - others[:, k].sum() / others.sum() if others.sum() else np.nan
    return float(sensitivity), float(specificity)


def _places(attributes: Mapping[str, Sequence[str]], name: str) -> dict[str, tuple[str, int]]:
    places: dict[str, tuple[str, int]] = {}
    for attribute, classes in attributes.items():
        if not classes or classes[-1] != NONE:
            raise BadInput(f"{name}: the classes of {attribute} must end with '{NONE}'")
        for index, label in enumerate(classes[:-1]):
            if label in places:
                raise BadInput(f"{name}: the class '{label}' is named twice ({places[label][0]}, {attribute})")
            places[label] = (attribute, index)
    return places
