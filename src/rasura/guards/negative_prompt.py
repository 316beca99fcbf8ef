"""Push the sampler away from a phrase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.errors import BadInput
from ..core.registry import method
from ..core.types import Request
from ..models import _prompts
from ..observations._engine import Engine, Progress, quiet
from ._math import Guarded, phrase_of, rows_of, three_outputs

if TYPE_CHECKING:
    import torch

    from ..models._prompts import Embedded
    from ..models.text_to_image import Steer


@method(paper="")
@dataclass(frozen=True)
class NegativePrompt:
    """Sampling guided away from a phrase, in place of away from the empty prompt.

        two terms:    output = n + w (c - n)
        three terms:  output = u + w (c - u) - w_n (n - u)

    with c, u, n the network's outputs for the prompt, the empty prompt and ``phrase`` (None: the request's concept; "":
    the empty prompt, which leaves plain guidance), w the guidance of the run and w_n = ``weight``. ``weight`` None is the
    two-term form, the common practice: no further cost, but where the prompt is close to the phrase c - n vanishes and
    so does all guidance. The three-term form keeps the empty prompt as the origin and costs a third row a step. Both
    coefficients sum to 1 or 0, so the sums are the same for epsilon and v prediction.

    In force on steps i with start <= i / S < stop, i counted from pure noise, S the number of steps; outside of that plain
    guidance. At w = 1 nothing is guided and the two-term form does nothing. BadInput unless 0 <= start < stop <= 1, w_n is
    finite, and a phrase is known.

    Source: common practice in text-to-image sampling; for erasing as a baseline see Schramowski, Brack, Deiseroth and
    Kersting, "Safe latent diffusion", 2023. The three-term form composes directions as in Liu, Li, Du, Torralba and
    Tenenbaum, "Compositional visual generation with composable diffusion models", 2022. ``start`` and ``stop`` are ours.

    By hand, u = 0, c = 1, n = .5, w = 4: two terms .5 + 4 * .5; three terms with w_n = 2: 4 - 1.

    >>> NegativePrompt().combined(0.0, 1.0, 0.5, 4.0), NegativePrompt(weight=2.0).combined(0.0, 1.0, 0.5, 4.0)
    (2.5, 3.0)
    """

    phrase: str | None = None
    weight: float | None = None
    start: float = 0.0
    stop: float = 1.0

    modality: ClassVar[str] = "images"
    suppression: ClassVar[bool] = True
    testbed_settings: ClassVar[Mapping[str, Any]] = {"weight": 4.0}
    testbed_reason: ClassVar[str] = (
        "a testbed draws its concept for every prompt, and without the empty prompt as origin the two-term form leaves that so; "
        "the three-term form at the weight of the guidance does not"
    )
    costs_the_rest: ClassVar[tuple[str, float]] = (
        "on a testbed the concept is one of four colours: pushed away from it, a neighbouring colour is pushed off as well",
        0.5,
    )

    def __post_init__(self) -> None:
        if not 0.0 <= self.start < self.stop <= 1.0:
            raise BadInput(
                f"negative_prompt: expected 0 <= start < stop <= 1 (shares of the run), got {self.start} and {self.stop}"
            )
        if self.weight is not None and not abs(self.weight) < float("inf"):
            raise BadInput(
                f"negative_prompt: weight is {self.weight}, expected a number, or none for the two-term form"
            )

    def apply(self, model: Any, request: Request, *, seed: int = 0) -> Any:
        """A guarded handle on the same weights; nothing is drawn, so ``seed`` has no effect. Raises BadInput."""
        phrase = phrase_of(self.phrase, request, "negative_prompt")
        model.tokens(phrase)  # refused here, not in the middle of sampling
        return model.with_guard(replace(self, phrase=phrase))

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
        """How one run of ``steps`` steps is guided."""
        away = rows_of(model, self.phrase or "", len(embedded))
        plain = model.classifier_free(embedded, guidance)

        def guided(x: torch.Tensor, i: int, t: int) -> torch.Tensor:
            if not self.start <= i / steps < self.stop:
                return plain(x, i, t)
            if self.weight is not None:
                u, c, n = three_outputs(model, x, t, embedded, away)
                return self.combined(u, c, n, guidance)
            n, c = _two(model, x, t, away, embedded)
            return self.combined(None, c, n, guidance)

        return guided

    def combined(self, u: Any, c: Any, n: Any, guidance: float) -> Any:
        """The formula above; ``u`` plays no part in the two-term form."""
        if self.weight is None:
            return n + guidance * (c - n)
        return u + guidance * (c - u) - self.weight * (n - u)


def _two(model: Any, x: torch.Tensor, t: Any, first: Embedded, second: Embedded) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs for two texts from one forward pass."""
    import torch

    twice = torch.as_tensor(t, device=model.device).reshape(-1).expand(len(x)).repeat(2)
    a, b = model.output(torch.cat([x, x]), twice, _prompts.join([first, second])).chunk(2)
    return a, b
