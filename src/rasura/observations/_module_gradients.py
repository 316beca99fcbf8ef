"""Per-sample gradients of the kinds of modules whose gradient follows from their input and output gradient alone.

x is what went into the module, g the gradient at what came out, both with samples on the first axis.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._factored_norms import Factors


class NotCovered(Exception):
    """Some parameter's gradient has to be found one sample at a time."""


Gradient = Callable[[nn.Module, Tensor, Tensor], Tensor]


def kinds_of(module: nn.Module) -> dict[nn.Module, dict[str, Gradient]]:
    """For every submodule that owns parameters, how to find each. Raises NotCovered for a module of no known kind."""
    found: dict[nn.Module, dict[str, Gradient]] = {}
    for child in module.modules():
        own = {name for name, p in child.named_parameters(recurse=False) if p.is_floating_point()}
        if own:
            kind = kind_of(child)
            if own - set(kind):
                raise NotCovered(f"{type(child).__name__}.{sorted(own - set(kind))[0]}: no rule for this parameter")
            found[child] = kind
    return found


def kind_of(module: nn.Module) -> dict[str, Gradient]:
    """How to find the gradient of each parameter of a module, by the parameter's name; empty when nothing is known.

    A class that brings its own ``forward`` is not the class it derives from.
    """
    forward = type(module).forward
    if "forward" in vars(module) and not hasattr(module, "_hf_hook"):  # replaced by hand on this one object
        return {}
    if forward is nn.Linear.forward:
        return {"weight": _linear_weight, "bias": _bias}
    if forward is nn.Embedding.forward and module.max_norm is None and not module.scale_grad_by_freq:
        return {"weight": _embedding_weight}
    if forward is nn.LayerNorm.forward and len(module.normalized_shape) == 1:
        return {"weight": _layer_norm_weight, "bias": _bias}
    if type(module).__name__ == "Conv1D" and type(module).__module__ == "transformers.pytorch_utils":
        return {"weight": _conv1d_weight, "bias": _bias}
    if type(module).__name__.endswith("RMSNorm") and [n for n, _ in module.named_parameters()] == ["weight"]:
        return {"weight": _rms_norm_weight}
    return {}


def gradient_of(module: nn.Module, name: str, x: Tensor, g: Tensor) -> Tensor:
    """Each sample's gradient of one parameter, in float32: (b, *shape)."""
    return kind_of(module)[name](module, x.float() if x.is_floating_point() else x, g.float())


def factors_of(module: nn.Module, name: str, x: Tensor, g: Tensor) -> Factors | None:
    """The two factors whose products sum to each sample's gradient of one parameter; None for a parameter that is a vector."""
    kind = kind_of(module)[name]
    if kind is _embedding_weight:
        return Factors(x.flatten(1), _moving(module, x, g).flatten(1, -2))
    if kind not in (_linear_weight, _conv1d_weight):
        return None
    x, g = x.flatten(1, -2), g.flatten(1, -2)
    return Factors(g, x) if kind is _linear_weight else Factors(x, g)


def _linear_weight(module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
    """sum_t g_t x_t^T.

    One sample, two positions, 2 inputs, 1 output: 1 * (1, 2) + 3 * (0, 1) = (1, 5).

    >>> _linear_weight(None, torch.tensor([[[1.0, 2.0], [0.0, 1.0]]]), torch.tensor([[[1.0], [3.0]]])).tolist()
    [[[1.0, 5.0]]]
    """
    return g.flatten(1, -2).transpose(1, 2) @ x.flatten(1, -2)


def _conv1d_weight(module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
    """As linear, stored (in, out)."""
    return x.flatten(1, -2).transpose(1, 2) @ g.flatten(1, -2)


def _bias(module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
    """sum_t g_t."""
    return g.flatten(1, -2).sum(1)


def _embedding_weight(module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
    """Row v: the sum of g_t over the positions with token v; the row of ``padding_idx`` is held still by the module."""
    g = _moving(module, x, g)
    out = g.new_zeros(len(x), module.num_embeddings, module.embedding_dim)
    return out.scatter_add_(1, x.flatten(1)[..., None].expand(-1, -1, module.embedding_dim), g.flatten(1, -2))


def _moving(module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
    """g without what arrives at ``padding_idx``."""
    return g if module.padding_idx is None else g * (x != module.padding_idx)[..., None]


def _layer_norm_weight(module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
    """sum_t g_t * (x_t - mean)/deviation."""
    return (g * functional.layer_norm(x, module.normalized_shape, None, None, module.eps)).flatten(1, -2).sum(1)


def _rms_norm_weight(module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
    """By automatic differentiation of this one module, because some variants scale by w and some by 1 + w."""

    def pulled(weight: Tensor, x: Tensor, g: Tensor) -> Tensor:
        return (torch.func.functional_call(module, {"weight": weight}, (x[None],)) * g[None]).sum()

    weight = module.weight.detach().float()
    return torch.func.vmap(torch.func.grad(pulled), (None, 0, 0))(weight, x, g)
