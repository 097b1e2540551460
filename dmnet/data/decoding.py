"""The process that decodes strangers' files for `guarded`: one request a line, one answer each.

It may use a stated memory and time for one file and write nothing. Nothing here imports torch.
"""

from __future__ import annotations

import io
import json
import math
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from dmnet.data.decode import MAX_PIXELS, read_content, read_image, read_label
from dmnet.errors import DataError
from dmnet.text import reason

# What a matrix of numbers may have: NumPy's name -> bytes of one.
ITEM_BYTES = {
    f"{order}{kind}{size}": size
    for kind, sizes in (("u", (1, 2, 4, 8)), ("i", (1, 2, 4, 8)), ("f", (4, 8)))
    for size in sizes
    for order in ("|" if size == 1 else "<")
}
_WRITTEN = 2**20  # bytes that it may write into one file: its last words

Answer = tuple[dict[str, Any], bytes]


def matrix(path: Path, variable: str, field: str | None) -> Answer:
    """A matrix of numbers in a MATLAB 5 file; an empty answer where there is none."""
    content = io.BytesIO(read_content(path, "file"))
    try:
        array = scipy.io.loadmat(content, variable_names=[variable]).get(variable)
    except MemoryError:
        raise
    # The parser raises errors of any type for a damaged file.
    except Exception as error:
        return {"unreadable": f"not a readable MATLAB 5 file ({reason(error)})"}, b""
    if field is not None:
        try:
            array = array[0, 0][field]  # a struct is such an array
        except (KeyError, IndexError, ValueError, TypeError):
            return {}, b""
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.size > MAX_PIXELS:
        return {}, b""
    dtype = array.dtype.newbyteorder("<").str
    if dtype not in ITEM_BYTES:
        return {}, b""
    numbers = np.ascontiguousarray(array, dtype).tobytes()
    return {"shape": list(array.shape), "dtype": dtype, "bytes": len(numbers)}, numbers


def image(path: Path) -> Answer:
    return {"shape": list(read_image(path).shape[:2])}, b""


def label(path: Path) -> Answer:
    indices = read_label(path)
    values = np.flatnonzero(np.bincount(indices.ravel())).tolist()
    return {"shape": list(indices.shape), "values": values}, b""


TASKS: dict[str, Callable[..., Answer]] = {"matrix": matrix, "image": image, "label": label}


def serve() -> None:
    """Answer until the parent has no more to ask, or is gone."""
    memory, seconds = int(sys.argv[1]), math.ceil(float(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    # What a library prints must not stand between answers.
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_FSIZE, _WRITTEN)
        _limit(resource.RLIMIT_AS, _address_space() + memory)
        answers.write(b"{}\n")
        answers.flush()
        for line in sys.stdin.buffer:
            used = resource.getrusage(resource.RUSAGE_SELF)
            # The kernel counts whole seconds; it ends this process even if the parent is gone.
            _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + seconds)
            answer, content = _answer(json.loads(line), memory)
            answers.write(json.dumps(answer).encode() + b"\n" + content)
            answers.flush()


def _answer(request: dict[str, Any], memory: int) -> Answer:
    task, path = TASKS[request.pop("task")], Path(request.pop("path"))
    try:
        return task(path, **request)
    except DataError as error:
        return {"error": str(error)[:4000]}, b""
    except MemoryError:
        return {"unreadable": f"needs more than {memory / 2**20:.0f} MiB to be decoded"}, b""
    except BaseException as error:  # also what libraries in Rust raise, which is no Exception
        return {"unreadable": f"makes its decoder fail ({reason(error)})"}, b""


def _limit(what: int, amount: int) -> None:
    """Lower the soft limit; some systems do not have all of them."""
    with suppress(ValueError, OSError):
        _, most = resource.getrlimit(what)
        if most != resource.RLIM_INFINITY:
            amount = min(amount, most)
        resource.setrlimit(what, (amount, most))


def _address_space() -> int:
    """Bytes that this process has mapped; 0 where the system does not say."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0
