"""Batches of a loader, waited for: never for ever, and not when the training is asked to stop.

A thread reads them, one whenever it is asked. Signals that the training handles are blocked in it,
and so in the loader workers, which it starts: what is sent to the whole process group (by SLURM, a
shell, systemd) leaves them alive until the training has saved.
"""

from __future__ import annotations

import multiprocessing
import queue
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dmnet.errors import DMNetError, RunError

Batch = tuple[Tensor, Tensor]

PATIENCE = 600.0  # seconds in which a batch must come; of several processes the others wait as long
LOOK = 0.2  # seconds between two looks at whether to stop
CLOSING = 15.0  # seconds for workers to end by themselves
# What the training process handles, or may be told to.
OF_THE_PARENT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class LoaderError(RunError):
    """No batch came: in the stated time, or because a worker ended."""


class Batches:
    """The batches of `loader`, one after the other. Close it, or use it in `with`."""

    def __init__(self, loader: DataLoader[Batch], patience: float | None = None) -> None:
        """patience: seconds to wait for a batch at most; None: PATIENCE."""
        self._loader = loader
        self._patience = PATIENCE if patience is None else patience
        self._requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Batch | None | BaseException] = queue.SimpleQueue()
        self._workers: list[BaseProcess] = []
        self._waiting = False
        self._device = torch.cuda.current_device() if torch.cuda.is_initialized() else None
        self._thread = threading.Thread(target=self._read, name="loader", daemon=True)
        self._thread.start()

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def next(self, stopped: Callable[[], bool] = lambda: False) -> Batch | None:
        """The next batch; None after the last one, or as soon as `stopped()`.

        Raises LoaderError where none comes, and what reading a sample raises.
        """
        if not self._waiting:
            self._requests.put(True)
            self._waiting = True
        until = time.monotonic() + self._patience
        while not stopped():
            try:
                answer = self._answers.get(timeout=min(LOOK, max(0.0, until - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= until:
                    raise LoaderError(
                        f"the loader gave no batch for {self._patience:g} s; look at the disk that "
                        "the dataset is on"
                    ) from None
                continue
            self._waiting = False
            if isinstance(answer, BaseException):
                raise self._in_one_line(answer) from None
            return answer
        return None

    def close(self) -> None:
        """End the workers; those that do not end by themselves are killed."""
        self._requests.put(False)
        if not self._waiting:
            self._thread.join(CLOSING)
        for worker in self._workers:
            if worker.is_alive():
                worker.kill()  # they block SIGTERM
                worker.join(1)

    def _read(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, OF_THE_PARENT)
        try:
            if self._device is not None:
                torch.cuda.set_device(self._device)  # each thread has its own
            others = set(multiprocessing.active_children())
            batches = iter(self._loader)
            self._workers = list(set(multiprocessing.active_children()) - others)
            while self._requests.get():
                self._answers.put(next(batches, None))
        except BaseException as error:
            self._answers.put(error)

    def _in_one_line(self, error: BaseException) -> BaseException:
        """Without the worker's traceback, which PyTorch puts into the message."""
        lines = [line for line in str(error).splitlines() if line.strip()] or [repr(error)]
        name = f"{type(error).__module__}.{type(error).__name__}: "
        last = lines[-1].strip().removeprefix(name).removeprefix(f"{type(error).__name__}: ")
        if isinstance(error, DMNetError):
            return type(error)(last) if len(lines) > 1 else error
        # A worker that dies while it hands a batch over leaves half of a message.
        died = RuntimeError | OSError | EOFError | multiprocessing.ProcessError
        if self._loader.num_workers and isinstance(error, died):
            return LoaderError(
                f"a loader worker failed ({self._killed() or last}); fewer execution.workers need "
                "less memory, shared memory and open files"
            )
        return error

    def _killed(self) -> str:
        """In a few words by which signal a worker ended, in place of the queue's long message."""
        for worker in self._workers:
            worker.join(LOOK)  # its sockets close a little before it ends
        codes = [worker.exitcode or 0 for worker in self._workers]
        return next((f"killed by {signal.Signals(-code).name}" for code in codes if code < 0), "")
