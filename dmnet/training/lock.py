"""One process per run: a lock the kernel releases when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dmnet.errors import RunError

log = logging.getLogger(__name__)


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+")
    except OSError as error:
        raise RunError(
            f"{path}: cannot be opened ({error.strerror}); make the folder writable"
        ) from error
    with stream:
        announced = False
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not announced:
                    stream.seek(0)
                    holder = stream.read().strip() or "another process"
                    log.warning("%s is being %s by %s; waiting for it", path.stem, doing, holder)
                    announced = True
                while_waiting()
                time.sleep(poll_seconds)
            except OSError as error:
                raise RunError(
                    f"{path}: this file system gives no locks ({error.strerror}); put its folder "
                    "on one that does, or mount it with locking"
                ) from error
        try:
            stream.truncate(0)
            stream.write(f"process {os.getpid()} on {socket.gethostname()}")
            stream.flush()
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({error.strerror}); free space") from error
        yield
