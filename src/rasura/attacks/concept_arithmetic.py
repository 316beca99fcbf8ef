"""Do the directions of innocent prompts add up to the one that was erased?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.errors import BadInput, NeedsRole
from ..core.registry import method
from ..core.types import Budget, Recovered, Request, Samples
from ..models import _prompts
from ..observations.generated_images import to_bytes
from . import _drawing

if TYPE_CHECKING:
    import torch

    from ..models._prompts import Embedded

Recipe = tuple[list[int], np.ndarray]  # prompts of the bank, their weights


@method(paper="arXiv:2404.13706")
@dataclass(frozen=True)
class ConceptArithmetic:
    """Share of pictures that show the concept when prompts that never name it are added up in its place.

        output = u + w sum_i w_i (c_i - u)
        w_i    = argmin  E_{x, t} || g_0(x, t, P) - sum_i w_i g_0(x, t, c_i) ||^2 / entries  +  ridge ||w||^2 mean_i G_ii

    with g_0(x, t, c) = y_0(x, t, c) - y_0(x, t, empty) the text direction of ``before``, P the forget prompt, c_i the
    outputs for ``terms`` prompts of a bank, w the guidance and G_ij the mean product of directions i and j. The bank
    holds up to ``bank`` distinct retain prompts, drawn by seed, that do not name the concept and do not show it. Terms
    are chosen greedily, each time the one that lowers the error most (all weights fitted anew), which is what keeps a
    recipe short. Points (x, t) are ``points`` places on the paths by which ``before`` draws forget prompts. The weights are
    then used on the attacked model as they are: no gradient, no training, and no prompt that an eraser was told.

        score = share of ``pictures`` pictures in which the judge sees what the record shows.

    With a rich bank a model that never saw the concept draws it too, from parts: judge by the retrained model. Behind
    guards each prompt is guided by them, and their guided directions are added up. NeedsRole without ``before``; BadInput
    without judge or concept, without retain prompts for a bank, or with a budget too small.

    Source: Petsiuk and Saenko, "Concept arithmetics for circumventing concept inhibition in diffusion models", ECCV 2024:
    the composition and its purpose. Its recipes are made by hand; fitting weights on a bank is of this package.

    By hand: two orthonormal directions and a target .8 a - .6 b, no ridge: weights .8 and -.6 (``fitted``).
    """

    terms: int = 4
    bank: int = 24
    ridge: float = 0.01
    points: int = 40
    pictures: int = 4
    draw_steps: int = 20
    guidance: float = 4.0

    modality: ClassVar[str] = "images"
    access: ClassVar[str] = "grey-box"
    testbed_settings: ClassVar[Mapping[str, Any]] = {"draw_steps": 10}
    testbed_reason: ClassVar[str] = "8 x 8 pictures are as good after 10 steps as after 20"

    def __post_init__(self) -> None:
        if min(self.terms, self.bank, self.points, self.pictures) < 1 or not self.ridge >= 0:
            raise BadInput(
                "concept_arithmetic: terms, bank, points and pictures must be at least 1, ridge not negative"
            )

    def attack(self, model: Any, request: Request, budget: Budget, *, seed: int = 0, before: Any = None) -> Recovered:
        """Fit on ``before``, draw with the model."""
        concept = _drawing.need_concept(request, "concept_arithmetic")
        if before is None:
            raise NeedsRole("concept_arithmetic", "before")
        bank, samples = self._bank(model, request, concept, seed), request.forget
        n, rows = len(samples), _drawing.branches(model) if model.guards else 1
        walk = _drawing.branches(before) * self.draw_steps * self._paths(n)
        plan = _drawing.plan(
            budget,
            n,
            pictures=self.pictures,
            a_picture=rows * (self.terms + 1) * self.draw_steps,
            once=walk + self.points * (n + len(bank) + 1),
        )
        with _drawing.counted(model, before) as counter:
            recipes, left = self._recipes(before, samples, bank, seed)
            drawn = np.stack(
                [self._drawn(model, samples.take([i]), bank, recipes[i], plan.pictures, seed) for i in range(n)]
            )
        score = _drawing.judged(request, samples, drawn)
        lines = (
            f"{self.terms} of {len(bank)} prompts added up: {_drawing.shown_line(score, plan.pictures)}",
            f"share of the direction left unexplained on the model before: {left.mean():.2f}",
        )
        return Recovered(score, lines, Budget(0, counter.rows, n * plan.pictures), drawn)

    def _bank(self, model: Any, request: Request, concept: str, seed: int) -> list[str]:
        innocent = request.retain.where(lambda s: s.shows != concept and not model.span(s.text, concept))
        texts = list(dict.fromkeys(t for t in innocent.texts if t.strip()))
        if not texts:
            raise BadInput("concept_arithmetic: no retain prompt is free of the concept; give some (--retain)")
        drawn = np.random.default_rng(seed).permutation(len(texts))[: self.bank]
        return [texts[i] for i in sorted(drawn)]

    def _paths(self, n: int) -> int:
        return min(n, max(1, self.points // 4))

    def _recipes(self, before: Any, samples: Samples, bank: list[str], seed: int) -> tuple[list[Recipe], np.ndarray]:
        """A recipe a forget prompt, and what it leaves unexplained of its direction."""
        import torch

        generator = np.random.default_rng(seed)
        with torch.no_grad():
            texts = _prompts.join([before.nothing(1), before.embed(bank), before.embed(samples.texts)])
            places = self._places(before, samples, generator)
            entries = float(np.prod(before.latent_shape))
            gram = np.zeros((len(texts) - 1,) * 2)
            for x, t in places:
                outputs = _at_one_point(before, x, t, texts).flatten(1).double()
                g = (outputs[1:] - outputs[0]).cpu().numpy()
                gram += g @ g.T / entries / len(places)
        k = len(bank)
        recipes = [
            fitted(gram[:k, :k], gram[:k, k + i], gram[k + i, k + i], self.terms, self.ridge)
            for i in range(len(samples))
        ]
        return [(terms, weights) for terms, weights, _ in recipes], np.array([left for *_, left in recipes])

    def _places(self, before: Any, samples: Samples, generator: np.random.Generator) -> list[tuple[torch.Tensor, int]]:
        """``points`` latents x_t from drawing forget prompts, spread over prompts and steps."""
        paths = self._paths(len(samples))
        which = sorted(generator.permutation(len(samples))[:paths].tolist())
        seen: list[tuple[torch.Tensor, int]] = []

        def watch(_i: int, t: int, x: torch.Tensor, _output: torch.Tensor) -> None:
            seen.extend((row[None], t) for row in x)

        seeds = [int(s) for s in generator.integers(2**31, size=paths)]
        embedded = before.embed([samples[i].text for i in which])
        before.sample(embedded, seeds, steps=self.draw_steps, guidance=self.guidance, watch=watch)
        order = generator.permutation(len(seen))[: self.points]
        return [seen[i] for i in sorted(order.tolist())]

    def _drawn(self, model: Any, sample: Samples, bank: list[str], recipe: Recipe, n: int, seed: int) -> np.ndarray:
        """``n`` pictures of one recipe: (n, H, W, 3)."""
        import torch

        terms, weights = recipe
        with torch.no_grad():
            texts = _prompts.join([model.nothing(1), model.embed([bank[i] for i in terms])])
            x = model.start([_drawing.picture_seed(sample[0].text, seed, k) for k in range(n)])
            w = torch.tensor([float(v) for v in weights], device=x.device)[:, None, None, None, None]
            answer = self._answering(model, texts, n)
            for i, t in enumerate(model.schedule.timesteps(self.draw_steps)):
                outputs = answer(x, i, t)  # (1 + terms, n, c, h, w), the empty prompt's first
                output = outputs[0] + (w * (outputs[1:] - outputs[0])).sum(0)
                x = model.schedule.move(output, x, t, model.schedule.before(t, self.draw_steps))
            return to_bytes(model.decode(x))

    def _answering(self, model: Any, texts: Embedded, n: int) -> Any:
        """Outputs of all texts at the same x, each already stretched by the guidance."""
        import torch

        embedded, k = texts.repeat(n), len(texts)
        if model.guards:
            steer = model.steer(embedded, self.guidance, self.draw_steps)
            return lambda x, i, t: steer(torch.cat([x] * k), i, t).unflatten(0, (k, n))

        def plain(x: torch.Tensor, _i: int, t: int) -> torch.Tensor:
            outputs = model.output(torch.cat([x] * k), t, embedded).unflatten(0, (k, n))
            return outputs[:1] + self.guidance * (outputs - outputs[:1])

        return plain


def _at_one_point(model: Any, x: torch.Tensor, t: int, texts: Embedded) -> torch.Tensor:
    """Outputs of all texts at one x_t, in passes the model's size allows."""
    import torch

    size = _drawing.at_once(model)
    parts = [texts.rows(range(low, min(low + size, len(texts)))) for low in range(0, len(texts), size)]
    return torch.cat([model.output(x.expand(len(p), -1, -1, -1), t, p) for p in parts])


def fitted(
    gram: np.ndarray, products: np.ndarray, norm: float, terms: int, ridge: float
) -> tuple[list[int], np.ndarray, float]:
    """(terms, weights, share of ||target||^2 unexplained) by greedy selection, from inner products alone.

    ``gram`` (k, k) of the bank, ``products`` (k,) of bank and target, ``norm`` the target's squared norm.

    >>> terms, weights, left = fitted(np.eye(2), np.array([0.8, -0.6]), 1.0, 2, 0.0)
    >>> terms, weights.round(6).tolist(), round(abs(left), 6)
    ([0, 1], [0.8, -0.6], 0.0)
    """
    shrink = ridge * float(np.diag(gram).mean())

    def solve(chosen: list[int]) -> tuple[np.ndarray, float]:
        part = gram[np.ix_(chosen, chosen)]
        weights = np.linalg.lstsq(part + shrink * np.eye(len(chosen)), products[chosen], rcond=None)[0]
        return weights, float(norm - 2 * weights @ products[chosen] + weights @ part @ weights)

    chosen: list[int] = []
    for _ in range(min(terms, len(gram))):
        rest = [i for i in range(len(gram)) if i not in chosen]
        chosen = [*chosen, min(rest, key=lambda i: solve([*chosen, i])[1])]
    weights, left = solve(chosen)
    return chosen, weights, left / norm if norm > 0 else float("nan")
