"""Token after token from a language model, many prompts at once.

Prompts of different lengths stand side by side: padded on the left, with positions that count from each prompt's own
first token and a mask that hides the padding, so that a continuation does not depend on its neighbours. Keys and
values of earlier tokens are kept between steps.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._engine import TOKEN_BUDGET, _free_memory, _out_of_memory
from ._sampler import Sampler

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Draw:
    """One continuation to be made."""

    prompt: np.ndarray  # ids, at least one
    limit: int  # most tokens to say
    uniforms: np.ndarray  # (limit,) numbers in [0, 1): one decides one token

    @property
    def width(self) -> int:
        return len(self.prompt) + self.limit


@dataclass(frozen=True)
class Said:
    """What came of a draw."""

    ids: np.ndarray  # (said,) int64, without the end-of-text token
    ended: bool = False  # the model said end-of-text
    broken: bool = False  # the model's answer was not a number


def continuations(model: Any, draws: Sequence[Draw], sampler: Sampler, *, least_rows: int = 1) -> list[Said]:
    """What the model says after each prompt, in the order of ``draws``.

    Draws run together up to the pass engine's budget of tokens, at least ``least_rows`` at a time.
    """
    import torch

    order = sorted(range(len(draws)), key=lambda i: -draws[i].width)  # alike in length, least padding
    said = {i: Said(d.prompt[:0]) for i, d in enumerate(draws)}
    order = [i for i in order if draws[i].limit]
    with torch.inference_mode():
        while order:
            size = max(least_rows, TOKEN_BUDGET // draws[order[0]].width)
            rows, order = order[:size], order[size:]
            said.update(zip(rows, _halving(model, [draws[i] for i in rows], sampler, least_rows), strict=True))
    return [said[i] for i in range(len(draws))]


def _halving(model: Any, draws: list[Draw], sampler: Sampler, least: int) -> list[Said]:
    """Try fewer rows at once when memory runs out; from ``least`` rows down that is the engine's to do."""
    try:
        return _together(model, draws, sampler)
    except (RuntimeError, MemoryError) as error:
        if len(draws) <= least or not _out_of_memory(error):
            raise
    _free_memory()
    middle = max(least, len(draws) // 2)
    return [
        *_halving(model, draws[:middle], sampler, least),
        *_halving(model, draws[middle:], sampler, least),
    ]


def _together(model: Any, draws: list[Draw], sampler: Sampler) -> list[Said]:
    import torch

    ids, mask = _left_padded(model, draws)
    ends = torch.tensor(sorted(end_tokens(model)), device=ids.device, dtype=torch.long)
    limits = torch.tensor([d.limit for d in draws], device=ids.device)
    uniforms = _uniforms(draws).to(ids.device)  # (B, steps)
    said = torch.zeros(uniforms.shape, dtype=torch.long, device=ids.device)
    lengths, cache = torch.zeros_like(limits), None
    ended, broken = torch.zeros_like(limits, dtype=torch.bool), torch.zeros_like(limits, dtype=torch.bool)
    for step in range(uniforms.shape[1]):
        talking = (lengths == step) & (step < limits)
        if not talking.any():
            break
        logits, cache = _next_logits(model, ids, mask, cache)
        broken |= talking & logits.isnan().any(-1)
        token = _choose(sampler.log_probabilities(logits.nan_to_num()), uniforms[:, step])
        ended |= talking & ~broken & torch.isin(token, ends)
        said[:, step] = token
        lengths += talking & ~ended & ~broken
        ids, mask = token[:, None], torch.cat([mask, mask.new_ones(len(draws), 1)], dim=1)
    rows = zip(said.cpu().numpy(), lengths.tolist(), ended.tolist(), broken.tolist(), strict=True)
    return [Said(row[:length].astype(np.int64), end, bad) for row, length, end, bad in rows]


def _uniforms(draws: list[Draw]) -> torch.Tensor:
    import torch

    out = np.zeros((len(draws), max(d.limit for d in draws)))
    for i, d in enumerate(draws):
        out[i, : d.limit] = d.uniforms
    return torch.from_numpy(out)


def _left_padded(model: Any, draws: list[Draw]) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    width = max(len(d.prompt) for d in draws)
    ids, mask = np.zeros((2, len(draws), width), dtype=np.int64)
    for i, d in enumerate(draws):
        ids[i, width - len(d.prompt) :], mask[i, width - len(d.prompt) :] = d.prompt, 1
    return torch.from_numpy(ids).to(model.device), torch.from_numpy(mask).to(model.device)


def _next_logits(model: Any, ids: torch.Tensor, mask: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:
    """Logits after the last token, (B, V), and the keys and values so far; ``ids`` are the tokens not yet in them."""
    inputs = {"input_ids": ids, "attention_mask": mask, "past_key_values": cache, "use_cache": True}
    if _takes_positions(model.base.base_model):
        inputs["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    out = model.base.base_model(**inputs)
    return model.logits(out.last_hidden_state[:, -1]), out.past_key_values


def _takes_positions(module: Any) -> bool:
    """Architectures without position ids (ALiBi) read positions off the mask."""
    return "position_ids" in inspect.signature(module.forward).parameters


def _choose(log_p: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Smallest token whose cumulative probability exceeds ``uniform``: (B, V), (B,) to (B,).

    By hand: cumulative .5, .75, 1 and u = .6 give token 1; u = .999999 never picks the impossible last token.

    >>> import torch
    >>> p = torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0]])
    >>> _choose(p.log(), torch.tensor([0.6, 0.999999])).tolist()
    [1, 1]
    """
    import torch

    cumulative = log_p.double().exp().cumsum(-1)
    drawn = uniform[:, None] * cumulative[:, -1:]  # rounding may leave the total beside 1
    token = torch.searchsorted(cumulative, drawn, right=True).squeeze(1)
    return token.clamp(max=log_p.shape[1] - 1)


def end_tokens(model: Any) -> set[int]:
    """Ids that mean end of text: of the tokenizer, and of the model's own settings for generating."""
    settings = getattr(model.base, "generation_config", None)
    found: set[int] = set()
    for value in (model.tokenizer.eos_token_id, getattr(settings, "eos_token_id", None)):
        found.update(value if isinstance(value, (list, tuple)) else [] if value is None else [value])
    return {int(v) for v in found}
