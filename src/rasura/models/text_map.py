"""The text map T: one d x d matrix that every closed-form edit of a text-to-image model comes down to.

Cross-attention layers read a prompt's features c (d numbers a position) through their key and value matrices W (o x d).
An edit that asks each layer to say for a source row c_i what it says for a target row g_i, with weight s_i,

    minimise  sum_i s_i |W' c_i - W g_i|^2  +  lambda |W' - W|_F^2,

has the same answer in all of them:

    W' = W T,     T = I + (G - C)^T S C M^-1,     M = lambda I + C^T S C,

rows C, G in R^(m x d), S = diag(s). A row that is kept (g = c) enters M alone. So editing every layer is multiplying the
prompt's features by T, the change T - I has at most as many dimensions as there are edited rows, and whoever can feed
features to the model undoes the edit by T^-1 c. A layer's bias takes no part: its target is W g, without it.

M is factorised once, in float64: through C M^-1 = (lambda I_m + C C^T S)^-1 C while there are fewer than d/2 rows, by
Cholesky of M itself otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput
from ..core.types import Site
from ._prompts import Embedded

if TYPE_CHECKING:
    import torch

    from .text_to_image import TextToImage

KIND = "cross_attention.key_value"
NEGLIGIBLE = 1e-12  # of the largest singular value of T - I: rounding, not rank


@dataclass(frozen=True, eq=False)
class TextMap:
    """T = I + left right, float64 on the CPU."""

    left: torch.Tensor  # (d, r)
    right: torch.Tensor  # (r, d)
    systems: tuple[tuple[torch.Tensor, float], ...] = field(
        default=(), repr=False
    )  # what was factorised, for its condition

    @classmethod
    def of_rows(
        cls,
        source: torch.Tensor,
        target: torch.Tensor,
        scale: Any,
        ridge: float,
        *,
        kept: torch.Tensor | None = None,
        kept_scale: Any = 1.0,
        moment: torch.Tensor | None = None,
    ) -> TextMap:
        """Source rows C and target rows G (m, d) with weights ``scale`` (one, or (m,)); ``ridge`` is lambda.

        ``kept`` (n, d) are rows with g = c; ``moment`` (d, d) is a sum s c c^T of such rows where they are too many to
        hold. Raises BadInput on shapes that do not fit, negative weights, and where M cannot be inverted.
        """
        import torch

        source, target = source.detach().double().cpu(), target.detach().double().cpu()
        if source.shape != target.shape or source.ndim != 2 or not len(source):
            raise BadInput(
                f"rows of shapes {tuple(source.shape)} and {tuple(target.shape)}: expected two (m, d), m > 0"
            )
        m, d = source.shape
        rows, scales = source, _weights(scale, m)
        if kept is not None and len(kept):
            rows = torch.cat([source, kept.detach().double().cpu()])
            scales = torch.cat([scales, _weights(kept_scale, len(kept))])
        if not ridge >= 0 or not bool((scales >= 0).all()):
            raise BadInput(f"ridge {ridge} and row weights must not be negative")
        solve = _dense if moment is not None or 2 * len(rows) >= d or ridge == 0 else _push_through
        right, system = solve(rows, scales, m, ridge, moment)
        return cls((target - source).T.contiguous(), right, (system,))._small()

    @classmethod
    def of_matrix(cls, matrix: torch.Tensor) -> TextMap:
        """T given as it is."""
        import torch

        eye = torch.eye(len(matrix), dtype=torch.float64)
        return cls(matrix.detach().double().cpu() - eye, eye)

    @classmethod
    def between(cls, before: TextToImage, after: TextToImage) -> tuple[TextMap, float]:
        """The T that comes closest to turning one model's key and value layers into another's, and how far it stays off.

        Least squares over all layers: T - I = (sum W^T W)^+ sum W^T (W' - W). Second: |W T - W'|_F / |W' - W|_F over all
        of them, 0 for an exact map (and where nothing changed), 1 where no map of the text explains anything. Raises
        BadInput on models of other shapes.
        """
        import torch

        pairs = list(zip(weights(before), weights(after), strict=False))
        if [w.shape for w in weights(before)] != [w.shape for w in weights(after)]:
            raise BadInput(
                "the two models' cross-attention layers have different shapes: no text map lies between them"
            )
        moved = sum(float((new - old).square().sum()) for old, new in pairs)
        wanted = sum(old.T @ (new - old) for old, new in pairs)
        change = torch.linalg.pinv(gram(before), rtol=NEGLIGIBLE, hermitian=True) @ wanted
        off = sum(float((old @ change - (new - old)).square().sum()) for old, new in pairs)
        return cls(change, torch.eye(len(change), dtype=torch.float64)), (off / moved) ** 0.5 if moved else 0.0

    def _small(self) -> TextMap:
        """Never more inner dimensions than d."""
        import torch

        d, r = self.left.shape
        if r <= d:
            return self
        return TextMap(self.left @ self.right, torch.eye(d, dtype=torch.float64), self.systems)

    def __matmul__(self, later: TextMap) -> TextMap:
        """T T_new: the map of an edit made on weights that T had edited before.

        (I + l r)(I + l' r') = I + l r + (T l') r'.
        """
        import torch

        left = torch.cat([self.left, later.left + self.left @ (self.right @ later.left)], dim=1)
        return TextMap(left, torch.cat([self.right, later.right]), self.systems + later.systems)._small()

    # what it is

    @property
    def width(self) -> int:
        """d."""
        return len(self.left)

    @cached_property
    def matrix(self) -> torch.Tensor:
        """T, (d, d) float64."""
        import torch

        return torch.eye(self.width, dtype=torch.float64) + self.left @ self.right

    @cached_property
    def thin(self) -> tuple[torch.Tensor, torch.Tensor]:
        """T - I = a b with as many inner dimensions as its rank: a (d, r), orthonormal rows b (r, d)."""
        import torch

        q, upper = torch.linalg.qr(self.left)
        p, lower = torch.linalg.qr(self.right.T)
        u, s, v = torch.linalg.svd(upper @ lower.T)
        rank = int((s > NEGLIGIBLE * s[0]).sum()) if len(s) and s[0] > 0 else 0
        return q @ (u[:, :rank] * s[:rank]), v[:rank] @ p.T

    @property
    def rank(self) -> int:
        """Dimensions of the text space that move."""
        return self.thin[1].shape[0]

    @property
    def distance(self) -> float:
        """|T - I|_F."""
        return float(self.thin[0].norm())

    @cached_property
    def condition(self) -> float:
        """Largest condition number of the systems M solved on the way; 1 where none was."""
        import torch

        worst = 1.0
        for system, floor in self.systems:
            values = torch.linalg.eigvalsh(system)
            low = min(float(values[0]), floor)
            worst = max(worst, float(values[-1]) / low if low > 0 else float("inf"))
        return worst

    @cached_property
    def inverse(self) -> TextMap:
        """T^-1, the pseudo-inverse where T has none: what an attacker feeds instead of c."""
        return self.inverse_above(NEGLIGIBLE)

    def inverse_above(self, share: float) -> TextMap:
        """The pseudo-inverse that leaves alone what T shrinks to less than ``share`` of its largest singular value.

        For a T read off float32 weights, whose smaller singular values are rounding.
        """
        import torch

        return TextMap.of_matrix(torch.linalg.pinv(self.matrix, rtol=share))

    @property
    def weakest(self) -> float:
        """Smallest singular value of T over its largest: near 0, a direction of the text is lost and T^-1 is no help."""
        import torch

        values = torch.linalg.svdvals(self.matrix)
        return float(values[-1] / values[0])

    @cached_property
    def digest(self) -> str:
        """Hash of T."""
        return hashlib.blake2b(self.matrix.numpy().tobytes(), digest_size=16).hexdigest()

    @property
    def numbers(self) -> dict[str, float]:
        """What a record keeps of a map."""
        return {
            "rank": float(self.rank),
            "condition_number": self.condition,
            "distance_from_identity": self.distance,
        }

    # what it does

    def of_features(self, features: torch.Tensor) -> torch.Tensor:
        """Rows c as rows T c, (..., d), in float32 or better."""
        import torch

        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        if 2 * len(self.right) >= self.width:
            return (wide @ self.matrix.T.to(wide)).to(features.dtype)
        return (wide + (wide @ self.right.T.to(wide)) @ self.left.T.to(wide)).to(features.dtype)

    def of_weight(self, weight: torch.Tensor) -> torch.Tensor:
        """W T for one layer's (o, d) weight, in its own precision (half precision: worked out in float32)."""
        import torch

        wide = weight.detach().to(torch.promote_types(weight.dtype, torch.float32))
        if 2 * len(self.right) >= self.width:
            return (wide @ self.matrix.to(wide)).to(weight.dtype)
        return torch.addmm(wide, wide @ self.left.to(wide), self.right.to(wide)).to(weight.dtype)

    def in_place(self, model: TextToImage, *, keys: bool = True) -> TextToImage:
        """A new handle whose key and value layers (values alone without ``keys``) hold W T; biases stay."""
        import torch

        copy = model.clone()
        with torch.no_grad():
            for site in self._sites(copy, keys):
                weight = copy.module.get_submodule(site.name).weight
                weight.copy_(self.of_weight(weight))
        return copy

    def lora(self, model: TextToImage, *, keys: bool = True) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """By site name: (down (r, d), the same for every layer; up (o, r)), float32, W + up down = W T exactly.

        Raises BadInput where T is the identity: there is nothing to export.
        """
        a, b = self.thin
        if not len(b):
            raise BadInput("the edit changes nothing (T is the identity): there is no adapter to make")
        weights = {s.name: model.module.get_submodule(s.name).weight for s in self._sites(model, keys)}
        return {n: (b.float(), (w.detach().double().cpu() @ a).float()) for n, w in weights.items()}

    def as_lora(self, model: TextToImage, folder: str | Path, *, keys: bool = True) -> Path:
        """Write the edit of this model as a LoRA file of rank ``rank``; the path of the file.

        Plain diffusers loads it: ``pipeline.load_lora_weights(folder)``.
        """
        from peft import get_peft_model_state_dict

        unet, factors = _adapted(model, self.lora(model, keys=keys), self.rank)
        type(model.pipeline).save_lora_weights(
            str(folder), unet_lora_layers=get_peft_model_state_dict(unet), safe_serialization=True
        )
        files = list(Path(folder).glob("*.safetensors"))
        if len(files) != 1 or not factors:
            raise BadInput(f"{folder}: expected one adapter file in it, found {len(files)}; give an empty folder")
        return files[0]

    def hook(self, model: TextToImage, label: str = "text map") -> TextToImage:
        """The same weights behind a guard that multiplies what the text encoders say by T."""
        self._sites(model, True)
        return model.with_guard(TextHook(self, label))

    def _sites(self, model: TextToImage, keys: bool) -> list[Site]:
        found = [s for s in model.sites(KIND) if keys or s.name.endswith("to_v")]
        for site in found:
            width = model.module.get_submodule(site.name).weight.shape[1]
            if width != self.width:
                raise BadInput(f"{site.name} reads text features of width {width}, the map has width {self.width}")
        return found


@dataclass(frozen=True, eq=False)
class TextHook:
    """A guard: every prompt's features c reach the network as T c, those of the unconditional branch too.

    An edit in the weights moves both branches, so a hook that is to equal it must; where the pipeline puts zeros for
    the empty prompt they stay zeros, as T 0 = 0.
    """

    map: TextMap
    label: str = "text map"

    also_nothing = True  # TextToImage.nothing asks for the guards that rewrite the unconditional branch as well

    def rewrite(self, model: Any, embedded: Embedded) -> Embedded:
        """hidden T^T; the pooled vector, which no key or value layer reads, stays."""
        return embedded.with_hidden(self.map.of_features(embedded.hidden))

    def __str__(self) -> str:
        return self.label

    def __repr__(self) -> str:
        """Takes part in the guarded model's fingerprint, so it speaks of T's content."""
        return f"TextHook({self.label!r}, {self.map.digest})"


def weights(model: TextToImage) -> list[torch.Tensor]:
    """Key and value weights of all layers in the network's order, each (o, d) float64 on the CPU."""
    return [model.module.get_submodule(s.name).weight.detach().double().cpu() for s in model.sites(KIND)]


def gram(model: TextToImage) -> torch.Tensor:
    """K = sum_l W_l^T W_l over key and value layers, (d, d) float64: how far features are told apart by the network."""
    return gram_of(weights(model))


def gram_of(layers: Iterable[torch.Tensor]) -> torch.Tensor:
    """As ``gram`` from the weights themselves; one half is worked out, and mirrored."""
    import numpy as np
    import torch
    from scipy.linalg.blas import dsyrk

    total = None
    for weight in layers:
        total = dsyrk(1.0, weight.double().numpy().T, beta=float(total is not None), c=total, overwrite_c=1)
    return torch.from_numpy(np.triu(total) + np.triu(total, 1).T)


def with_lora(model: TextToImage, file: str | Path) -> TextToImage:
    """A new handle with a LoRA file loaded and fused by diffusers: its layers hold W + up down."""
    copy, path = model.clone(), Path(file)
    copy.pipeline.load_lora_weights(str(path.parent), weight_name=path.name)
    copy.pipeline.fuse_lora()
    copy.pipeline.unload_lora_weights()
    return type(model)(copy.pipeline, name=model.name, treatments=model.treatments, guards=model.guards)


def _weights(scale: Any, n: int) -> torch.Tensor:
    import torch

    return torch.as_tensor(scale, dtype=torch.float64).reshape(-1).expand(n)


def _push_through(rows: Any, scales: Any, m: int, ridge: float, _moment: Any) -> Any:
    """The first m rows of S C M^-1 = S^1/2 (lambda I + C' C'^T)^-1 C', C' = S^1/2 C; with what tells M's condition."""
    import torch

    root = scales.sqrt()[:, None]
    system = (root * rows) @ (root * rows).T
    system.diagonal().add_(ridge)
    factor = torch.linalg.cholesky(system)
    # only the edited rows are needed: columns of the inverse, K^-1 being symmetric
    wanted = torch.cholesky_solve(torch.eye(len(rows), m, dtype=torch.float64), factor)
    return root[:m] * (wanted.T @ (root * rows)), (system, ridge)


def _dense(rows: Any, scales: Any, m: int, ridge: float, moment: Any) -> Any:
    """The same from Cholesky of M."""
    import torch

    system = rows.T @ (scales[:, None] * rows)
    if moment is not None:
        system += moment.double().cpu()
    system.diagonal().add_(ridge)
    factor, failed = torch.linalg.cholesky_ex(system)
    if int(failed):
        raise BadInput(f"the rows do not determine the edit with ridge {ridge}: give a larger one")
    return scales[:m, None] * torch.cholesky_solve(rows[:m].T.contiguous(), factor).T, (system, float("inf"))


def _adapted(model: TextToImage, factors: dict[str, Any], rank: int) -> tuple[Any, dict[str, Any]]:
    """A copy of the U-Net carrying the pairs as a peft adapter."""
    import copy

    import torch
    from peft import LoraConfig

    names = {name.removeprefix("unet."): pair for name, pair in factors.items()}
    unet = copy.deepcopy(model.unet)
    unet.add_adapter(
        LoraConfig(r=rank, lora_alpha=rank, target_modules=list(names), init_lora_weights=False, bias="none")
    )
    with torch.no_grad():
        for name, (down, up) in names.items():
            layer = unet.get_submodule(name)
            layer.lora_A["default"].weight.copy_(down)
            layer.lora_B["default"].weight.copy_(up)
    return unet, names
