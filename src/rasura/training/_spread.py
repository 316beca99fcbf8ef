"""One training over several processes: the same batch at every step, split among them, and the same weights in all.

Not the loss is split but the forward pass. Each process runs its share of a batch's rows; what came out is gathered, so
every process computes the whole loss exactly as one would, whatever the objective averages over: tokens, records,
divergences. Backwards, the gradient of the gathered values flows into a process's own rows, times the number of
processes, and gradients are averaged over the processes. What is not split (a pass an objective makes by other means)
is computed by all alike and survives the average unchanged, so both kinds may meet in one loss.

Under ``accelerate launch --use_fsdp`` the decoder blocks are sharded besides (torch's ``fully_shard``): each process
holds its part of their trained weights, gradients and optimiser state. Embeddings, the last norm and the output matrix
stay whole in each.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from ..core.errors import ProcessLost
from ..core.types import Samples
from ..models import sites
from ..models.causal_lm import Scored
from ..observations._engine_processes import is_lost, lost

if TYPE_CHECKING:
    import torch

    from ..models.causal_lm import CausalLM
    from ..observations._engine_processes import Processes


class Alone:
    """A training of one process: nothing to gather, nothing to average."""

    world = 1

    def average(self, gradients: list[torch.Tensor | None], live: list[Any]) -> list[torch.Tensor | None]:
        return gradients

    def total(self, parts: list[torch.Tensor], live: list[Any]) -> torch.Tensor:
        """The sum of one number a weight over the weights, shards counted once each."""
        import torch

        return torch.stack(parts).sum() if parts else torch.zeros(())

    def agreed(self, fine: bool) -> bool:
        """Whether all processes are fine."""
        return fine

    def same(self, number: int) -> bool:
        """Whether all processes have the same number."""
        return True

    def over(self, model: CausalLM) -> AbstractContextManager[None]:
        """The handle, ready to be trained."""
        return nullcontext()


ALONE = Alone()


class Spread(Alone):
    """The same for the processes of one launch."""

    def __init__(self, processes: Processes) -> None:
        self.rank, self.world = processes.rank, processes.world
        self.sharded = os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("true", "1")

    def average(self, gradients: list[torch.Tensor | None], live: list[Any]) -> list[torch.Tensor | None]:
        """Means over the processes; None where no process has a gradient. Shards were averaged as they were made."""
        import torch

        whole = [i for i, p in enumerate(live) if not is_sharded(p)]
        if not whole:
            return gradients
        device = live[whole[0]].device
        some = torch.tensor([0.0 if gradients[i] is None else 1.0 for i in whole], device=device)
        torch.distributed.all_reduce(some)
        for i, anywhere in zip(whole, some.tolist(), strict=True):
            if anywhere:
                mean = torch.zeros_like(live[i], dtype=torch.float32) if gradients[i] is None else gradients[i]
                torch.distributed.all_reduce(mean)
                gradients[i] = mean.div_(self.world)
        return gradients

    def total(self, parts: list[torch.Tensor], live: list[Any]) -> torch.Tensor:
        import torch

        split = [part for part, p in zip(parts, live, strict=True) if is_sharded(p)]
        if not split:
            return super().total(parts, live)
        shared = torch.stack(split).sum()
        torch.distributed.all_reduce(shared)
        return shared + sum(part for part, p in zip(parts, live, strict=True) if not is_sharded(p))

    def agreed(self, fine: bool) -> bool:
        return bool(self._least(int(fine)))

    def same(self, number: int) -> bool:
        return self._least(number) == -self._least(-number)

    def _least(self, number: int) -> int:
        import torch

        device = "cuda" if "nccl" in torch.distributed.get_backend() else "cpu"
        least = torch.tensor([number], device=device)
        torch.distributed.all_reduce(least, op=torch.distributed.ReduceOp.MIN)
        return int(least)

    @contextmanager
    def over(self, model: CausalLM) -> Iterator[None]:
        """The handle with its passes split, and its blocks sharded where the launcher asked for that.

        Afterwards its module is the plain one again, with the trained weights. Raises ProcessLost.
        """
        blocks = _shard(model) if self.sharded else []
        model.score, model.hidden_at = self._score(model.score), self._hidden(model.hidden_at)  # type: ignore[method-assign]
        model.cuts_batches = not self.sharded
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, ProcessLost) or not is_lost(error):
                raise
            raise lost(error) from None
        finally:
            del model.score, model.hidden_at, model.cuts_batches  # the class's own again
        for restore in blocks:
            restore()

    def _score(self, score: Callable[..., Scored]) -> Callable[..., Scored]:
        def split(samples: Samples, *, distributions: bool = False) -> Scored:
            mine, take = self._share(len(samples))
            if take is None:
                return score(samples, distributions=distributions)
            part = score(samples.take(take), distributions=distributions)
            keep = slice(0, len(part.row) if mine else 0)
            row = gathered(part.row[keep] + (mine[0] if mine else 0))
            log_p = gathered(part.log_probability[keep])
            every = gathered(part.log_distribution[keep]) if part.log_distribution is not None else None
            return Scored(log_p, row, len(samples), every)

        return split

    def _hidden(self, hidden_at: Callable[..., Any]) -> Callable[..., Any]:
        def split(samples: Samples, layer: int) -> Any:
            import torch

            mine, take = self._share(len(samples))
            if take is None:
                return hidden_at(samples, layer)
            hidden, scored = hidden_at(samples.take(take), layer)
            width = torch.tensor([hidden.shape[1]], device=hidden.device)
            torch.distributed.all_reduce(width, op=torch.distributed.ReduceOp.MAX)
            more = int(width) - hidden.shape[1]
            hidden = torch.nn.functional.pad(hidden, (0, 0, 0, more))[: len(mine)]
            scored = torch.nn.functional.pad(scored, (0, more))[: len(mine)]
            return gathered(hidden), gathered(scored.to(torch.uint8)).bool()

        return split

    def _share(self, n: int) -> tuple[range, range | None]:
        """(my rows, the rows I run): one row is run for nothing where there are fewer rows than processes.

        A process that runs nothing would leave the others waiting for its shards. None: no rows at all.
        """
        mine = range(self.rank * n // self.world, (self.rank + 1) * n // self.world)
        return mine, (mine or range(1)) if n else None


def gathered(mine: torch.Tensor) -> torch.Tensor:
    """The rows of all processes, in their order; differentiable in this process's own rows."""
    import torch

    class Gather(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, mine: torch.Tensor) -> torch.Tensor:
            rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
            counts = [torch.zeros(1, dtype=torch.long, device=mine.device) for _ in range(world)]
            torch.distributed.all_gather(counts, torch.tensor([len(mine)], device=mine.device))
            sizes = [int(c) for c in counts]
            padded = mine.new_zeros((max(sizes), *mine.shape[1:]))
            padded[: len(mine)] = mine
            blocks = [torch.empty_like(padded) for _ in range(world)]
            torch.distributed.all_gather(blocks, padded)
            context.begin, context.size, context.world = sum(sizes[:rank]), sizes[rank], world
            return torch.cat([block[:size] for block, size in zip(blocks, sizes, strict=True)])

        @staticmethod
        def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
            return gradient[context.begin : context.begin + context.size] * context.world

    return Gather.apply(mine)


def is_sharded(p: Any) -> bool:
    return hasattr(p, "to_local")


def local(tensor: Any) -> Any:
    """This process's part of a sharded tensor; any other as it is."""
    return tensor.to_local() if is_sharded(tensor) else tensor


def shard_of(whole: torch.Tensor, like: Any) -> torch.Tensor:
    """This process's rows of a whole tensor, cut as ``like`` is."""
    if not is_sharded(like):
        return whole
    import torch

    parts = torch.chunk(whole, like.device_mesh.size())
    rank = like.device_mesh.get_local_rank()
    return parts[rank] if rank < len(parts) else whole[:0]


def whole_of(part: torch.Tensor, like: Any) -> torch.Tensor:
    """The inverse of ``shard_of``, the same in every process."""
    return gathered(part.detach()) if is_sharded(like) and part.dim() else part


def _shard(model: CausalLM) -> list[Callable[[], None]]:
    """Sharded copies in the place of the decoder blocks; the calls that put the plain ones back, trained."""
    import torch
    from torch.distributed.fsdp import fully_shard

    mesh = torch.distributed.device_mesh.init_device_mesh(model.device.type, (torch.distributed.get_world_size(),))
    back = []
    for name, block in sites.blocks(model.base):
        parent, _, own = name.rpartition(".")
        parent = model.base.get_submodule(parent)
        twin = copy.deepcopy(block)
        fully_shard(twin, mesh=mesh, reshard_after_forward=True)
        setattr(parent, own, twin)
        for p in block.parameters():
            if p.requires_grad:  # frozen ones may belong to the caller's handle too
                p.data = p.data.new_empty(0)
        back.append(_returning(parent, own, block, twin))
    return back


def _returning(parent: Any, own: str, block: Any, twin: Any) -> Callable[[], None]:
    def restore() -> None:
        trained = dict(twin.named_parameters())
        for name, p in block.named_parameters():
            if p.requires_grad:
                p.data = trained[name].full_tensor().detach().clone()
                p.grad = None
        setattr(parent, own, block)

    return restore
