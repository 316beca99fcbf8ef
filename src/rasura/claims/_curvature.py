"""Second derivatives of a text's loss along directions in weight space, in float64 and two independent ways.

    s(eps) = [ L(theta + sigma eps) + L(theta - sigma eps) - 2 L(theta) ] / sigma^2          (no derivative)
    q(eps) = eps' H eps,    H = d^2 L / d theta^2                                            (two backward passes)

with L the mean loss of a text in nats a token. s -> q as sigma -> 0, with an error of order sigma^2, and the mean of q
over random eps with E[eps eps'] = I is the trace of H (Hutchinson 1990).

Attention is forced to PyTorch's plain ("math") kernel: it keeps float64 throughout and can be differentiated twice. The
"eager" attention of transformers' GPT-NeoX computes its softmax in float32 even in a float64 model, which ruins s below
sigma = 3e-4. Forward-mode differentiation inside forward-mode differentiation (two nested ``torch.func.jvp``), the
obvious way to get q for a whole batch at once, was off by about 1 % on this architecture in PyTorch 2.13; hence two
backward passes, one text at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..core.store import Store
from ..core.types import Sample, Samples
from ..observations._engine import Engine
from ..signals.mope import Mope

BATCH = 32  # texts a forward pass


@dataclass(frozen=True)
class CurvatureData:
    """One row a text."""

    dose: np.ndarray  # (n,) int64
    quadratic: np.ndarray  # (n,) eps' H eps for one standard normal eps, by two backward passes
    differences: np.ndarray  # (n, S) [L(+) + L(-) - 2 L]/sigma^2 for the same eps, one column a sigma
    mope: np.ndarray  # (n,) the signal's score
    traces: np.ndarray  # (n, P) v' H v for P random signs v: their mean estimates the trace


@dataclass(frozen=True)
class Curvature:
    """One seed: curvature of passages of every dose under the target model.

    ``texts``: passages, as evenly over the doses as there are; ``probes``: random signs a trace. MoPe with ``sigma``
    and ``pairs`` antithetic pairs, 20 perturbed models as in the paper.
    """

    size: str = "small"
    texts: int = 200
    probes: int = 8
    sigmas: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5)
    sigma: float = 0.005
    pairs: int = 10

    Data: ClassVar[type] = CurvatureData
    modules: ClassVar[tuple[str, ...]] = ()

    @property
    def ticks(self) -> int:
        return self.probes + 2

    def run(self, seed: int, planted: Any, tick: Callable[[], None]) -> CurvatureData:
        """Differences and derivatives in float64, the signal as it ships."""
        texts, target = _spread(planted, self.texts), planted.models["target"]
        signal = Mope(sigma=self.sigma, pairs=self.pairs)
        seen = Engine(store=Store()).observe_all(signal.needs().values(), {"target": target}, texts)
        mope = signal.score(**{name: seen[ask] for name, ask in signal.needs().items()})
        tick()
        model = in_float64(target)
        eps = next(directions(model, 1, "normal", seed))
        differences = np.stack([second_differences(model, texts, eps, s) for s in self.sigmas], axis=1)
        quadratic = _each(model, texts, eps)
        tick()
        traces = []
        for signs in directions(model, self.probes, "signs", seed + 1):
            traces.append(_each(model, texts, signs))
            tick()
        dose = np.array([s.repeats or 0 for s in texts], dtype=np.int64)
        return CurvatureData(dose, quadratic, differences, mope, np.stack(traces, axis=1))


def _each(model: Any, texts: Samples, eps: dict[str, Any]) -> np.ndarray:
    return np.array([quadratic_form(model, text, eps) for text in texts])


def _spread(planted: Any, n: int) -> Samples:
    """Passages, taken from all doses in turn until there are n."""
    passages = [s for s in (*planted.nonmembers, *planted.members) if s.family == "passage"]
    queues = [[s for s in passages if (s.repeats or 0) == d] for d in sorted({s.repeats or 0 for s in passages})]
    chosen: list[Any] = []
    while len(chosen) < n and any(queues):
        chosen += [queue.pop(0) for queue in queues if queue]
    return Samples(chosen[:n])


def in_float64(model: Any) -> Any:
    """A copy of the handle whose weights are float64 and can be differentiated."""
    copy = model.clone()
    copy.module.double().requires_grad_(True)
    return copy


def plain_attention() -> AbstractContextManager[Any]:
    """Attention with the kernel that can be differentiated twice."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.MATH)


def losses(model: Any, samples: Samples) -> Any:
    """Mean loss of each text in nats a token, float64, with gradients: (n,)."""
    import torch

    encoded = [model.encode(s) for s in samples]
    ids, mask = model.batch(encoded)
    row, position, target = model.scored_positions(encoded)
    logits = model.base(input_ids=ids, attention_mask=mask, use_cache=False).logits
    log_p = torch.log_softmax(logits[row, position], dim=-1).gather(1, target[:, None]).squeeze(1)
    zeros = log_p.new_zeros(len(samples))
    return zeros.index_add(0, row, -log_p) / zeros.detach().index_add(0, row, torch.ones_like(log_p.detach()))


def all_losses(model: Any, samples: Samples) -> np.ndarray:
    """The same without gradients, batch by batch: (n,)."""
    import torch

    with torch.no_grad(), plain_attention():
        parts = [samples.take(range(at, min(at + BATCH, len(samples)))) for at in range(0, len(samples), BATCH)]
        return np.concatenate([losses(model, part).cpu().numpy() for part in parts])


def directions(model: Any, count: int, kind: Literal["normal", "signs"], seed: int) -> Iterator[dict[str, Any]]:
    """Random directions over all parameters: standard normal, or +1 and -1 (Hutchinson's, of least variance)."""
    import torch

    for k in range(count):
        generator = torch.Generator().manual_seed(1000 * seed + k)
        draws = {
            name: torch.randn(p.shape, generator=generator, dtype=torch.float64)
            for name, p in model.base.named_parameters()
        }
        yield {name: torch.sign(d) if kind == "signs" else d for name, d in draws.items()}


def quadratic_form(model: Any, sample: Sample, eps: dict[str, Any]) -> float:
    """eps' H eps of one text, by differentiating eps . grad L once more."""
    import torch

    parameters = dict(model.base.named_parameters())
    with plain_attention():
        loss = losses(model, Samples([sample])).sum()
        first = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
        along = sum((g * eps[name]).sum() for g, name in zip(first, parameters, strict=True))
        second = torch.autograd.grad(along, list(parameters.values()))
    return float(sum((h * eps[name]).sum() for h, name in zip(second, parameters, strict=True)))


def second_differences(model: Any, samples: Samples, eps: dict[str, Any], sigma: float) -> np.ndarray:
    """[L(+) + L(-) - 2 L]/sigma^2 of each text: (n,)."""
    centre = all_losses(model, samples)
    with moved(model, eps, sigma):
        plus = all_losses(model, samples)
    with moved(model, eps, -sigma):
        minus = all_losses(model, samples)
    return (plus + minus - 2 * centre) / sigma**2


@contextmanager
def moved(model: Any, eps: dict[str, Any], by: float) -> Iterator[None]:
    """The weights moved by ``by`` eps inside the block, and exactly what they were afterwards."""
    parameters = dict(model.base.named_parameters())
    before = {name: p.data for name, p in parameters.items()}
    try:
        for name, p in parameters.items():
            p.data = before[name] + by * eps[name]
        yield
    finally:
        for name, p in parameters.items():
            p.data = before[name]
