"""What a server reads off the gradient of one federated batch: LoRA on the first attention layer.

For every record a batch is made of it and its partners (view ``InCompany``), LoRA adapters of ``rank`` are put on the
first attention layer's projections with a B that is not zero (or dL/dA would be), and the gradient of the batch's mean
token loss for every A is taken: all that the server sees. From it come

1. the space its rows span and its numerical rank (``_row_space``);
2. the tokens whose input to that layer lies in it: layer 0 reads each token's own embedding (and, where an architecture
   adds one, its position), so the server can compute it for the whole vocabulary. Accepted at ``false_accepts`` of
   tokens that are not there, and cut at a gap;
3. one order of these tokens for each record of the batch, by beam search under the audited model (``_token_order``).

Where positions are added to embeddings, candidates are pairs of token and position, and step 3 goes by position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from ..core.errors import BadInput
from ..core.types import Ragged, Sample, Samples, digest
from . import _row_space
from ._token_order import orderings

KIND = "attention.query_key_value"
SPREAD = 0.02  # standard deviation of the server's B
CHUNK = 4096  # candidates passed through the embedding at once


@dataclass(frozen=True)
class Batched(Sample):
    """A record together with those that are in its participant's batch."""

    partners: tuple[Sample, ...] = ()

    @property
    def digest(self) -> str:
        return digest([super().digest, [p.digest for p in self.partners]])


@dataclass(frozen=True)
class InCompany:
    """The view that puts every record into a batch of ``size``: with those that follow it in the order of their contents.

    The order in which records are given plays no part; fewer records than ``size`` make smaller batches.

    >>> [[p.text for p in s.partners] for s in InCompany(2).apply(Samples.of(["a", "b"]))]
    [['b'], ['a']]
    """

    size: int = 1

    def apply(self, samples: Samples) -> Samples:
        order = sorted(range(len(samples)), key=lambda i: samples[i].digest)
        place = {i: at for at, i in enumerate(order)}
        company = min(self.size, len(samples)) - 1
        return Samples(
            Batched(
                **{f.name: getattr(s, f.name) for f in fields(Sample)},
                partners=tuple(samples[order[(place[i] + k) % len(order)]] for k in range(1, company + 1)),
            )
            for i, s in enumerate(samples)
        )


@dataclass(frozen=True)
class AdapterData:
    """One row a record."""

    accepted: Ragged  # int64: token ids taken to stand in the batch, best first
    residual: Ragged  # float32: of each
    present: Ragged  # int64: token ids that do, each once, without what the tokenizer puts in front
    said: Ragged  # int64: the ordered texts of the batch, one after the other
    lengths: np.ndarray  # (n, batch) int64: tokens of each
    true_ids: Ragged  # int64: the record's own tokens, without what the tokenizer puts in front
    rank: np.ndarray  # (n,) int64: numerical rank of the gradient
    capacity: np.ndarray  # (n,) int64: the largest rank the adapters allow: min(modules * rank, width of the layer)
    rows: np.ndarray  # (n,) int64: distinct inputs in the batch: what the rank would have to be
    reason: np.ndarray  # (n,) str

    def texts(self, i: int) -> list[np.ndarray]:
        """Token ids of each recovered text for record i."""
        return np.split(self.said[i], np.cumsum(self.lengths[i])[:-1])


@dataclass(frozen=True)
class AdapterGradients:
    """The tokens and texts that one batch's LoRA gradient gives away."""

    rank: int = 16
    batch_size: int = 1  # of the view ``InCompany`` it is asked with
    false_accepts: float = 0.01
    beams: int = 8
    seed: int = 0

    version: ClassVar[int] = 1
    Data: ClassVar[type] = AdapterData

    def __post_init__(self) -> None:
        if min(self.rank, self.batch_size, self.beams) < 1 or not 0.0 <= self.false_accepts < 1.0:
            raise BadInput("rank, batch_size and beams must be 1 or more, false_accepts at least 0 and below 1")

    @property
    def passes(self) -> tuple[int, int]:
        return (self.batch_size, self.batch_size)

    @property
    def rows(self) -> int:
        return self.batch_size

    def measure(self, model: Any, batch: Samples) -> AdapterData:
        """One forward and one backward pass a batch; then passes of a few tokens for the order."""
        sites = [s for s in model.sites(KIND) if s.layer == 0]
        if not sites:
            return self.blank("no attention layer is known by name in this architecture", len(batch))
        names = [s.name for s in sites]
        longest = max((len(model.encode(r).ids) for s in batch for r in self._company(s)), default=1)
        candidates, tokens, positions = _candidates(model, names[0], longest)
        rows = [self._row(model, sample, names, candidates, tokens, positions) for sample in batch]
        columns = list(zip(*rows, strict=True)) or [()] * 10
        return AdapterData(
            Ragged.of(columns[0], np.int64),
            Ragged.of(columns[1], np.float32),
            Ragged.of(columns[2], np.int64),
            Ragged.of([np.concatenate([*texts, np.zeros(0, np.int64)]) for texts in columns[3]], np.int64),
            np.array([[len(t) for t in texts] for texts in columns[3]], np.int64).reshape(len(rows), self.batch_size),
            Ragged.of(columns[4], np.int64),
            *(np.array(column, dtype=np.int64) for column in columns[5:8]),
            np.array(columns[8], dtype=object),
        )

    def _company(self, sample: Sample) -> tuple[Sample, ...]:
        return (sample, *getattr(sample, "partners", ()))[: self.batch_size]

    def _row(
        self,
        model: Any,
        sample: Sample,
        names: Sequence[str],
        candidates: np.ndarray,
        tokens: np.ndarray,
        positions: Any,
    ) -> tuple[Any, ...]:
        company = Samples(r for r in self._company(sample) if model.encode(r).scored)
        none, nothing = np.zeros(0, np.int64), [np.zeros(0, np.int64)] * self.batch_size
        if not model.encode(sample).scored:
            return none, none, none, nothing, none, 0, 0, 0, "no token to score"
        gradient = self._gradient(model, company, names)
        if not np.isfinite(gradient).all():
            return none, none, none, nothing, none, 0, 0, 0, "the model's gradient is not finite"
        rows = _row_space.basis(gradient)
        residual = _row_space.residuals(candidates, rows)
        most = _row_space.threshold(candidates, len(rows), self.false_accepts, self.seed)
        found = _row_space.accepted(residual, most)
        own = [_own(model, r) for r in company]
        start = model.encode(sample).ids[: len(model.encode(sample).ids) - len(own[0])]
        kept = found[~np.isin(tokens[found], start)]
        texts = self._ordered(model, start, tokens[kept], None if positions is None else positions[kept], len(company))
        texts += nothing[len(texts) :]
        capacity = min(gradient.shape)
        inputs = len({(int(t), i if positions is not None else 0) for ids in own for i, t in enumerate(ids)})
        present = np.unique(np.concatenate(own))
        distinct = list(dict.fromkeys(tokens[kept].tolist()))
        best = np.array([residual[kept][tokens[kept] == t].min() for t in distinct], dtype=np.float32)
        return np.array(distinct, np.int64), best, present, texts, own[0], len(rows), capacity, inputs, ""

    def _ordered(
        self, model: Any, start: np.ndarray, tokens: np.ndarray, positions: Any, texts: int
    ) -> list[np.ndarray]:
        if positions is None or texts > 1:
            return orderings(model, start, sorted(set(tokens.tolist())), texts, self.beams)
        place = {int(p): int(t) for t, p in reversed(list(zip(tokens, positions, strict=True)))}
        return [np.array([place[p] for p in sorted(place)], dtype=np.int64)]

    def _gradient(self, model: Any, company: Samples, names: Sequence[str]) -> np.ndarray:
        """dL/dA of every adapted module, one below the other: (modules * rank, d)."""
        import torch

        from ..models.adapters import attach

        student = attach(model, names, rank=self.rank, alpha=float(self.rank), seed=self.seed)
        generator = torch.Generator().manual_seed(self.seed)
        wanted = []
        for name, parameter in student.module.named_parameters():
            if "lora_B" in name:
                noise = torch.randn(parameter.shape, generator=generator) * SPREAD
                parameter.data.copy_(noise.to(parameter.device, parameter.dtype))
            elif "lora_A" in name:
                wanted.append(parameter)
        with torch.enable_grad():
            found = torch.autograd.grad(-student.score(company).token_mean(), wanted)
        return torch.cat([g.detach().float() for g in found]).cpu().numpy()

    def blank(self, reason: str, n: int) -> AdapterData:
        """Rows that could not be measured."""
        empty, zero = Ragged.of([[]] * n, np.int64), np.zeros(n, dtype=np.int64)
        lengths = np.zeros((n, self.batch_size), dtype=np.int64)
        why = np.array([reason] * n, dtype=object)
        return AdapterData(empty, Ragged.of([[]] * n, np.float32), empty, empty, lengths, empty, zero, zero, zero, why)


def _own(model: Any, sample: Sample) -> np.ndarray:
    """The record's tokens without the special ones in front."""
    ids, special = model.encode(sample).ids, set(model.tokenizer.all_special_ids)
    first = next((i for i, t in enumerate(ids.tolist()) if t not in special), len(ids))
    return ids[max(first, 1) if not first else first :]


def _candidates(model: Any, module: str, longest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """What the first layer would read for every token of the vocabulary (and position): (rows, d), tokens, positions."""
    vocabulary = int(model.base.get_input_embeddings().weight.shape[0])
    with _reading(model.base.get_submodule(module)) as seen:
        pair = _inputs(model, np.array([0, 0]), np.array([0, 1]), seen)
        moves = bool(np.abs(pair[0] - pair[1]).max() > 1e-5)
        places = range(longest) if moves else range(1)
        tokens = np.concatenate([np.arange(vocabulary)] * len(places))
        positions = np.repeat(np.arange(len(places)), vocabulary)
        parts = [
            _inputs(model, tokens[at : at + CHUNK], positions[at : at + CHUNK], seen)
            for at in range(0, len(tokens), CHUNK)
        ]
    return np.concatenate(parts).astype(np.float64), tokens, positions if moves else None


class _Stop(Exception):
    """Nothing after the first projection is needed."""


@contextmanager
def _reading(module: Any) -> Iterator[list[Any]]:
    seen: list[Any] = []

    def hook(_module: Any, args: tuple[Any, ...]) -> None:
        seen.append(args[0].detach())
        raise _Stop

    handle = module.register_forward_pre_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


def _inputs(model: Any, tokens: np.ndarray, positions: np.ndarray, seen: list[Any]) -> np.ndarray:
    import torch

    from ._continue import _takes_positions

    ids, at = (torch.from_numpy(a.astype(np.int64))[:, None].to(model.device) for a in (tokens, positions))
    more = {"position_ids": at} if _takes_positions(model.base.base_model) else {}
    try:
        with torch.inference_mode():
            model.base.base_model(input_ids=ids, use_cache=False, **more)
    except _Stop:
        return seen.pop()[:, 0].float().cpu().numpy()
    raise BadInput("the forward pass did not go through the first attention layer")
