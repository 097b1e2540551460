"""A batch comes, or one line says why not; workers outlive what is sent to their process group."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dmnet.data.loading import Batches, LoaderError
from dmnet.errors import DataError


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Four samples. Sample 2 does `what`; each is its worker's process and a zero."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index == 2:
            if self.what == "waits":
                time.sleep(3600)
            elif self.what == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.what == "data":
                raise DataError("b.png: damaged; prepare the dataset again")
            elif self.what == "shm":
                raise RuntimeError("unable to allocate shared memory(shm): No space left on device")
        return torch.tensor(os.getpid()), torch.tensor(0)


def loader(what: str = "", workers: int = 1) -> DataLoader[tuple[Tensor, Tensor]]:
    return DataLoader(Samples(what), batch_size=1, num_workers=workers)


@pytest.fixture(autouse=True)
def without_pytorchs_handler() -> Iterator[None]:
    """As in a training, which reads in another thread: PyTorch sets no handler of SIGCHLD there.
    One that another test's loader has set would raise at whatever this process is doing."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGCHLD, before)


def workers_of(batches: Batches) -> Iterator[int]:
    while (batch := batches.next()) is not None:
        yield int(batch[0])


def is_running(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("workers", [0, 2])
def test_every_batch_comes_once_and_then_none(workers: int) -> None:
    with Batches(loader(workers=workers)) as batches:
        found = list(workers_of(batches))
        assert len(found) == 4 and len(set(found)) == max(workers, 1)
        assert (os.getpid() in found) == (workers == 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_workers_outlive_what_their_parent_handles_and_end_with_it(number: signal.Signals) -> None:
    with Batches(loader()) as batches:
        batch = batches.next()
        assert batch is not None
        worker = int(batch[0][0])
        os.kill(worker, number)
        time.sleep(0.2)
        assert is_running(worker) and len(list(workers_of(batches))) == 3
    assert not is_running(worker)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_that_gives_nothing_is_an_error_after_the_stated_time(workers: int) -> None:
    batches = Batches(loader("waits", workers), patience=1)
    with batches, pytest.raises(LoaderError, match="no batch for 1 s; look at the disk"):
        list(workers_of(batches))
    assert not any(worker.is_alive() for worker in batches._workers)


def test_whoever_is_asked_to_stop_does_not_wait_for_the_loader() -> None:
    began = time.monotonic()
    with Batches(loader("waits")) as batches:
        assert batches.next() is not None and batches.next() is not None
        assert batches.next(stopped=lambda: time.monotonic() > began + 1) is None
    assert time.monotonic() < began + 30


@pytest.mark.parametrize(
    ("what", "error", "line"),
    [
        ("data", DataError, r"^b\.png: damaged; prepare the dataset again$"),
        ("shm", LoaderError, r"^a loader worker failed \(unable to allocate .*shared memory"),
        ("dies", LoaderError, r"^a loader worker failed \(killed by SIGKILL\); fewer"),
    ],
)
def test_what_goes_wrong_in_a_worker_is_one_line(
    what: str, error: type[Exception], line: str
) -> None:
    with Batches(loader(what)) as batches, pytest.raises(error, match=line) as raised:
        list(workers_of(batches))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("cut", [EOFError(), AuthenticationError("digest sent was rejected")])
def test_a_worker_that_dies_while_it_hands_a_batch_over_is_the_same_line(cut: Exception) -> None:
    class Cut(DataLoader[tuple[Tensor, Tensor]]):
        def __iter__(self) -> Iterator[Any]:
            raise cut

    with (
        Batches(Cut(Samples("dies"), num_workers=1)) as batches,
        pytest.raises(LoaderError, match=r"^a loader worker failed \(.+\); fewer"),
    ):
        batches.next()
