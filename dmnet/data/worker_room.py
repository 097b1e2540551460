"""What loader workers need of the machine, looked at before the first of them is started.

They hand batches over in shared memory (/dev/shm), and its descriptors through a socket in a
temporary folder. Where one is missing, PyTorch waits for ever or ends in the middle; fewer workers,
or none, load the same batches.
"""

from __future__ import annotations

import logging
import multiprocessing.util
import os
import tempfile
from pathlib import Path

from dmnet.config import RecipeConfig

log = logging.getLogger(__name__)

SHARED_MEMORY = Path("/dev/shm")
PREFETCHED = 2  # batches for each worker, as PyTorch's DataLoader has it
IN_HAND = 2  # besides: the one that is trained on, and the one that is handed over
RESERVE = 0.1  # of the free shared memory, for everybody else
SOCKET_PATH = 107  # bytes at most, of the kernel: `sun_path` without its last zero
SOCKET_NAME = len("/pymp-xxxxxxxx/listener-xxxxxxxx")  # what multiprocessing appends
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def affordable_workers(wanted: int, batch_bytes: int, sharing: int = 1) -> int:
    """So many workers as this machine has room for, `wanted` at most; fewer are said in the log.

    batch_bytes: of one process's part of a batch; sharing: training processes on this machine.
    """
    if wanted == 0:
        return 0
    if not _have_a_socket_folder():
        log.warning(
            "%s: too long for the sockets of %d loader workers, and %s cannot be written; loading "
            "in the training process instead; set TMPDIR to a short path",
            *(tempfile.gettempdir(), wanted, ", ".join(SHORT_FOLDERS)),
        )
        return 0
    free = _free_bytes(SHARED_MEMORY)
    batches = int(free * (1 - RESERVE)) // (batch_bytes * sharing)
    workers = max(0, min(wanted, (batches - IN_HAND) // PREFETCHED))
    if workers < wanted:
        needed = sharing * batch_bytes * (PREFETCHED * wanted + IN_HAND) / (1 - RESERVE)
        log.warning(
            "%s: %d MiB free, but execution.workers: %d needs %d; %s; give it more for speed "
            "(docker run --shm-size, or mount -o remount,size=...)",
            *(SHARED_MEMORY, free // 2**20, wanted, needed // 2**20 + 1),
            f"using {workers}" if workers else "loading in the training process instead",
        )
    return workers


def bytes_of_batch(recipe: RecipeConfig, processes: int) -> int:
    """Of one process's part of a batch, as `training_batches` makes it."""
    height, width = recipe.crop_size
    images = -(-recipe.batch_size // processes)
    return images * height * width * (3 * 4 + 1)  # float32 of three colours, and a label


def _free_bytes(folder: Path) -> int:
    try:
        space = os.statvfs(folder)
    except OSError:
        return 0
    return space.f_bavail * space.f_frsize


def _have_a_socket_folder() -> bool:
    """Let multiprocessing make its folder, now, where a socket's path is short enough."""
    for folder in (tempfile.gettempdir(), *SHORT_FOLDERS):
        if len(os.fsencode(folder)) + SOCKET_NAME > SOCKET_PATH:
            continue
        before = tempfile.tempdir
        tempfile.tempdir = folder
        try:
            made = Path(multiprocessing.util.get_temp_dir())
        except OSError:
            continue
        finally:
            tempfile.tempdir = before
        if folder != tempfile.gettempdir() and made.parent == Path(folder):
            log.warning(
                "%s: too long a path for sockets; those of loader workers are in %s",
                *(tempfile.gettempdir(), folder),
            )
        return len(os.fsencode(made / "listener-xxxxxxxx")) <= SOCKET_PATH
    return False
