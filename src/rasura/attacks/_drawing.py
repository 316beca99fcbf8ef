"""What attacks on text-to-image models share: drawing, judging what was drawn, and what may be spent on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.errors import BadInput
from ..core.types import Budget, Request, Samples
from ..observations.generated_images import picture_seed, to_bytes

if TYPE_CHECKING:
    from ..models._prompts import Embedded

AT_ONCE = 32768  # latent positions in one forward pass: 8 latents of Stable Diffusion, 512 of a testbed's
FRESH = 1000  # pictures that only steer a search start from other noise than those that are scored


def draw(model: Any, embedded: Embedded, seeds: Sequence[int], steps: int, guidance: float) -> np.ndarray:
    """One picture a row of ``embedded``, row i from the noise of ``seeds[i]``: (B, H, W, 3) uint8."""
    import torch

    size, parts = at_once(model), []
    with torch.no_grad():
        for at in range(0, len(seeds), size):
            rows = range(at, min(at + size, len(seeds)))
            latents = model.sample(embedded.rows(rows), [seeds[i] for i in rows], steps=steps, guidance=guidance)
            parts.append(to_bytes(model.decode(latents)))
    return np.concatenate(parts)


def at_once(model: Any, rows: int = 1) -> int:
    """How many samples of ``rows`` latents each go into one pass."""
    _, height, width = model.latent_shape
    return max(1, AT_ONCE // (height * width * rows))


def draw_each(
    model: Any, embedded: Embedded, samples: Samples, n: int, *, seed: int, steps: int, guidance: float, first: int = 0
) -> np.ndarray:
    """``n`` pictures a sample from its row of ``embedded``: (samples, n, H, W, 3) uint8.

    Picture k starts from the noise that ``GeneratedImages`` gives (text, ``seed``, ``first`` + k), on every model the same.
    """
    seeds = [picture_seed(s.text, seed, first + k) for s in samples for k in range(n)]
    flat = draw(model, embedded.repeat(n), seeds, steps, guidance)
    return flat.reshape(len(samples), n, *flat.shape[1:])


def judged(request: Request, samples: Samples, pictures: np.ndarray) -> np.ndarray:
    """Share of each sample's pictures (n, k, H, W, 3) in which the judge sees what the sample shows: (n,) float64.

    What a sample shows is its ``shows``, else the request's concept; NaN where neither is known. Raises BadInput without
    a judge, and when the judge does not know the class.
    """
    import torch

    need_judge(request)
    score = np.full(len(samples), np.nan)
    shows = [s.shows or request.concept or "" for s in samples]
    for what in dict.fromkeys(w for w in shows if w):
        rows = [i for i, w in enumerate(shows) if w == what]
        flat = pictures[rows].reshape(-1, *pictures.shape[2:])
        as_tensor = torch.from_numpy(flat).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            seen = request.judge.sees(as_tensor, what)
        score[rows] = np.asarray(seen.cpu(), dtype=np.float64).reshape(len(rows), -1).mean(1)
    return score


def need_judge(request: Request) -> None:
    """Raises BadInput, before anything is spent."""
    if request.judge is None:
        raise BadInput("no judge was given to say what a picture shows: pass --judge (in Python: Request(judge=...))")


def need_concept(request: Request, attack: str) -> str:
    """The phrase the attack is to bring back. Raises BadInput when the request is for pictures, or has no judge."""
    if not request.concept:
        raise BadInput(f"{attack}: the request names no concept to bring back: pass --concept")
    need_judge(request)
    return request.concept


@contextmanager
def counted(*models: Any) -> Iterator[Counter]:
    """Latents that go through these models' U-Nets while the block runs."""
    counter = Counter()
    unets = {id(m.unet): m.unet for m in models if m is not None}
    hooks = [u.register_forward_pre_hook(counter.see, with_kwargs=True) for u in unets.values()]
    try:
        yield counter
    finally:
        for hook in hooks:
            hook.remove()


class Counter:
    """Rows seen so far."""

    def __init__(self) -> None:
        self.rows = 0

    def see(self, _module: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.rows += len(inputs[0] if inputs else named["sample"])


class Plan(NamedTuple):
    """What a search of ``steps`` optimiser steps a sample may do."""

    steps: int
    pictures: int  # scored, a sample
    checks: int  # times a search looks at one picture a sample


def plan(
    budget: Budget,
    n: int,
    *,
    steps: int = 0,
    pictures: int,
    checks: int = 0,
    a_step: int = 0,
    a_picture: int,
    once: int = 0,
    drawn_once: int = 0,
) -> Plan:
    """Cut an attack on ``n`` samples to a budget; 0 in the budget is no limit. Raises BadInput when nothing fits.

    ``a_step``, ``a_picture``: queries a sample of an optimiser step and of a picture; ``once``, ``drawn_once``: queries and
    pictures before all that, over all samples. ``steps``, ``pictures`` and ``checks`` are what the attack does unlimited.

    By hand: two samples, 10 steps of 3 queries, 4 pictures of 40 queries need 2 * (30 + 160) = 380. With 190 a sample
    has 95: one step at least (3) leaves 92, which is 2 pictures; the 15 over are 5 steps.

    >>> plan(Budget(queries=190), 2, steps=10, pictures=4, a_step=3, a_picture=40)
    Plan(steps=5, pictures=2, checks=0)
    """
    fewest = min(1, steps)
    if budget.steps and steps:
        steps = min(steps, budget.steps // n)
    if budget.samples:
        each = (budget.samples - drawn_once) // n
        pictures = min(pictures, each - each // 2 if checks else each)
        checks = min(checks, each - pictures)
    if budget.queries:
        each = (budget.queries - once) // n
        pictures = min(pictures, (each - fewest * a_step) // a_picture)
        left = each - pictures * a_picture - fewest * a_step
        checks = min(checks, left // (2 * a_picture)) if checks else 0
        if a_step:
            steps = min(steps, (each - (pictures + checks) * a_picture) // a_step)
    if pictures < 1 or steps < fewest:
        raise BadInput(
            f"a budget of {_words(budget)} is too small: this attack needs at least {fewest * n} steps, "
            f"{once + n * (fewest * a_step + a_picture)} queries and {drawn_once + n} pictures for these records"
        )
    return Plan(steps, pictures, max(0, checks))


def _words(budget: Budget) -> str:
    named = [(budget.steps, "steps"), (budget.queries, "queries"), (budget.samples, "pictures")]
    return ", ".join(f"{value} {name}" for value, name in named if value)


def branches(model: Any) -> int:
    """Rows of the U-Net one guided output takes at most: two, three behind a guard."""
    return 3 if model.guards else 2


def shown_line(score: np.ndarray, pictures: int) -> str:
    """One line of evidence.

    >>> shown_line(np.array([1.0, 0.5, np.nan]), 4)
    'shown in 6 of 8 pictures (2 prompts)'
    """
    known = score[~np.isnan(score)]
    return f"shown in {math.floor(known.sum() * pictures + 0.5)} of {len(known) * pictures} pictures ({len(known)} prompts)"


def blank_rows(n: int, where: Sequence[int], drawn: np.ndarray) -> np.ndarray:
    """Pictures of some of ``n`` samples, black for the others: (n, k, H, W, 3)."""
    full = np.zeros((n, *drawn.shape[1:]), dtype=np.uint8)
    full[list(where)] = drawn
    return full


def halves(n: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """(shown to the attacker, held out): by seed, at least one of each; n >= 2.

    >>> [tuple(map(len, halves(8, share, 0))) for share in (0.5, 0.01, 1.0)]
    [(4, 4), (1, 7), (7, 1)]
    """
    order = np.random.default_rng(seed).permutation(n)
    k = int(np.clip(round(share * n), 1, n - 1))
    return sorted(order[:k].tolist()), sorted(order[k:].tolist())
