"""Locks that the kernel releases when their holder dies, however it dies; one process per run.

The only contact with `flock`. Some file systems have none (Lustre without `-o flock`, NFS without
its lock service, some of those in user space). Another kind of lock in its place would hold on some
of them and not on others, and two processes would write the same run: such a place is refused.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dmnet.errors import RunError

log = logging.getLogger(__name__)


def try_lock(stream: IO[Any], path: Path, shared: bool = False) -> bool:
    """Lock the open file `path` until it is closed; False while another process holds it.

    shared: together with others that share it. Raises RunError where the file system has no locks.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise RunError(
            f"{path.absolute()}: this file system gives no locks (flock: {error.strerror}); mount "
            "it with them (Lustre: -o flock; NFS: with its lock service), or put the clone on "
            "another file system"
        ) from error
    return True


def open_lock(path: Path) -> IO[str]:
    """The lock file, made where it is missing. Raises RunError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+")
    except OSError as error:
        raise RunError(
            f"{path}: cannot be opened ({error.strerror}); make the folder writable"
        ) from error


def holder_of(stream: IO[Any], otherwise: str = "another process") -> str:
    """Who says to hold the lock, such as `process 12 on host`."""
    stream.seek(0)
    return stream.read().strip() or otherwise


def sign(stream: IO[Any], path: Path) -> None:
    """Write into the held lock file who holds it. Raises RunError."""
    try:  # not through the stream's buffer, which a full disk would stop once more on closing
        os.ftruncate(stream.fileno(), 0)
        os.write(stream.fileno(), f"process {os.getpid()} on {socket.gethostname()}".encode())
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}); free space") from error


def check_locks(folder: Path) -> None:
    """Raises RunError unless files of `folder`, which is made, can be locked. Leaves none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".lock") as stream:
            try_lock(stream, folder)
    except OSError as error:
        raise RunError(
            f"{folder}: cannot be written ({error.strerror}); free space or make it writable"
        ) from error


@contextmanager
def run_lock(
    path: Path,
    poll_seconds: float = 1.0,
    doing: str = "trained",
    while_waiting: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold the lock file `path`; wait, and call `while_waiting`, while another process holds it.

    An orphan of a killed Snakemake may still train the run: waiting for it, and then finding the
    run finished, is cheaper than training it twice.
    """
    with open_lock(path) as stream:
        announced = False
        while not try_lock(stream, path):
            if not announced:
                log.warning(
                    "%s is being %s by %s; waiting for it", path.stem, doing, holder_of(stream)
                )
                announced = True
            while_waiting()
            time.sleep(poll_seconds)
        sign(stream, path)
        yield
