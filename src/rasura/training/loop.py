"""The one training loop: erasers, attacks that learn and testbeds all train through it.

One optimiser step k, counted from 0:

1. at a mark (every ``probe_every`` and every ``checkpoint_every`` steps): the probe, if a budget is set;
2. the loss of ``step_loss``, which draws its own data from the number it is given;
3. at a mark, once that loss is known to be finite: a copy of the weights to fall back on, and the checkpoint;
4. gradients combined as ``combine`` says, masked, clipped on the norm of what is left, one AdamW step.

The learning rate, the data and the marks depend on k alone, so a run that was killed and started again ends in the
same weights as one that was not, bit for bit on one kind of processor with one number of threads. Dropout is off.
Accelerate scales, clips and logs; nothing is wrapped, so a step costs what it costs in a bare loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..core.errors import BadInput
from ..core.protocols import Loss
from ..core.records import Step
from ..observations._engine import Progress, quiet
from ._run import Run, logged
from ._spread import ALONE, Spread

if TYPE_CHECKING:
    import torch

    from ..models.causal_lm import CausalLM
    from ..observations._engine_processes import Processes


@dataclass(frozen=True)
class Loop:
    """How to train: AdamW (Loshchilov and Hutter 2019), linear warm-up, then constant or cosine.

    ``combine``: "sum" adds the two terms; "project" removes from the forget gradient its component against the retain
    gradient (gradient surgery, Yu et al. 2020) and adds; "alternate" takes the forget term on even steps and the
    retain term on odd ones. ``retain_budget``: nats the retain loss of a fixed batch may rise above its value at step
    0; beyond it training stops and the weights of the last probe inside the budget are kept. ``threads``: CPU threads
    while training (0: leave them), because sums in another order give other weights.

    >>> [round(Loop(steps=10, learning_rate=1.0, warmup=0.2, schedule="cosine").rate(k), 3) for k in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.038]
    """

    steps: int = 100
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    warmup: float = 0.1  # share of the steps
    schedule: Literal["constant", "cosine"] = "constant"
    final: float = 0.0  # share of the learning rate a cosine ends in
    clip: float = 1.0  # largest gradient norm; 0: no clipping
    accumulate: int = 1  # batches an optimiser step; batch m of step k is step_loss(k * accumulate + m)
    precision: Literal["no", "bf16"] = "no"  # "bf16": autocast; masters are float32 either way
    combine: Literal["sum", "project", "alternate"] = "sum"
    retain_budget: float | None = None
    probe_every: int = 10
    checkpoint_every: int = 50
    threads: int = 1
    tracker: str = ""  # "tensorboard", "mlflow", "wandb", ... through Accelerate
    tracker_folder: str = "rasura-runs"

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate", "probe_every", "checkpoint_every"):
            if getattr(self, name) < (0 if name == "steps" else 1):
                raise BadInput(f"{name} is {getattr(self, name)}: expected a positive whole number")
        choices = {
            "schedule": ("constant", "cosine"),
            "precision": ("no", "bf16"),
            "combine": ("sum", "project", "alternate"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise BadInput(f"{name} is '{getattr(self, name)}': expected {' or '.join(allowed)}")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise BadInput(f"learning_rate is {self.learning_rate}: expected a positive number")

    def rate(self, k: int) -> float:
        """The learning rate of step k."""
        warm = round(self.warmup * self.steps)
        if k < warm:
            return self.learning_rate * (k + 1) / warm
        if self.schedule == "constant":
            return self.learning_rate
        share = (k - warm) / max(1, self.steps - warm)
        return self.learning_rate * (self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * share)))


@dataclass(frozen=True)
class Transcript:
    """What happened: one line a step, why it ended, and how many updates the weights that were kept have seen.

    ``stopped``: "steps", "retain budget at step k" or "diverged at step k".
    """

    steps: tuple[Step, ...]
    stopped: str
    kept: int

    @property
    def diverged(self) -> bool:
        return self.stopped.startswith("diverged")


def train(
    model: CausalLM,
    step_loss: Callable[[int], Loss],
    loop: Loop,
    *,
    masks: Mapping[str, torch.Tensor] | None = None,
    checkpoint: Path | None = None,
    progress: Progress = quiet,
    probe: Callable[[], float] | None = None,
    processes: Processes | None = None,
) -> Transcript:
    """Train every parameter of ``model`` that requires grad, in place.

    ``masks``: booleans by parameter name; where False, a weight ends bit-identical to where it began. ``checkpoint``:
    a file to resume from when it is there; it outlives the training, for whoever saves the model to remove. ``probe``:
    the retain loss in nats on a fixed batch; needed for ``loop.retain_budget``. ``processes``: those that share this
    training, all of which call ``train`` alike; the weights end the same in each. Raises TrainingDiverged when the very
    first loss is not finite; later ones end the training with the last good weights and ``stopped`` says so.
    """
    if loop.retain_budget is not None and probe is None:
        raise BadInput("a retain budget needs retained records to watch: give --retain or no budget")
    model.module.eval()
    model.module.zero_grad(set_to_none=True)  # whatever an earlier use left would be added to the first gradient
    spread = ALONE if processes is None or processes.alone else Spread(processes)
    with spread.over(model), pinned_threads(loop.threads):
        run = Run(model, step_loss, loop, masks, Path(checkpoint) if checkpoint else None, probe, spread)
        with logged(run.accelerator, loop), progress("training", loop.steps) as advance:
            steps, stopped, kept = run.go(advance)
    model.module.zero_grad(set_to_none=True)
    model.weights_changed()
    return Transcript(steps, stopped, kept)


@contextmanager
def pinned_threads(n: int) -> Iterator[None]:
    """CPU threads inside the block, then as many as before; 0 leaves them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
