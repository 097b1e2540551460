"""Strangers' files are decoded in a process of their own, which may crash, hang or starve alone.

Decoders are written in C; a file made for the purpose crashes them, and a Python `except` does not
see it. So what meets a file for the first time, the preparation of a dataset, has it decoded by one
worker process that is fed file after file, and that is started anew after it ended:

    preparation ── {"task": ..., "path": ...} ──> worker (`decoding`)
                <── {"shape": ..., ...}, bytes ──    limits on memory, time and written files

Answers are checked like files: the worker may be what the file made of it. Training and evaluation
decode by themselves: they read only files that a preparation accepted, whose hashes it wrote down.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dmnet.data.decoding import ITEM_BYTES, MAX_PIXELS
from dmnet.errors import DataError, DMNetError, RunError
from dmnet.text import printable

MEMORY = 2 * 2**30  # bytes for one file, beside what the worker has from its start
SECONDS = 10  # of processor time for one file, of which published ones need some hundredths
PATIENCE = 12  # times as much by the clock, which also counts slow disks and busy machines
STARTING = 120  # seconds by the clock until a worker answers

_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)  # no file makes these
_MAX_LINE = 2**20  # bytes; the values of a label are in one
_START = "import sys; sys.path[:] = sys.argv[3:]; from dmnet.data.decoding import serve; serve()"


class UnreadableError(DataError):
    """A file that ended its decoder. The message is the reason only, a part of a sentence."""


class Decoder:
    """A worker process; it starts with the first file and ends with `close` or its parent."""

    def __init__(self, memory: int = MEMORY, seconds: float = SECONDS) -> None:
        """memory: bytes; seconds: of processor time for one file."""
        self.memory, self.seconds = memory, seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def ask(self, task: str, path: Path, **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """The answer of a task of `decoding.TASKS` about the file `path`, and the bytes after it.

        Raises DataError with the task's own message, UnreadableError where the file crashed the
        worker or went beyond its limits, and RunError where no worker can be started or somebody
        ended it.
        """
        request = json.dumps({"task": task, "path": os.path.abspath(path), **arguments})
        with self._lock:
            try:
                answer, content = self._answer(self._started(), request.encode() + b"\n")
            except BaseException:
                self._stop()  # what it still has to say belongs to no later question
                raise
        if "error" in answer:
            raise DataError(printable(answer["error"]))
        if "unreadable" in answer:
            raise UnreadableError(printable(answer["unreadable"]))
        return answer, content

    def close(self) -> None:
        with self._lock:
            self._stop()

    @property
    def pid(self) -> int | None:
        """None while there is no worker."""
        return None if self._process is None else self._process.pid

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None:
            return self._process
        # Decoders' last words, which have no place in an error of one line.
        with tempfile.TemporaryFile() as words:
            limits = [str(self.memory), str(self.seconds)]
            # Isolated (-I): the folder it is started in and PYTHON* variables change nothing.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, *limits, *map(os.path.abspath, sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                # Threads of libraries take address space, on machines with many cores a lot.
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
            self._unread = b""
            try:
                self._line(self._process, time.monotonic() + STARTING)
            except (_EndedError, TimeoutError) as error:
                words.seek(0)
                said = words.read(_MAX_LINE).decode(errors="replace").strip().splitlines()
                raise RunError(
                    "the process that decodes files cannot be started "
                    f"({printable(said[-1]) if said else 'it said nothing'}); correct the "
                    "environment, then run the same command again"
                ) from error
        return self._process

    def _answer(
        self, process: subprocess.Popen[bytes], request: bytes
    ) -> tuple[dict[str, Any], bytes]:
        deadline = time.monotonic() + PATIENCE * self.seconds
        assert process.stdin is not None
        try:
            process.stdin.write(request)
            process.stdin.flush()
            answer = _checked(self._line(process, deadline))
            content = self._bytes(process, answer.get("bytes", 0), deadline)
        except (_EndedError, BrokenPipeError):
            raise self._why_it_ended(process) from None
        except TimeoutError:
            raise UnreadableError(
                f"is not decoded after {PATIENCE * self.seconds:g} seconds by the clock"
            ) from None
        return answer, content

    def _why_it_ended(self, process: subprocess.Popen[bytes]) -> DMNetError:
        status = process.wait()
        if status >= 0:
            return UnreadableError(f"ends its decoder (exit status {status})")
        name = signal.Signals(-status).name
        if -status == signal.SIGXCPU:
            return UnreadableError(
                f"takes more than {self.seconds:g} seconds of processor time to decode"
            )
        if -status in _FROM_OUTSIDE:
            return RunError(
                f"the process that decodes files was ended from outside ({name}), as where memory "
                "is short; run the same command again"
            )
        return UnreadableError(f"crashes its decoder ({name})")

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):  # a request that it did not read any more
                stream.close()

    def _line(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        while b"\n" not in self._unread:
            if len(self._unread) > _MAX_LINE:
                raise UnreadableError("makes its decoder answer nonsense")
            self._unread += _some(process, deadline)
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _bytes(self, process: subprocess.Popen[bytes], count: int, deadline: float) -> bytes:
        content = bytearray(self._unread)
        while len(content) < count:
            content += _some(process, deadline)
        self._unread = bytes(content[count:])
        return bytes(content[:count])


def check_image(path: Path, decoder: Decoder | None = None) -> tuple[int, int]:
    """Decodes an image; its (height, width). Raises as `decode.read_image`."""
    return _decoded("image", path, decoder)[0]


def check_label(path: Path, decoder: Decoder | None = None) -> tuple[tuple[int, int], list[int]]:
    """Decodes a label; its (height, width) and the values it has. Raises as `decode.read_label`."""
    shape, answer = _decoded("label", path, decoder)
    return shape, answer["values"]


def read_matrix(
    path: Path, archive: str, variable: str, field: str | None = None
) -> npt.NDArray[np.integer] | None:
    """A matrix of integers (height, width) in a MATLAB 5 file, or in a field of its struct.

    None where the file has no such matrix, or an empty one. Decoded in a process of its own: the
    parser crashes on files that were made for it. Raises DataError, which names the archive that
    the file came from, when it cannot be read.
    """
    try:
        answer, content = shared().ask("matrix", path, variable=variable, field=field)
    except UnreadableError as error:
        raise DataError(
            f"{path.name}: {error}; the archive {archive} is damaged, download it again"
        ) from error
    if "dtype" not in answer:
        return None
    matrix = np.frombuffer(content, answer["dtype"]).reshape(answer["shape"])
    return matrix if matrix.size and matrix.dtype.kind in "ui" else None


def _decoded(
    task: str, path: Path, decoder: Decoder | None
) -> tuple[tuple[int, int], dict[str, Any]]:
    try:
        answer, _ = (decoder or shared()).ask(task, path)
    except UnreadableError as error:
        raise DataError(f"{path}: {error}; delete it and get the published file") from error
    height, width = answer["shape"]
    return (height, width), answer


@cache
def shared() -> Decoder:
    """The decoder of this process, for all that it prepares."""
    decoder = Decoder()
    atexit.register(decoder.close)
    return decoder


class _EndedError(Exception):
    """The worker closed its end."""


def _some(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    assert process.stdout is not None
    left = deadline - time.monotonic()
    if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
        raise TimeoutError
    if content := os.read(process.stdout.fileno(), 2**20):
        return content
    raise _EndedError


def _checked(line: bytes) -> dict[str, Any]:
    """An answer of the form that `decoding` writes."""
    try:
        answer: dict[str, Any] = json.loads(line)
        if _well_formed(answer):
            return answer
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise UnreadableError("makes its decoder answer nonsense")


def _well_formed(answer: dict[str, Any]) -> bool:
    if answer.keys() & {"error", "unreadable"}:
        return len(answer) == 1 and all(isinstance(text, str) for text in answer.values())
    if not answer:
        return True
    shape = answer["shape"]
    if len(shape) != 2 or not all(type(n) is int and n >= 0 for n in shape):
        return False
    if math.prod(shape) > MAX_PIXELS or not all(type(n) is int for n in answer.get("values", [])):
        return False
    if "dtype" not in answer:
        return "bytes" not in answer
    return bool(answer["bytes"] == math.prod(shape) * ITEM_BYTES[answer["dtype"]])
