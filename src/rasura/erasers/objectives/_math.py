"""Mathematics that objectives share: one joined forward, cross-entropy, divergences. Never a padded position in a mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.errors import BadInput
from ...core.types import Samples

if TYPE_CHECKING:
    import torch

    from ...models.causal_lm import Scored

VARIANTS = ("paper", "open-unlearning")


def score_both(model: Any, forget: Samples, retain: Samples, *, distributions: bool = False) -> tuple[Scored, Scored]:
    """Forget and retain in one forward pass."""
    return model.score(Samples([*forget, *retain]), distributions=distributions).split(len(forget))


def cross_entropy(scored: Scored) -> torch.Tensor:
    """Mean over the scored tokens of the batch of -log p: nats a token, long records weigh more."""
    return -scored.token_mean()


def divergence(reference: torch.Tensor, log_p: torch.Tensor) -> torch.Tensor:
    """KL(p_ref || p) of each row of log-probabilities: (N, V) and (N, V) to (N,), nats.

    >>> import torch
    >>> even, tilted = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])
    >>> round(float(divergence(even.log(), tilted.log())), 4)  # 0.5 ln 2 + 0.5 ln (2 / 3)
    0.1438
    """
    import torch

    terms = reference.exp() * (reference - log_p)
    return torch.where(reference > -torch.inf, terms, torch.zeros_like(terms)).sum(-1)


def divergence_everywhere(model: Any, frozen: Any, samples: Samples) -> torch.Tensor:
    """The mean of KL(p_ref || p) over all B * T positions, prompt and padding included: what open-unlearning computes.

    Here only to agree with published numbers: its size depends on how much padding a batch happens to have.
    """
    import torch

    encoded = [model.encode(s) for s in samples]
    log_p = torch.log_softmax(model.logits(model.last_hidden(encoded)), dim=-1)
    with torch.no_grad():
        reference = torch.log_softmax(frozen.model.logits(frozen.model.last_hidden(encoded)), dim=-1)
    return divergence(reference.flatten(0, 1), log_p.flatten(0, 1)).mean()


def check_variant(variant: str, known: tuple[str, ...] = VARIANTS) -> None:
    """Raises BadInput on a formula nobody published."""
    if variant not in known:
        raise BadInput(f"variant '{variant}': expected {' or '.join(known)}")
