"""What a whole command takes, in a process of its own, and the pages that say so."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.peer import BenchError
from dmnet.files import write_text
from dmnet.provenance import device_name

LOAD = os.getloadavg()[0]  # of the minute before


@dataclass(frozen=True)
class Taken:
    wall: float  # seconds
    processor: float
    memory: float  # MB


def call(command: list[str], folder: Path, **environment: str) -> Taken:
    """Raises BenchError with the last line of a command that fails."""
    output = folder / "output.txt"
    with output.open("wb") as stream:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, stdout=stream, stderr=stream, env=os.environ | environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        last = (output.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
        raise BenchError(f"`{' '.join(command[:4])} ...` ended with {process.returncode}: {last}")
    return Taken(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def machine() -> str:
    cores = len(os.sched_getaffinity(0))
    name = device_name(torch.device("cpu"))
    return f"{name}, {cores} cores (load average of the minute before: {LOAD:.1f})"


def write_document(path: Path, module: str, text: str) -> None:
    """Between the markers; the rest of the page is written by hand.

    Raises BenchError where the page has no such markers.
    """
    begin, end = f"<!-- measured: python -m {module} -->", "<!-- end of what was measured -->"
    page = path.read_text()
    if begin not in page or end not in page.split(begin)[1]:
        raise BenchError(f"{path}: the lines {begin!r} and {end!r} are missing; put them back")
    head, rest = page.split(begin)
    write_text(path, f"{head}{begin}\n\n{text}\n{end}{rest.split(end, 1)[1]}")
