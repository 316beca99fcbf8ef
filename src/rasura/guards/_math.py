"""What the guards share: what ``run`` hands back, whose phrase is pushed away, and steps counted in fiftieths.

A guard changes no weight: what it suppresses is still in them, and whoever runs the model without the guard has it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput
from ..core.types import Request
from ..models import _prompts

if TYPE_CHECKING:
    import torch

    from ..models._prompts import Embedded

PUBLISHED_STEPS = 50  # sampling steps of the papers; what they count in steps is scaled by it


@dataclass(frozen=True)
class Story:
    """No step of training was taken."""

    steps: tuple[Any, ...] = ()
    stopped: str = "nothing was trained"


@dataclass(frozen=True)
class Guarded:
    """What came out: the guarded handle, numbers found on the way, warnings."""

    model: Any
    derived: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    transcript: Story = Story()

    @property
    def stopped(self) -> str:
        return self.transcript.stopped


def phrase_of(own: str | None, request: Request, guard: str) -> str:
    """What is pushed away: the guard's own phrase, else the request's concept. Raises BadInput when there is neither."""
    phrase = request.concept if own is None else own
    if phrase is None:
        raise BadInput(
            f"{guard}: nothing to push away; name the concept (--concept) or set the guard's own phrase (--set {guard}...)"
        )
    return phrase


def scaled_steps(published: float, steps: int) -> int:
    """Steps counted in a run of 50 as steps of a run of ``steps``, rounded.

    >>> [scaled_steps(10, steps) for steps in (50, 20, 4)]
    [10, 4, 1]
    """
    return round(published * steps / PUBLISHED_STEPS)


def rows_of(model: Any, phrase: str, n: int) -> Embedded:
    """``n`` rows of a phrase; the empty phrase is the unconditional branch, as the pipeline was made (zeros in SDXL)."""
    return model.encode_prompts([phrase]).rows([0] * n) if phrase else model.nothing(n)


def three_outputs(model: Any, x: torch.Tensor, t: Any, embedded: Embedded, away: Embedded) -> tuple[torch.Tensor, ...]:
    """Outputs (unconditional, conditional, for the phrase pushed away) from one forward pass of three times the rows."""
    import torch

    steps = torch.as_tensor(t, device=model.device).reshape(-1).expand(len(x)).repeat(3)
    text = _prompts.join([model.nothing(len(x)), embedded, away])
    return tuple(model.output(torch.cat([x] * 3), steps, text).chunk(3))
