"""The processes that train one run together: started by torchrun, or this one alone.

Small messages (sums of losses, the wish to stop) go over gloo, also where gradients go over NCCL.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from dmnet.config.jobs import Device
from dmnet.devices import pick_device
from dmnet.errors import LostContactError
from dmnet.torchrun import rank_of_this_process

log = logging.getLogger(__name__)

MEETING = "DMNET_MEETING"  # names the file where the processes of one machine meet
# One process may validate or save for long while the others wait; a process that ends is noticed
# at once, by its peers and by torchrun, and not by this limit.
TIMEOUT = timedelta(minutes=30)
SIGNS_OF_A_LOST_PEER = ("gloo", "nccl", "connection closed", "connection reset", "timed out")


@dataclass(frozen=True)
class Processes:
    """This process among its peers. With a count of 1 nothing is ever sent."""

    rank: int = 0
    count: int = 1
    local_rank: int | None = None  # of several on this machine: the number of its GPU

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums over all processes, in float64, the same numbers in each."""
        if self.count == 1:
            return list(values)
        total = torch.tensor(list(values), dtype=torch.float64)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def any_of(self, answers: Mapping[str, bool]) -> dict[str, bool]:
        """Each whether any process finds it; every process asks for the same names together."""
        counts = self.sum([float(each) for each in answers.values()])
        return {name: bool(count) for name, count in zip(answers, counts, strict=True)}

    def sum_counts(self, counts: np.ndarray) -> np.ndarray:
        """The sum over all processes of an int64 array; exact."""
        if self.count == 1:
            return counts
        total = torch.from_numpy(counts.copy())
        dist.all_reduce(total)
        return total.numpy()

    def from_first(self, value: Any) -> Any:
        """What the first process passed; tensors in it come on the CPU.

        Read as an untrusted file is: gloo asks nobody who they are.
        """
        if self.count == 1:
            return value
        buffer = io.BytesIO()
        if self.first:
            torch.save(value, buffer)
        length = torch.tensor([buffer.tell()])
        dist.broadcast(length, src=0)
        content = torch.empty(int(length), dtype=torch.uint8)
        if self.first:
            content = torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)
        dist.broadcast(content, src=0)
        if self.first:
            return value
        return torch.load(
            io.BytesIO(content.numpy().tobytes()), map_location="cpu", weights_only=True
        )

    def wait_for_all(self) -> None:
        if self.count > 1:
            self.sum([0.0])


ALONE = Processes()


@contextmanager
def joined_processes(wanted: Device) -> Iterator[Processes]:
    """Join the peers that torchrun started; alone without torchrun.

    wanted: where they compute. Of several on one machine each has the GPU of its number.
    Raises DeviceError where it is not to be had, LostContactError where a peer ended or did not
    answer.
    """
    rank = rank_of_this_process()
    if rank is None:
        yield Processes()
        return
    count = int(os.environ["WORLD_SIZE"])
    processes = Processes(rank, count, int(os.environ["LOCAL_RANK"]))
    device = pick_device(wanted, processes.local_rank)
    backend = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    meeting = os.environ.get(MEETING)
    store = None if meeting is None else dist.FileStore(meeting, count)
    if store is None:  # the variables may also be left over from what started this
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        log.info("torchrun: process %d of %d, waits for the others at %s", rank, count, place)
    try:
        dist.init_process_group(
            backend,
            timeout=TIMEOUT,
            store=store,
            rank=rank,
            world_size=count,
        )
        yield processes
        dist.destroy_process_group()
    except RuntimeError as error:
        text = str(error)
        is_lost = isinstance(error, dist.DistError) or any(
            sign in text.lower() for sign in SIGNS_OF_A_LOST_PEER
        )
        if not is_lost:
            raise
        reason = text.splitlines()[0][:200]
        raise LostContactError(
            f"process {processes.rank} of {count}: lost contact with the others ({reason})"
        ) from error
