"""Does the erased content come back when the model is run in fewer bits?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Budget, Recovered, Request
from ._observe import observed, recovered, share_line, within

if TYPE_CHECKING:
    import torch


def rounded(weight: torch.Tensor, bits: int, group: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(codes, values) of round-to-nearest: ``weight`` (out, in), one scale an output channel or every ``group`` inputs.

        scale = max |w| / (2^(bits-1) - 1),     code = round(w / scale),     value = scale * code

    Symmetric, so 0 stays 0. By hand, 3 bits: codes -3..3, scale .9/3 = .3; .4/.3 rounds to 1, -.2/.3 to -1.

    >>> import torch
    >>> codes, values = rounded(torch.tensor([[0.9, 0.4, -0.2]]), 3)
    >>> codes.tolist(), values.double().round(decimals=6).tolist()
    ([[3, 1, -1]], [[0.9, 0.3, -0.3]])
    """
    import torch

    outputs, inputs = weight.shape
    size, top = group or inputs, 2 ** (bits - 1) - 1
    padded = torch.nn.functional.pad(weight.float(), (0, -inputs % size)).view(outputs, -1, size)
    scale = padded.abs().amax(-1, keepdim=True) / top
    codes = torch.round(padded / scale.clamp(min=torch.finfo(torch.float32).tiny)).clamp(-top, top)
    values = (codes * scale).view(outputs, -1)[:, :inputs]
    return codes.to(torch.int32).view(outputs, -1)[:, :inputs], values.to(weight.dtype)


@method(paper="arXiv:2410.16454")
@dataclass(frozen=True)
class Quantise:
    """Forget records that come out word for word once the weights are rounded to 8 or 4 bits.

    Each width of ``bits`` is tried by itself, and a record counts if any of them brings it back; evidence says which.
    Every linear layer but the output matrix is rounded to the nearest of 2^bits - 1 levels (see ``rounded``; bits one of ``bits``), with one
    scale an output channel (``group`` 0) or for every ``group`` inputs; embeddings, norms and biases stay as they are. An
    erasure that moves weights less than a level apart is undone by that, without data and without training.

    Evidence: the share of parameters rounded, the relative size of the change, and, given ``before``, the share of
    codes that are the same as the untreated model's: where it is near 1, both round to one model. 4 bits damage a small
    model whatever it holds: judge by the untreated and the retrained model under the same rounding.
    BadInput unless 2 <= bits <= 8 and group >= 0.

    Source: Zhang, Wang, Li, Wu, Tang, Liu, He, Yin and Wang, "Catastrophic failure of LLM unlearning via
    quantization", ICLR 2025, which uses 8 and 4 bits. Deviations: round-to-nearest alone (the paper adds GPTQ and AWQ,
    which need calibration data); rounded weights are multiplied in the model's own precision.

    By hand: as in ``rounded``.
    """

    bits: tuple[int, ...] = (8, 4)
    group: int = 0

    access: ClassVar[str] = "white-box"

    def __post_init__(self) -> None:
        if not self.bits or not all(2 <= width <= 8 for width in self.bits) or self.group < 0:
            raise BadInput(
                f"quantise: bits is {self.bits} and group {self.group}; expected 2 to 8 bits and a group of 0 or more"
            )

    def attack(self, model: Any, request: Request, budget: Budget, *, seed: int = 0, before: Any = None) -> Recovered:
        """Round copies and see what they say. A query a forget record and width; ``seed`` has no effect: nothing is drawn."""
        queries = len(self.bits) * len(request.forget)
        within(budget.queries, queries)
        scores, lines = [], []
        for width in self.bits:
            quantised = model.clone()
            told = self._round(quantised, before, width)
            scores.append(recovered(observed(quantised, request.forget)))
            lines += [share_line(f"at {width} bits", scores[-1]), *told]
        return Recovered(np.max(scores, axis=0), tuple(lines), Budget(queries=queries))

    def _round(self, model: Any, before: Any, bits: int) -> list[str]:
        """Round in place; lines of evidence."""
        import torch

        weights = _linear_weights(model)
        old = dict(_linear_weights(before)) if before is not None else {}
        count, error, size, same, shared = 0, 0.0, 0.0, 0, 0
        with torch.no_grad():
            for name, weight in weights:
                codes, values = rounded(weight, bits, self.group)
                count, size = count + weight.numel(), size + float(weight.double().square().sum())
                error += float((weight.double() - values.double()).square().sum())
                if name in old and old[name].shape == weight.shape:
                    same += int((codes == rounded(old[name].to(weight.device), bits, self.group)[0]).sum())
                    shared += weight.numel()
                weight.copy_(values)
        model.weights_changed()
        lines = [
            f"{100 * count / model.parameters:.1f} % of the parameters rounded",
            f"root mean square change {100 * (error / size) ** 0.5 if size else 0.0:.2f} % of that of the weights",
        ]
        return lines + ([f"{100 * same / shared:.2f} % of the codes as in the model before"] if shared else [])


def _linear_weights(model: Any) -> list[tuple[str, torch.Tensor]]:
    """(name, weight as (out, in)) of every linear layer but the output matrix; a view, so writing to it changes the model."""
    import torch

    head, found = model.base.get_output_embeddings(), []
    for name, module in model.base.named_modules():
        if module is head:
            continue
        if isinstance(module, torch.nn.Linear):
            found.append((name, module.weight.data))
        elif type(module).__name__ == "Conv1D":  # GPT-2's linear layer, stored as (in, out)
            found.append((name, module.weight.data.T))
    if not found:
        raise BadInput(f"quantise: {type(model.base).__name__} has no linear layer that could be rounded")
    return found
