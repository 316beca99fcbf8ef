"""A negative prompt that acts only where the picture moves towards the concept (safe latent diffusion)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Request
from ..observations._engine import Engine, Progress, quiet
from ._math import Guarded, phrase_of, rows_of, scaled_steps, three_outputs

if TYPE_CHECKING:
    import torch

    from ..models._prompts import Embedded
    from ..models.text_to_image import Steer

PRESETS = {  # warm-up in steps of 50, s_S, lambda, s_m, beta: the authors'
    "weak": (15.0, 200.0, 0.0, 0.0, 0.0),
    "medium": (10.0, 1000.0, 0.01, 0.3, 0.4),
    "strong": (7.0, 2000.0, 0.025, 0.5, 0.7),
    "max": (0.0, 5000.0, 1.0, 0.5, 0.7),
}
FIELDS = ("warm_up", "scale", "threshold", "momentum", "decay")


def safety_term(
    u: torch.Tensor, c: torch.Tensor, s: torch.Tensor, nu: torch.Tensor, guard: Sld
) -> tuple[torch.Tensor, torch.Tensor]:
    """(gamma, next nu) from predicted noise for nothing, prompt and phrase, and the momentum so far.

    By hand, scale 10, lambda .5, s_m = 1, beta = .75: c - s = .05 gives mu = .5 and gamma = .5 (s - u) + nu;
    c - s = .6 is above lambda, so mu = 0 and only the momentum is left.

    >>> import torch
    >>> guard = Sld(warm_up=0, scale=10, threshold=0.5, momentum=1, decay=0.75)
    >>> u, c, s = torch.zeros(2), torch.tensor([1.05, 1.6]), torch.ones(2)
    >>> [[round(float(v), 4) for v in part] for part in safety_term(u, c, s, torch.full((2,), 0.2), guard)]
    [[0.7, 0.2], [0.325, 0.2]]
    """
    import torch

    apart = c - s
    mu = (apart.abs() * guard.scale).clamp(max=1.0)
    mu = torch.where(apart >= guard.threshold, torch.zeros_like(mu), mu)
    gamma = mu * (s - u) + guard.momentum * nu
    return gamma, guard.decay * nu + (1 - guard.decay) * gamma


@method(paper="arXiv:2211.05105")
@dataclass(frozen=True)
class Sld:
    """Guidance corrected by the direction of a safety phrase, entry by entry, where the prompt is close to it.

        mu    = min(1, s_S |c - s|), and 0 where c - s >= lambda
        gamma = mu (s - u) + s_m nu,        nu <- beta nu + (1 - beta) gamma      (nu = 0 at first)
        eps~  = u + w (c - u - gamma)       from step ``warm_up`` on; plain guidance before, nu updated all the time

    with c, u, s the predicted noise for the prompt, the empty prompt and ``phrase`` (None: the request's concept), w the
    guidance of the run; s_S = ``scale``, lambda = ``threshold``, s_m = ``momentum``, beta = ``decay``. Differences are in
    units of predicted noise also where the network predicts v, so that s_S and lambda mean the same everywhere.
    ``warm_up`` counts steps of a run of 50 and is scaled to the run's own number.

    ``preset`` sets what is not set by itself, (warm_up, s_S, lambda, s_m, beta): weak (15, 200, 0, 0, 0), medium (10, 1000, .01,
    .3, .4), strong (7, 2000, .025, .5, .7), max (0, 5000, 1, .5, .7). Three rows a step. The momentum belongs to one run
    and starts anew with the next. Without gamma (scale and momentum 0) this is plain guidance. BadInput when warm_up,
    scale or momentum is negative or decay is outside [0, 1), and without a phrase.

    Source: Schramowski, Brack, Deiseroth and Kersting, "Safe latent diffusion: mitigating inappropriate degeneration in
    diffusion models", CVPR 2023. Public code of an attack compares the warm-up with the scheduler's timestep instead of
    the number of the step, which switches the guard on or off for whole runs; here it is the number of the step.

    By hand: see ``safety_term``.
    """

    preset: Literal["weak", "medium", "strong", "max"] = "medium"
    phrase: str | None = None
    warm_up: float | None = None
    scale: float | None = None
    threshold: float | None = None
    momentum: float | None = None
    decay: float | None = None

    modality: ClassVar[str] = "images"
    suppression: ClassVar[bool] = True
    testbed_settings: ClassVar[Mapping[str, Any]] = {"preset": "strong"}
    testbed_reason: ClassVar[str] = "a testbed draws its concept for every prompt; weak and medium leave that so"
    costs_the_rest: ClassVar[tuple[str, float]] = (
        "on a testbed the concept is one of four colours: pushed away from it, a neighbouring colour is pushed off as well",
        0.5,
    )

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise BadInput(f"sld: preset is '{self.preset}', expected one of {', '.join(PRESETS)}")
        for name, low in (("warm_up", 0.0), ("scale", 0.0), ("momentum", 0.0), ("decay", 0.0)):
            value = getattr(self, name)
            if value is not None and not low <= value < (1.0 if name == "decay" else float("inf")):
                raise BadInput(
                    f"sld: {name} is {value}, expected {'0 <= decay < 1' if name == 'decay' else '0 or more'}"
                )

    def resolved(self) -> Sld:
        """Every number written out: what is in force, and what a fingerprint sees."""
        given = zip(FIELDS, PRESETS[self.preset], strict=True)
        return replace(self, **{name: value for name, value in given if getattr(self, name) is None})

    def apply(self, model: Any, request: Request, *, seed: int = 0) -> Any:
        """A guarded handle on the same weights; nothing is drawn, so ``seed`` has no effect. Raises BadInput."""
        phrase = phrase_of(self.phrase, request, "sld")
        model.tokens(phrase)  # refused here, not in the middle of sampling
        return model.with_guard(replace(self.resolved(), phrase=phrase))

    def run(
        self,
        model: Any,
        request: Request,
        *,
        seed: int = 0,
        engine: Engine | None = None,
        checkpoint: Path | None = None,
        progress: Progress = quiet,
    ) -> Guarded:
        """As ``apply``, with its story."""
        return Guarded(self.apply(model, request, seed=seed))

    def steer(self, model: Any, embedded: Embedded, guidance: float, steps: int) -> Steer:
        """How one run of ``steps`` steps is guided; the momentum lives in it."""
        import torch

        guard = self.resolved()
        away = rows_of(model, self.phrase or "", len(embedded))
        first = scaled_steps(guard.warm_up or 0.0, steps)
        nu: torch.Tensor | None = None

        def guided(x: torch.Tensor, i: int, t: int) -> torch.Tensor:
            nonlocal nu
            u, c, s = three_outputs(model, x, t, embedded, away)
            unit = model.schedule.noise_scale(t, x)  # outputs to predicted noise, differences only
            nothing = torch.zeros_like(x)
            gamma, after = safety_term(nothing, unit * (c - u), unit * (s - u), nothing if nu is None else nu, guard)
            nu = after.detach()
            if i < first:
                gamma = nothing
            return u + guidance * (c - u - gamma / unit.clamp(min=1e-8))

        return guided
