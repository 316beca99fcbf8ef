"""Words an attacker makes up: vectors in a prompt's slots, the vocabulary they may be drawn from, and what they denoise.

A prompt with slots is a list of token ids in which None stands for a slot. Gradients are taken with respect to the
attacker's own variables alone (``torch.autograd.grad``), so a model's weights, their gradients and flags stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput, NotYetSupported

if TYPE_CHECKING:
    import torch

    from ..models._prompts import Embedded

Slotted = Sequence[int | None]


def word_ids(model: Any, prompt: str) -> list[int]:
    """A prompt's word tokens, without start, end and padding."""
    read = model.tokens(prompt)
    return [read.ids[i] for i in read.words]


def replaced(model: Any, prompt: str, phrase: str) -> list[int | None]:
    """The prompt with one slot in place of the phrase's last occurrence, or at its end when it is not in it."""
    ids: list[int | None] = list(word_ids(model, prompt))
    span = model.span(prompt, phrase)
    if not span:
        return [*ids[: room(model) - 1], None]
    return [*ids[: span.start - 1], None, *ids[span.stop - 1 :]]


def room(model: Any) -> int:
    """Word tokens a prompt can have."""
    return int(model.tokenizers[0].model_max_length) - 2


@dataclass(frozen=True, eq=False)
class Slots:
    """Prompts with the same number of slots each."""

    ids: list[torch.Tensor]  # (B, L) an encoder
    where: torch.Tensor  # (B, k) positions

    @classmethod
    def of(cls, model: Any, rows: Sequence[Slotted]) -> Slots:
        """Raises BadInput when a row is too long, NotYetSupported when the encoders read different vocabularies."""
        import torch

        one_vocabulary(model)
        ids, width = [], room(model) + 2
        if any(len(row) > width - 2 for row in rows):
            raise BadInput(
                f"a prompt with the attacker's words is longer than the {width - 2} tokens the encoder reads"
            )
        for tokenizer in model.tokenizers:
            pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
            full = [[tokenizer.bos_token_id, *(i or 0 for i in row), tokenizer.eos_token_id] for row in rows]
            padded = [row + [pad] * (width - len(row)) for row in full]
            ids.append(torch.tensor(padded, dtype=torch.long, device=model.device))
        where = [[1 + at for at, i in enumerate(row) if i is None] for row in rows]
        return cls(ids, torch.tensor(where, dtype=torch.long, device=model.device))

    def rows(self, indices: Any) -> Slots:
        return Slots([part[indices] for part in self.ids], self.where[indices])

    def embed(self, model: Any, vectors: Sequence[torch.Tensor]) -> Embedded:
        """The prompts with (B, k, e) vectors, one tensor an encoder, in their slots; then guards, as for any prompt."""
        return model.guarded(model.encode_ids(self.ids, None, list(vectors), self.where))


def one_vocabulary(model: Any) -> None:
    first = model.tokenizers[0].get_vocab()
    if any(t.get_vocab() != first for t in model.tokenizers[1:]):
        raise NotYetSupported("made-up words in a model whose text encoders read different vocabularies")


def tables(model: Any, ids: torch.Tensor | None = None) -> list[torch.Tensor]:
    """Token embeddings, (V, e) an encoder, of some tokens or all."""
    found = [e.get_input_embeddings().weight.detach().float() for e in model.encoders]
    return [table if ids is None else table[ids] for table in found]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Words an attacker may type: each is one token, and is read back as that token."""

    words: tuple[str, ...]
    ids: torch.Tensor  # (V,)


def vocabulary(model: Any, without: str) -> Vocabulary:
    """Every word of letters and digits that is a token of its own, but those that give ``without`` away.

    Left out: the phrase's own tokens, words that contain one of its words, and pieces of three or more letters of them.
    Raises BadInput when none is left.
    """
    import torch

    one_vocabulary(model)
    tokenizer = model.tokenizers[0]
    special = set(tokenizer.all_special_ids) | set(word_ids(model, without))
    named = [w for w in without.lower().split() if w]
    ends = [(p.removesuffix("</w>"), i) for p, i in tokenizer.get_vocab().items() if p.endswith("</w>")]
    open_to = sorted(
        (w, i) for w, i in ends if i not in special and w.isascii() and w.isalnum() and not _betrays(w, named)
    )
    read = tokenizer([w for w, _ in open_to], add_special_tokens=False)["input_ids"] if open_to else []
    kept = [(w, i) for (w, i), ids in zip(open_to, read, strict=True) if list(ids) == [i]]
    if not kept:
        raise BadInput("the tokenizer has no word of its own besides the concept: there is nothing to search")
    return Vocabulary(tuple(w for w, _ in kept), torch.tensor([i for _, i in kept], device=model.device))


def _betrays(word: str, named: Sequence[str]) -> bool:
    """Does a word contain a word of the phrase, or is it a piece of one?

    >>> [_betrays(word, ["ring"]) for word in ("earring", "rin", "in", "red")]
    [True, True, False, False]
    """
    return any(n in word or (len(word) >= 3 and word in n) for n in named)


def predicted(model: Any, embedded: Embedded, x: torch.Tensor, t: Any, steps: int, guidance: float) -> torch.Tensor:
    """What the attacked model answers at x_t: its conditional output, or the guided one of a sampling run behind a guard.

    Behind a guard ``t`` is one number for all rows, and stands at the nearest of the run's ``steps`` steps.
    """
    if not model.guards:
        return model.output(x, t, embedded)
    grid = model.schedule.timesteps(steps)
    i = min(range(len(grid)), key=lambda j: abs(grid[j] - int(t)))
    return model.steer(embedded, guidance, steps)(x, i, int(t))


def denoising_loss(
    model: Any, embedded: Embedded, clean: torch.Tensor, t: Any, noise: torch.Tensor, steps: int, guidance: float
) -> torch.Tensor:
    """|| y - y_theta(x_t, t, c) ||^2 / entries, a row: (B,); y is what the network was trained to say, noise or v."""
    x = model.schedule.noised(clean, t, noise)
    a = model.schedule.alpha(t, clean)
    target = noise if model.schedule.prediction == "epsilon" else a.sqrt() * noise - (1 - a).sqrt() * clean
    return (predicted(model, embedded, x, t, steps, guidance) - target).square().flatten(1).mean(1)


def some_times(model: Any, n: int, generator: torch.Generator) -> Any:
    """Training timesteps: one a row, uniform; behind a guard one for all rows, since a guard reads one step at a time."""
    import torch

    if model.guards:
        return int(torch.randint(model.schedule.steps, (1,), generator=generator))
    return torch.randint(model.schedule.steps, (n,), generator=generator).to(model.device)


def some_noise(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Standard normal noise, the same on every device."""
    import torch

    return torch.randn(like.shape, generator=generator).to(like.device)


def ascend(variables: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], optimiser: Any) -> None:
    """One optimiser step on gradients that were taken by hand; what is not finite does not move."""
    for variable, gradient in zip(variables, gradients, strict=True):
        variable.grad = gradient.nan_to_num(0.0, 0.0, 0.0)
    optimiser.step()


def simplex(rows: torch.Tensor) -> torch.Tensor:
    """The nearest point of {u >= 0, sum u = 1} to each row: (..., V), by bisection on tau in sum max(u - tau, 0) = 1.

    The last step solves for tau on the entries found above it, so that the sum is 1 to rounding and not to the
    bisection's tolerance.

    >>> import torch
    >>> simplex(torch.tensor([[0.75, 0.5, -1.0]])).tolist()
    [[0.625, 0.375, 0.0]]
    """
    import torch

    u = rows.double()
    low, high = u.amax(-1, keepdim=True) - 1, u.amax(-1, keepdim=True)
    for _ in range(50):
        middle = (low + high) / 2
        above = (u - middle).clamp(min=0).sum(-1, keepdim=True) > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    support = u > low
    tau = ((u * support).sum(-1, keepdim=True) - 1) / support.sum(-1, keepdim=True)
    return (u - tau).clamp(min=0).to(rows.dtype)
