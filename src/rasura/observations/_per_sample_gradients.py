"""Norms of every sample's own gradient, from one forward and one backward pass over the whole batch.

With l_i the mean token loss of sample i, one backward pass of sum_i l_i brings, to every place in the network, the
gradients of all samples side by side: samples never mix, so row i of an output's gradient is dl_i/d(output). The
gradient of l_i for a weight follows from row i of what went into the module (x) and of the gradient at its output (g):

    linear     dl_i/dW = sum_t g_it x_it^T        bias  sum_t g_it
    embedding  row v of dl_i/dE = sum over t with token v of g_it
    norm       dl_i/dw = sum_t g_it * (x_it normalised)

It is formed for a few samples at a time, reduced to the norms asked for and dropped. Where only L2 is asked for, a matrix's
gradient is never formed at all while positions are few (``_factored_norms``). A parameter used in several places (an
embedding that is also the output matrix) is reduced once all its contributions are there, and their sum is what is measured. A parameter in a module of any other kind, or fed anything but a (batch, position, ...) tensor, makes
``NotCovered``: the caller then goes one sample at a time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ._factored_norms import Factors, pays, squared
from ._module_gradients import NotCovered, factors_of, gradient_of, kinds_of
from .gradient_norms import ORDERS

LOGITS = {"cpu": 1 << 18, "cuda": 1 << 24}  # numbers in a block of logits held at once; on a CPU a block fits its cache
BLOCK = {"cpu": 1 << 18, "cuda": 1 << 24}  # the same for per-sample gradients


@dataclass(frozen=True)
class Norms:
    """L1, L2 and Linf (last axis) of each sample's gradient."""

    parameters: Tensor  # (n, groups, 3), groups ordered like named_parameters; NaN in orders that were not asked for
    inputs: Tensor  # (n, 3): of the output of the embedding module, all positions
    projections: Tensor  # (n, groups, k): what ``Projection`` makes of each gradient; k = 0 where none was asked for


class Projection(Protocol):
    """Anything that turns gradients of one parameter into ``k`` numbers each: (b, *shape) to (b, k)."""

    k: int

    def __call__(self, name: str, gradient: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Wanted:
    """What is kept of a gradient: norms of some orders, and what ``projection`` makes of it."""

    orders: Sequence[str] = ORDERS
    projection: Projection | None = None

    @property
    def only_l2(self) -> bool:
        return self.projection is None and tuple(self.orders) == ("2",)

    def of(self, name: str, gradient: Tensor) -> Tensor:
        """What is kept of a few samples' gradients of one parameter: (b, 3 + k), on the CPU."""
        norms = three_norms(gradient, self.orders)
        if self.projection is None:
            return norms
        return torch.cat([norms, self.projection(name, gradient.detach().float()).cpu()], dim=1)


def batched(model: Any, encoded: Sequence[Any], wanted: Wanted = Wanted()) -> Norms:
    """All samples in one pass. Raises NotCovered when some parameter's gradient cannot be formed that way."""
    head = model.base.get_output_embeddings()
    tape = _Tape(model, head, (len(encoded), max(len(e.ids) for e in encoded)), wanted)
    with torch.enable_grad(), requires_grad(model.module, False):
        with tape.recording():
            hidden = model.last_hidden(encoded)
        hidden.backward(_through_head(model, head, hidden.detach(), encoded, tape))
    tape.finish(lambda: _logit_gradients(model, hidden.detach(), encoded))
    return tape.result()


def one_at_a_time(model: Any, samples: Sequence[Any], wanted: Wanted = Wanted()) -> Norms:
    """The obvious way: a backward pass a sample. Exact for every architecture."""
    parameters = floating(model.module)
    rows, inputs = [], []
    for sample in samples:
        seen: list[Tensor] = []
        hook = model.base.get_input_embeddings().register_forward_hook(_keep(seen))
        try:
            with torch.enable_grad(), requires_grad(model.module, True):
                loss = -model.score(type(samples)([sample])).sample_means().sum()
                found = torch.autograd.grad(loss, [*parameters.values(), *seen], allow_unused=True)
        finally:
            hook.remove()
        own = zip(parameters.items(), found, strict=False)  # what is left of ``found`` are the embedding's outputs
        full = [(name, torch.zeros_like(p) if g is None else g) for (name, p), g in own]
        rows.append(torch.cat([wanted.of(name, g[None]) for name, g in full]))
        inputs.append(three_norms(sum(found[len(parameters) :])[None])[0])
    return _norms(torch.stack(rows), torch.stack(inputs))


def _norms(parameters: Tensor, inputs: Tensor) -> Norms:
    return Norms(parameters[..., :3], inputs, parameters[..., 3:])


def _keep(seen: list[Tensor]) -> Any:
    """Forward hook: what came out, unless the pass is one without gradients."""
    return lambda _module, _inputs, out: seen.append(out) if out.requires_grad else None


def floating(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that can have a gradient, by name; a tied one is listed once, under its first name."""
    return {name: p for name, p in module.named_parameters() if p.is_floating_point()}


def three_norms(gradient: Tensor, orders: Sequence[str] = ORDERS) -> Tensor:
    """L1, L2, Linf of each row, on the CPU: (b, ...) to (b, 3); NaN for an order that is not among ``orders``.

    >>> three_norms(torch.tensor([[[3.0], [-4.0]]])).tolist()
    [[7.0, 5.0, 4.0]]
    """
    rows = gradient.detach().reshape(len(gradient), -1).float()
    if tuple(orders) == ("2",):
        return _l2_alone(rows.square().sum(1).sqrt())
    size = rows.abs()  # on a CPU ten times faster than vector_norm
    return torch.stack([size.sum(1), size.square().sum(1).sqrt(), size.amax(1)], dim=1).cpu()


def _l2_alone(l2: Tensor) -> Tensor:
    """(b,) as (b, 3)."""
    rows = torch.full((len(l2), 3), float("nan"))
    rows[:, 1] = l2.cpu()
    return rows


@contextmanager
def requires_grad(module: nn.Module, value: bool) -> Iterator[None]:
    """Every parameter's flag is ``value`` inside the block and what it was afterwards."""
    before = [(p, p.requires_grad) for p in floating(module).values()]
    try:
        for p, _ in before:
            p.requires_grad_(value)
        yield
    finally:
        for p, flag in before:
            p.requires_grad_(flag)


@dataclass(frozen=True)
class _Use:
    """One use of a module in the pass: what went in, and the gradient at what came out, sample by sample."""

    module: nn.Module
    x: Tensor
    g: Tensor

    def gradient(self, name: str, rows: slice) -> Tensor:
        return gradient_of(self.module, name, self.x[rows], self.g[rows])

    def factors(self, name: str) -> Factors | None:
        return factors_of(self.module, name, self.x, self.g)


class _Tape:
    """Collects uses during a pass and turns them into norms as soon as a parameter's last contribution is in."""

    def __init__(self, model: Any, head: nn.Module, shape: tuple[int, int], wanted: Wanted) -> None:
        self.parameters = floating(model.module)
        self.names = {p: name for name, p in self.parameters.items()}
        self.wanted = wanted
        self.kinds = kinds_of(model.module)  # raises NotCovered
        if head not in self.kinds or type(head).forward is not nn.Linear.forward:
            raise NotCovered("the output matrix is no plain linear module")
        self.embedding = model.base.get_input_embeddings()
        self.head = head
        self.shape = shape
        self.uses: Counter[nn.Parameter] = Counter()
        self.waiting: dict[nn.Parameter, list[tuple[str, _Use]]] = defaultdict(list)
        width = 3 + (wanted.projection.k if wanted.projection else 0)
        self.norms = {p: torch.zeros(shape[0], width) for p in self.parameters.values()}
        self.inputs = torch.full((shape[0], 3), float("nan"))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Listens to the forward pass inside the block."""
        hooks = [m.register_forward_hook(self._used, with_kwargs=True) for m in self.kinds if m is not self.head]
        try:
            yield
            self._all_used()
        finally:
            for hook in hooks:
                hook.remove()

    def _used(self, module: nn.Module, args: tuple, kwargs: dict, output: Any) -> Any:
        """Forward hook: remember what went in, listen for the gradient at what came out."""
        x = args[0] if args else next(iter(kwargs.values()))
        if isinstance(module, nn.Embedding) and tuple(x.shape) == (1, self.shape[1]):  # one row of positions for all
            x, output = x.expand(self.shape), output.expand(*self.shape, *output.shape[2:])
        if tuple(x.shape[:2]) != self.shape or tuple(output.shape[:2]) != self.shape:
            raise NotCovered(f"{type(module).__name__} was not given (batch, position) rows")
        self.uses.update(p for p in module.parameters(recurse=False))
        x, version = x.detach(), x._version
        out = output if output.requires_grad else output.detach().requires_grad_()
        held = [x]  # given up as soon as the gradient is here: the graph outlives its use
        out.register_hook(lambda g: self._arrived(module, held.pop(), g, version))
        return out if output.requires_grad else out.clone()  # nothing may write into the leaf itself

    def _arrived(self, module: nn.Module, x: Tensor, g: Tensor, version: int) -> None:
        """Tensor hook: the gradient of one use is here."""
        if x._version != version:
            raise NotCovered(f"what went into {type(module).__name__} was overwritten")
        if module is self.embedding:
            self.inputs = three_norms(g)
        for name, p in module.named_parameters(recurse=False):
            self.waiting[p].append((name, _Use(module, x, g)))
            if len(self.waiting[p]) == self.uses[p] and p not in set(self.head.parameters()):
                self.settle(p, self.waiting.pop(p))

    def _all_used(self) -> None:
        """A parameter no module call was seen for may have been used behind our back."""
        head = set(self.head.parameters())
        for name, p in self.parameters.items():
            if not self.uses[p] and p not in head:
                raise NotCovered(f"{name} took part in no module's call")

    def settle(self, p: nn.Parameter, uses: list[tuple[str, _Use]], start: int = 0) -> None:
        """Norms of the summed contributions, a few samples at a time."""
        n, block = len(uses[0][1].g), BLOCK.get(p.device.type, BLOCK["cuda"])
        factors = [use.factors(name) for name, use in uses] if self.wanted.only_l2 else [None]
        few = None not in factors and pays(factors, *p.shape)
        size = max(1, block // (sum(f.positions for f in factors) ** 2 if few else p.numel()))
        for at in range(0, n, size):
            rows = slice(at, min(at + size, n))
            if few:
                norms = _l2_alone(squared([f.rows(rows) for f in factors]).sqrt())
            else:
                parts = [use.gradient(name, rows) for name, use in uses]
                norms = self.wanted.of(self.names[p], reduce(torch.add, parts))
            self.norms[p][start + at : start + rows.stop] = norms

    def finish(self, logit_gradients: Any) -> None:
        """What is still waiting: weights shared with the output matrix, and uses that reached the loss only in part."""
        own = {p: name for name, p in self.head.named_parameters(recurse=False)}
        shared = {p: self.waiting.pop(p, []) for p in own if self.uses[p]}
        for p, uses in self.waiting.items():
            self.settle(p, uses)
        if not shared:
            return
        for start, h, g in logit_gradients():
            rows = slice(start, start + len(g))
            for p, uses in shared.items():
                part = [(name, _Use(use.module, use.x[rows], use.g[rows])) for name, use in uses]
                self.settle(p, [(own[p], _Use(self.head, h, g)), *part], start)

    def result(self) -> Norms:
        return _norms(torch.stack([self.norms[p] for p in self.parameters.values()], dim=1), self.inputs)


def _through_head(model: Any, head: nn.Module, hidden: Tensor, encoded: Sequence[Any], tape: _Tape) -> Tensor:
    """Gradient of the summed sample means at the last hidden state; reduces the output matrix on the way."""
    back = torch.zeros_like(hidden)
    with torch.no_grad():
        for start, h, g in _logit_gradients(model, hidden, encoded):
            for name, p in head.named_parameters(recurse=False):
                if not tape.uses[p]:
                    tape.settle(p, [(name, _Use(head, h, g))], start)
            through = g.to(head.weight.dtype) @ head.weight
            for i, e in enumerate(encoded[start : start + len(g)]):
                back[start + i, e.first - 1 : e.first - 1 + e.scored] = through[i, : e.scored]
    return back


def _logit_gradients(model: Any, hidden: Tensor, encoded: Sequence[Any]) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(first sample, hidden (b, S, d), gradient at the logits (b, S, V)) for a few samples at a time.

    The gradient of a mean cross-entropy at the logits is (p - onehot)/n; 0 on the padding of the S scored positions.
    """
    width = max(e.scored for e in encoded)
    vocabulary = model.base.get_output_embeddings().weight.shape[0]
    size = max(1, LOGITS.get(hidden.device.type, LOGITS["cuda"]) // (width * vocabulary))
    for start in range(0, len(encoded), size):
        part = encoded[start : start + size]
        h = hidden.new_zeros(len(part), width, hidden.shape[2])
        target, weight = np.zeros((len(part), width), dtype=np.int64), np.zeros((len(part), width), dtype=np.float32)
        for i, e in enumerate(part):
            h[i, : e.scored] = hidden[start + i, e.first - 1 : e.first - 1 + e.scored]
            target[i, : e.scored], weight[i, : e.scored] = e.ids[e.first :], 1 / e.scored
        with torch.no_grad():
            g = torch.softmax(model.logits(h), dim=-1)
            g.scatter_add_(2, torch.from_numpy(target).to(g.device)[..., None], g.new_full((*target.shape, 1), -1.0))
            yield start, h, g.mul_(torch.from_numpy(weight).to(g.device)[..., None])
