"""One training under way: what a step does, when it stops, where it goes back to. See loop.py."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import BadInput, TrainingDiverged
from ..core.protocols import Loss
from ..core.records import Step
from ..core.types import digest, plain
from . import _checkpoint
from ._spread import ALONE, Alone
from ._weights import Weights, add, projected

if TYPE_CHECKING:
    import torch

    from .loop import Loop


class Run:
    """One training under way."""

    def __init__(
        self,
        model: Any,
        step_loss: Any,
        loop: Loop,
        masks: Any,
        checkpoint: Path | None,
        probe: Any,
        spread: Alone = ALONE,
    ) -> None:
        import torch

        self.spread = spread
        self.model, self.step_loss, self.loop = model, step_loss, loop
        self.checkpoint, self.probe = checkpoint, probe if loop.retain_budget is not None else None
        self.accelerator = _accelerator(loop)
        self.weights = Weights(model.module, masks)
        self.optimiser = torch.optim.AdamW(
            self.weights.masters,
            lr=loop.learning_rate,
            betas=loop.betas,
            weight_decay=loop.weight_decay,
            fused=_can_fuse(model.device),
        )
        self.transcript: list[Step] = []
        self.base = math.nan  # what the probe said at step 0
        self.good, self.good_at = self.weights.copy(), 0

    def go(self, advance: Callable[[int], None]) -> tuple[tuple[Step, ...], str, int]:
        """(steps, why it ended, updates in the weights that were kept)."""
        first = self._resume()
        advance(first)
        stopped = ""
        for k in range(first, self.loop.steps):
            stopped = self._step(k)
            if stopped:
                break
            advance(1)
        stopped = stopped or self._last_look()
        kept = self.good_at if stopped else len(self.transcript)
        return tuple(self.transcript), stopped or "steps", kept

    def _step(self, k: int) -> str:
        """Why to stop, or nothing."""
        mark = k % self.loop.probe_every == 0 or k % self.loop.checkpoint_every == 0
        if mark and self._over_budget(k):
            return self._go_back(f"retain budget at step {k}")
        gradients, forget, retain = self._gradients(k)
        if gradients is None:
            if k == 0:
                raise TrainingDiverged("the loss is not finite before the first step: nothing was trained")
            return self._go_back(f"diverged at step {k}")
        if mark:
            self.good, self.good_at = self.weights.copy(), k
            if k and k % self.loop.checkpoint_every == 0:
                self._keep(k)
        norm = self._update(gradients, k)
        if not math.isfinite(norm):
            return self._go_back(f"diverged at step {k}")
        self.transcript.append(Step(k, forget, retain, norm))
        if self.loop.tracker:
            self.accelerator.log({"forget": forget, "retain": retain, "gradient_norm": norm}, step=k)
        return ""

    def _gradients(self, k: int) -> tuple[list[torch.Tensor | None] | None, float, float]:
        """Gradients of step k, and its two losses; None for the gradients when a loss is not finite."""
        count, values = self.loop.accumulate, ([], [])
        sums: list[list[torch.Tensor | None]] = [[None] * len(self.weights.live) for _ in range(2)]
        for m in range(count):
            with self._autocast():
                loss = self.step_loss(k * count + m)
            for term, kept in zip((loss.forget, loss.retain), values, strict=True):
                kept.append(math.nan if term is None else float(term.detach()))
            terms = _parts(loss, self.loop.combine, k)
            if not all(math.isfinite(float(t.detach())) for t in terms if t is not None):
                return None, math.nan, math.nan
            for i, term in enumerate(terms):
                if term is not None:
                    self.accelerator.backward(term, retain_graph=i == 0 and terms[1] is not None)
                    sums[i] = add(sums[i], self.weights.take_gradients())
        live = self.weights.live
        forget, retain = (self.weights.masked(self.spread.average(s, live)) for s in sums)
        combined = forget if terms[1] is None else add(projected(forget, retain, self.spread.total, live), retain)
        return combined, _mean(values[0]), _mean(values[1])

    def _update(self, gradients: list[torch.Tensor | None], k: int) -> float:
        """One optimiser step; the gradient's norm before clipping."""
        for master, gradient in zip(self.weights.masters, gradients, strict=True):
            master.grad = gradient
        norm = self._clip()
        if math.isfinite(norm):
            self.optimiser.param_groups[0]["lr"] = self.loop.rate(k)
            self.optimiser.step()
            self.weights.publish()
        self.optimiser.zero_grad(set_to_none=True)
        return norm

    def _clip(self) -> float:
        """Scale the gradients down to the largest norm allowed; the norm before that, over all shards."""
        import torch

        masters, largest = self.weights.masters, self.loop.clip or math.inf
        if self.spread.world == 1:
            return float(self.accelerator.clip_grad_norm_(masters, largest))
        held = [(m.grad, p) for m, p in zip(masters, self.weights.live, strict=True) if m.grad is not None]
        norm = float(self.spread.total([g.double().square().sum() for g, _ in held], [p for _, p in held]).sqrt())
        if norm > largest:
            torch._foreach_mul_([g for g, _ in held], largest / norm)
        return norm

    def _over_budget(self, k: int) -> bool:
        if self.probe is None:
            return False
        import torch

        with torch.no_grad(), self._autocast():
            value = float(self.probe())
        if math.isnan(self.base):
            self.base = value
        return not value <= self.base + self.loop.retain_budget

    def _last_look(self) -> str:
        """The last update is followed by no loss: its weights and the budget are checked here."""
        k = self.loop.steps
        if not self.spread.agreed(self.weights.finite):
            return self._go_back(f"diverged at step {k}")
        return self._go_back(f"retain budget at step {k}") if k and self._over_budget(k) else ""

    def _go_back(self, why: str) -> str:
        self.weights.restore(self.good)
        return why

    def _keep(self, k: int) -> None:
        if self.checkpoint is not None:
            facts = {"identity": self._identity, "step": k, "base": self.base, "transcript": plain(self.transcript)}
            _checkpoint.write(self.checkpoint, self.weights, self.optimiser, facts)
            self.spread.agreed(True)  # nobody goes on before it is there

    def _resume(self) -> int:
        """The step to go on from."""
        place = self.checkpoint
        if place is None or not self.spread.agreed(place.is_file()):
            return 0
        facts = _checkpoint.read(place, self.weights, self.optimiser, self._identity)
        if not self.spread.same(facts["step"] if facts else 0):
            raise BadInput(f"{place}: not the same checkpoint for all processes; choose a folder they share")
        if facts is None:
            return 0
        self.base = facts["base"]
        self.transcript = [
            Step(**{key: v for key, v in line.items() if key != "class"}) for line in facts["transcript"]
        ]
        self.good, self.good_at = self.weights.copy(), facts["step"]
        return facts["step"]

    @property
    def _identity(self) -> str:
        shapes = [list(p.shape) for p in self.weights.live]
        return digest([self.loop, self.weights.names, shapes, sorted(self.weights.masks)])

    def _autocast(self) -> AbstractContextManager[Any]:
        import torch

        return (
            torch.autocast(self.model.device.type, dtype=torch.bfloat16)
            if self.loop.precision == "bf16"
            else nullcontext()
        )


def _parts(loss: Loss, combine: str, k: int) -> tuple[Any, Any]:
    """(to descend, retain kept apart for the projection): the second is None unless two gradients are needed."""
    forget, retain = loss.forget, loss.retain
    if forget is None and retain is None:
        raise BadInput("the objective gave neither a forget nor a retain loss")
    if forget is None or retain is None:
        return (retain if forget is None else forget), None
    if combine == "alternate":
        return (retain if k % 2 else forget), None
    return (forget + retain, None) if combine == "sum" else (forget, retain)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _can_fuse(device: torch.device) -> bool:
    return device.type in ("cpu", "cuda", "xpu", "mps")


def _accelerator(loop: Loop) -> Any:
    """Accelerate without wrapping: the handle calls parts of the module, which a wrapper would not see."""
    from accelerate import Accelerator

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a missing tracker is an error below
            accelerator = Accelerator(
                mixed_precision="no",
                gradient_accumulation_steps=loop.accumulate,
                device_placement=False,
                log_with=loop.tracker or None,
                project_dir=loop.tracker_folder if loop.tracker else None,
            )
    except ValueError as error:
        raise BadInput(f"Accelerate refused to start: {str(error).splitlines()[0]}") from None
    if loop.tracker and not accelerator.log_with:
        raise BadInput(f"tracker '{loop.tracker}' is not installed: pip install {loop.tracker}")
    return accelerator


@contextmanager
def logged(accelerator: Any, loop: Loop) -> Iterator[None]:
    if not loop.tracker:
        yield
        return
    accelerator.init_trackers(
        "rasura", config={k: v for k, v in plain(loop).items() if isinstance(v, (int, float, str))}
    )
    try:
        yield
    finally:
        accelerator.end_training()
