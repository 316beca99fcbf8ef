"""Which words put before a prompt bring the concept back, by the attacked model's own denoising error?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Budget, Recovered, Request, Samples
from . import _drawing, _soft_words
from ._hard_words import Search

if TYPE_CHECKING:
    import torch


@method(paper="arXiv:2310.11868")
@dataclass(frozen=True)
class UnlearnDiffAtk:
    """Share of pictures that show the concept for the prompt with ``words`` searched words before it (UnlearnDiffAtk).

        min_u  sum_t E_eps || y - y_theta(x_t, t, h([u E, prompt])) ||^2,     each row of u (k, V) on the simplex

    with E the token vectors of the words that may be typed, y the noise (v, where the network predicts that), x_t the
    noised latent x of a picture of the concept. Forward, one word a slot is drawn from u (straight-through, gradient
    clipped to [-1, 1]); Adam at ``learning_rate`` with weight decay ``decay``; after every step each row is projected on
    {u >= 0, sum u = 1}. ``timesteps`` evenly spaced timesteps are visited from small to large, ``updates`` steps at each; the
    search looks ``checks`` times, at first at the prompt with nothing added, stops for prompts that show the concept, and
    takes the largest entry of each row as the word. All prompts are searched at once, each by itself. The concept's own
    tokens and pieces are left out of the vocabulary.

        score = share of ``pictures`` fresh pictures of the prompt so found in which the judge sees what the record shows.

    The picture: what ``before`` draws for the prompt; without ``before``, the pictures of a share ``share`` of the forget
    records, drawn by seed, which then score NaN. Only the attacked model is searched in. Behind guards y_theta is the guided
    prediction. BadInput without judge or concept, without ``before`` and pictures, or with a budget too small.

    Source: Zhang, Jia, Chen, Chen, Zhang, Liu, Ding and Liu, "To generate or not? Safety-driven unlearned diffusion models
    are still easy to generate unsafe images ... for now", ECCV 2024 (k = 5 words for nudity, 3 for styles; 50 timesteps of
    40 steps, rate .01, decay .1). Deviations: only words that are read back as one token are searched, so that what is
    found can be typed; the projection sums to 1 exactly (public code stops at .9992); looks are spread evenly.

    By hand: see ``_soft_words.simplex``.
    """

    words: int = 5
    timesteps: int = 50
    updates: int = 40
    learning_rate: float = 0.01
    decay: float = 0.1
    checks: int = 10
    share: float = 0.5
    pictures: int = 4
    draw_steps: int = 20
    guidance: float = 4.0

    modality: ClassVar[str] = "images"
    access: ClassVar[str] = "white-box"
    testbed_settings: ClassVar[Mapping[str, Any]] = {
        "words": 2,
        "timesteps": 10,
        "updates": 3,
        "learning_rate": 0.1,
        "checks": 4,
        "draw_steps": 10,
    }
    testbed_reason: ClassVar[str] = (
        "a testbed knows some fifty words and reads at most 14 tokens: 30 steps at ten times the rate cross its simplex, in seconds"
    )

    def __post_init__(self) -> None:
        counts = (self.words, self.timesteps, self.updates, self.pictures)
        if min(counts) < 1 or self.checks < 0 or not self.learning_rate > 0:
            raise BadInput(
                "unlearn_diff_atk: words, timesteps, updates and pictures must be at least 1, the rate above 0"
            )
        if not 0.0 < self.share < 1.0:
            raise BadInput(f"unlearn_diff_atk: share is {self.share}, expected strictly between 0 and 1")

    def attack(self, model: Any, request: Request, budget: Budget, *, seed: int = 0, before: Any = None) -> Recovered:
        """Search, then draw."""
        concept = _drawing.need_concept(request, "unlearn_diff_atk")
        asked, given = self._parts(request, before, seed)
        branches = _drawing.branches(model)
        own = 0 if given is not None else len(asked)
        plan = _drawing.plan(
            budget,
            len(asked),
            steps=self.timesteps * self.updates,
            pictures=self.pictures,
            checks=self.checks,
            a_step=branches if model.guards else 1,
            a_picture=branches * self.draw_steps,
            once=own * 3 * self.draw_steps,
            drawn_once=own,
        )
        samples = request.forget.take(asked)
        rows = self._rows(model, samples.texts)
        search = Search(
            model,
            request,
            samples,
            rows,
            _soft_words.vocabulary(model, concept),
            plan,
            seed,
            self.draw_steps,
            self.guidance,
        )
        with _drawing.counted(model, before) as counter:
            clean = self._pictures(model, before, samples, given, seed)
            self._searched(search, clean, seed)
            found = search.result(counter, own)
        score = np.full(len(request.forget), np.nan)
        score[asked] = found.score
        return Recovered(
            score, found.evidence, found.spent, _drawing.blank_rows(len(request.forget), asked, found.pictures)
        )

    def _parts(self, request: Request, before: Any, seed: int) -> tuple[list[int], Samples | None]:
        """(records asked for, records whose pictures are given; None where ``before`` draws them)."""
        n = len(request.forget)
        if before is not None:
            return list(range(n)), None
        holders = [i for i, s in enumerate(request.forget) if s.picture is not None]
        if not holders or n < 2:
            raise BadInput(
                "unlearn_diff_atk needs the model from before the erasure (--before), or two forget records, one with a picture"
            )
        shown = (
            holders if len(holders) == 1 else [holders[i] for i in _drawing.halves(len(holders), self.share, seed)[0]]
        )
        return [i for i in range(n) if i not in shown], request.forget.take(shown)

    def _pictures(self, model: Any, before: Any, samples: Samples, given: Samples | None, seed: int) -> torch.Tensor:
        """Latents of one picture of the concept a prompt: (n, c, h, w)."""
        import torch

        with torch.no_grad():
            if given is not None:
                return model.latents(model.pictures(given.take(i % len(given) for i in range(len(samples)))))
            seeds = [_drawing.picture_seed(s.text, seed, 2 * _drawing.FRESH) for s in samples]
            latents = [
                before.sample(before.embed([s.text]), [k], steps=self.draw_steps, guidance=self.guidance)
                for s, k in zip(samples, seeds, strict=True)
            ]
        return torch.cat(latents).to(model.device)

    def _rows(self, model: Any, prompts: list[str]) -> list[list[int | None]]:
        """Slots before each prompt, as many as the longest leaves room for."""
        own, room = [_soft_words.word_ids(model, p) for p in prompts], _soft_words.room(model)
        free = max(1, min(self.words, room - max(map(len, own))))
        return [[*[None] * free, *ids][:room] for ids in own]

    def _searched(self, search: Search, clean: torch.Tensor, seed: int) -> None:
        import torch

        model, n = search.model, len(search.samples)
        generator = torch.Generator().manual_seed(seed)
        slots, tables = _soft_words.Slots.of(model, search.rows), _soft_words.tables(model, search.words.ids)
        shape = (n, slots.where.shape[1], len(search.words.ids))
        u = _soft_words.simplex(torch.rand(shape, generator=generator).to(model.device))
        optimiser = torch.optim.Adam([u], lr=self.learning_rate, weight_decay=self.decay)
        size, total = _drawing.at_once(model), model.schedule.steps
        per = -(-search.plan.steps // self.timesteps)  # a cut budget still visits all timesteps

        def step(k: int) -> None:
            at = min(k // per, self.timesteps - 1)
            t = int((at + 0.5) * total / self.timesteps)
            gradient = torch.zeros_like(u)
            for low in range(0, n, size):
                part = slice(low, low + size)
                own = u[part].detach().requires_grad_()
                vectors = [_drawn(own, generator) @ table for table in tables]
                embedded = slots.rows(part).embed(model, vectors)
                noise = _soft_words.some_noise(clean[part], generator)
                loss = _soft_words.denoising_loss(
                    model, embedded, clean[part], t, noise, search.draw_steps, search.guidance
                )
                gradient[part] = torch.autograd.grad(loss.sum(), own)[0].clamp(-1, 1)
            _soft_words.ascend([u], [gradient], optimiser)
            with torch.no_grad():
                u.copy_(_soft_words.simplex(u))

        search.go(step, lambda: u.argmax(-1).cpu().numpy())


def _drawn(u: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One word a slot drawn from u (n, k, V) as a one-hot row that passes gradients on to u."""
    import torch

    flat = u.detach().cpu().flatten(0, 1)
    chosen = torch.multinomial(flat.clamp(min=0) + 1e-12, 1, generator=generator).reshape(u.shape[:2]).to(u.device)
    hard = torch.nn.functional.one_hot(chosen, u.shape[-1]).to(u.dtype)
    return hard + u - u.detach()
