"""LoRA adapters on a model: one copy of the base weights is both student and reference.

The student is a new module tree whose base tensors are the caller's own storage, frozen, with rank-r pairs beside the
chosen matrices: W x + (alpha / r) B A x, A drawn at random, B zero, so that before the first step the student answers
exactly as the caller's model. Merging copies the base once and adds (alpha / r) B A in float32.

The only place that imports peft.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput

if TYPE_CHECKING:
    import torch

    from .text_to_image import TextToImage


def attach(handle: Any, modules: Iterable[str], *, rank: int, alpha: float, seed: int = 0) -> Any:
    """A student with adapters on the named modules; the caller's handle is not changed, its tensors are shared."""
    import torch
    from peft import LoraConfig, get_peft_model, inject_adapter_in_model

    if rank < 1:
        raise BadInput(f"rank is {rank}: an adapter needs at least 1")
    base = _sharing(handle.module)
    names = sorted(modules)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=names,
        lora_dropout=0.0,
        bias="none",
        fan_in_fan_out=_transposed(base.get_submodule(names[0])),
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by names that are being replaced
        torch.manual_seed(seed)
        if handle.modality == "images":
            return _with_networks(handle, inject_adapter_in_model(config, base))
        student = get_peft_model(base, config)
    return type(handle)(student, handle.tokenizer, name=handle.name, treatments=handle.treatments)


def merge(student: Any) -> Any:
    """A handle that stands alone: base weights copied, adapters added in float32, nothing of peft left in it."""
    import torch
    from peft.tuners.lora import LoraLayer

    with torch.no_grad():
        for layer in [m for m in student.base.modules() if isinstance(m, LoraLayer)]:
            weight, change = layer.get_base_layer().weight, delta(layer)
            weight.data = (weight.float() + change).to(weight.dtype)
        module = _without_adapters(student.module) if student.modality == "images" else student.module.unload()
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.data = tensor.data.clone()
    module.requires_grad_(True)
    if student.modality == "images":
        return _with_networks(student, module)
    return type(student)(module, student.tokenizer, name=student.name, treatments=student.treatments)


def delta(layer: Any) -> torch.Tensor:
    """(alpha / r) B A of one adapted module in float32, laid out as its weight is."""
    total = 0
    for name in layer.active_adapters:
        change = layer.scaling[name] * (layer.lora_B[name].weight.float() @ layer.lora_A[name].weight.float())
        total = total + (change.T if _transposed(layer.get_base_layer()) else change)
    return total


@contextmanager
def switched_off(student: Any) -> Iterator[Any]:
    """The student answers as the model it was attached to while the block runs."""
    if student.modality == "images":
        _switch(student.module, on=False)
        try:
            yield student
        finally:
            _switch(student.module, on=True)
        return
    with student.module.disable_adapter():
        yield student


def _sharing(module: Any) -> Any:
    """A copy of the tree of modules over the same storage: its parameters are new, frozen views, its buffers the same."""
    from torch import nn

    memo: dict[int, Any] = {id(p): nn.Parameter(p.data, requires_grad=False) for p in module.parameters()}
    memo |= {id(b): b for b in module.buffers()}
    return copy.deepcopy(module, memo)


def _transposed(module: Any) -> bool:
    """GPT-2's Conv1D keeps its weight as (in, out)."""
    return type(module).__name__ == "Conv1D"


def shared(handle: TextToImage) -> TextToImage:
    """A handle of its own modules over the caller's tensors, none of which takes a gradient."""
    return _with_networks(handle, _sharing(handle.module))


def _with_networks(handle: TextToImage, parts: Any) -> TextToImage:
    """The pipeline around other networks of the same names."""
    from .text_to_image import _pipeline_flags

    pipeline = handle.pipeline
    built = type(pipeline)(**{**pipeline.components, **dict(parts.items()), **_pipeline_flags(pipeline)})
    return type(handle)(built, name=handle.name, treatments=handle.treatments, guards=handle.guards)


def _without_adapters(parts: Any) -> Any:
    """The networks with every adapted layer replaced by the layer it wraps."""
    from peft.tuners.lora import LoraLayer

    for name, layer in [(n, m) for n, m in parts.named_modules() if isinstance(m, LoraLayer)]:
        parent, _, child = name.rpartition(".")
        setattr(parts.get_submodule(parent), child, layer.get_base_layer())
    return parts


def _switch(parts: Any, on: bool) -> None:
    from peft.tuners.lora import LoraLayer

    for layer in parts.modules():
        if isinstance(layer, LoraLayer):
            layer.enable_adapters(on)
