"""What the model said before training began, without a second full model in memory.

Numbers that are one a record (the log-probability of its scored part) are computed once, as an observation through
the pass engine, and read back by content. Quantities that are large (distributions, hidden states) come from a pass
of the caller's own handle without gradients: a treatment never changes it, and a student that is an adapter shares
its tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.types import Ask, Request, Sample, Samples
from ..observations._engine import Engine
from ..observations.token_statistics import TokenStatistics

if TYPE_CHECKING:
    import torch

    from ..models.causal_lm import CausalLM

T = TypeVar("T")


class Frozen:
    """The reference of an erasing: the handle as it was, and what it answered about the request.

    ``step``: the number of the batch being computed, set by whoever drives the training.
    """

    unusable, left_out = "has a token to score", "have no token to score"

    def __init__(
        self, model: CausalLM, engine: Engine | None = None, request: Request | None = None, seed: int = 0
    ) -> None:
        self.model = model
        self.engine = engine or Engine()
        self.request = request or Request(Samples(), Samples())
        self.seed, self.step = seed, 0
        self._log_probability: dict[str, float] = {}
        self._derived: dict[str, Any] = {}

    @staticmethod
    def usable(model: CausalLM, sample: Sample) -> bool:
        """Whether training can do anything with a record."""
        return model.encode(sample).scored > 0

    @staticmethod
    def loss(student: CausalLM, samples: Samples) -> torch.Tensor:
        """Mean negative log-probability of the scored tokens, nats."""
        return -student.score(samples).token_mean()

    def log_probability(self, samples: Samples) -> torch.Tensor:
        """log pi_ref(y | x) in nats, summed over the scored tokens of each record: (n,) on the model's device.

        Records of the request cost one pass, the first time one of their set is asked for; others are computed when
        they come. NaN for a record without a scored token.
        """
        import torch

        for part in (self.request.forget, self.request.retain, samples):
            missing = [s for s in samples if s.digest not in self._log_probability]
            if missing and any(s in part for s in missing):
                self._look_up(part)
        values = [self._log_probability[s.digest] for s in samples]
        return torch.tensor(values, dtype=torch.float32, device=self.model.device)

    def distribution(self, samples: Samples) -> torch.Tensor:
        """log p_ref(. | x_<t) at every scored token t of the batch, in the order of ``CausalLM.score``: (tokens, V)."""
        import torch

        with torch.no_grad():
            return self.model.score(samples, distributions=True).log_distribution

    def hidden(self, samples: Samples, layer: int) -> torch.Tensor:
        """Output of decoder layer ``layer``, later layers not run: (B, T, d)."""
        import torch

        with torch.no_grad():
            return self.model.hidden_at(samples, layer)[0]

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """A value an objective derives from the model as it was: computed at the first call, the same ever after."""
        if name not in self._derived:
            self._derived[name] = compute()
        return self._derived[name]

    @property
    def derived(self) -> dict[str, float]:
        """The single numbers among those values, for the record."""
        return {name: value for name, value in self._derived.items() if isinstance(value, (int, float))}

    def _look_up(self, samples: Samples) -> None:
        data = self.engine.observe(Ask(TokenStatistics()), {"target": self.model}, samples)
        for sample, value in zip(samples, data.log_probability.sum(), strict=True):
            self._log_probability[sample.digest] = float(value)
