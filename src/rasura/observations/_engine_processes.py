"""The processes of one run: who I am among them, what all of them say to each other, and how they end.

Every process runs the whole program and holds every result; what is expensive is split among them. They talk in
rounds: each says something and hears what all said. A round that one of them uses to say how it ended tells the others,
a broken connection or thirty minutes of silence too, so nobody waits for the dead. Accelerate (which
``accelerate launch`` set up) makes the connections.
"""

from __future__ import annotations

import os
import pickle
import signal
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from ..core.errors import ProcessLost

PATIENCE = 1800.0  # seconds without a word from another process, within one round, after which it counts as lost
FAREWELL = 15.0  # seconds a process that failed waits for the others to hear of it
AGAIN = "finished shards and checkpoints are kept: run the same command again"


def launched() -> bool:
    """Whether a launcher (accelerate launch, torchrun) started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1") or 1) > 1


@dataclass
class Processes:
    """This process and the others. ``group``: a connection for words; tensors go over the default one."""

    rank: int
    world: int
    group: Any = None
    patience: float = PATIENCE
    left: bool = False
    current: ClassVar[Processes | None] = None

    @classmethod
    def start(cls, patience: float | None = None) -> Processes:
        """Join the others; the second call returns the first one's answer. Alone, rank 0 of 1."""
        if Processes.current is None:
            import torch
            from accelerate import PartialState

            patience = patience or float(os.environ.get("RASURA_PATIENCE", PATIENCE))
            wait = {"timeout": timedelta(seconds=patience)} if launched() else {}
            state = PartialState(cpu=not torch.cuda.is_available(), **wait)
            group = None
            if state.num_processes > 1:
                group = torch.distributed.new_group(backend="gloo", **wait)
                signal.signal(signal.SIGTERM, _stopped)
            Processes.current = cls(state.process_index, state.num_processes, group, patience)
        return Processes.current

    @property
    def alone(self) -> bool:
        return self.world == 1

    def exchange(self, word: str, value: Any = None) -> list[Any]:
        """What every process said in this round, by rank. Raises ProcessLost when one ended instead.

        ``word`` names the round; processes in different rounds have parted ways, which is an error too.
        """
        heard = self._round((word, value), self.patience)
        for rank, (said, what) in enumerate(heard):
            if said == "end":
                reason = what or "it had nothing left to do"
                raise ProcessLost(f"process {rank} of {self.world} ended early ({reason}); {AGAIN}")
            if said != word:
                raise ProcessLost(f"process {rank} of {self.world} is at '{said}', process {self.rank} at '{word}'")
        return [what for _, what in heard]

    def end(self, message: str = "") -> list[str] | None:
        """Say how this process ended and hear how the others did; None when they cannot be reached any more."""
        if self.alone or self.left:
            return None
        self.left = True
        try:
            heard = self._round(("end", message), FAREWELL if message else self.patience)
        except ProcessLost:
            return None
        return [what if said == "end" else "" for said, what in heard] if all(s == "end" for s, _ in heard) else None

    def _round(self, message: Any, patience: float) -> list[Any]:
        """Lengths first, then the pickled words, padded to the longest."""
        if self.alone:
            return [message]
        import torch

        words = torch.frombuffer(bytearray(pickle.dumps(message)), dtype=torch.uint8)
        lengths = self._gather(torch.tensor([len(words)]), patience)
        padded = torch.zeros(int(max(lengths)), dtype=torch.uint8)
        padded[: len(words)] = words
        blocks = self._gather(padded, patience)
        return [pickle.loads(b[: int(n)].numpy().tobytes()) for b, n in zip(blocks, lengths, strict=True)]

    def _gather(self, mine: Any, patience: float) -> list[Any]:
        import torch

        all_of_them = [torch.zeros_like(mine) for _ in range(self.world)]
        try:
            work = torch.distributed.all_gather(all_of_them, mine, group=self.group, async_op=True)
            work.wait(timedelta(seconds=patience))
        except RuntimeError as error:
            raise lost(error) from None
        return all_of_them


def first() -> bool:
    """Whether this process is the one that prints and writes records."""
    return Processes.current is None or Processes.current.rank == 0


def lost(error: BaseException) -> ProcessLost:
    """What a person needs to know of a connection that broke."""
    silent = "timed out" in str(error).lower()
    what = "has been silent for too long" if silent else "has ended"
    return ProcessLost(f"another process of this run {what}; {AGAIN}")


def is_lost(error: BaseException) -> bool:
    """Whether an error of torch says that a connection to another process broke."""
    text = str(error).lower()
    return any(
        sign in text for sign in ("connection closed by peer", "connection reset", "gloo", "nccl", "timed out waiting")
    )


def _stopped(_number: int, _frame: Any) -> None:
    """A launcher stops the processes that are left when one has ended."""
    if Processes.current is not None:
        Processes.current.left = True  # the others are being stopped too: nobody listens
    raise ProcessLost(f"stopped by the launcher, because another process of this run has ended; {AGAIN}")
