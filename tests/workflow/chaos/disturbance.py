"""The processes of a command, whoever their parent is by now, and signals to them."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "DMNET_CHAOS"  # in the environment of every process of a round
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
TO_A_GROUP = 0.3  # the share of signals that go to a process group, as of a terminal or SLURM
MODULE = re.compile(r"-m (pipeline\.attempt|dmnet \w+|pipeline \w+|dvc)\b")


@dataclass(frozen=True)
class Hit:
    """A signal that was sent."""

    number: signal.Signals
    kind: str  # of the process that was chosen
    group: bool  # whether its whole process group was meant
    asked: frozenset[int]  # processes that it reached, or that are told of it by those
    second: float  # since the command began

    def __str__(self) -> str:
        whom = f"the group of {self.kind}" if self.group else self.kind
        return f"{self.number.name} to {whom} at {self.second:.1f} s"


def processes(mark: str) -> list[psutil.Process]:
    """All that live and carry the mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def kind_of(process: psutil.Process) -> str:
    """In words: snakemake, a shell, a job's command, a worker that a process forked, ..."""
    command = process.cmdline()
    parent = process.parent()
    if parent is not None:
        with contextlib.suppress(psutil.Error, OSError):
            if (parent.cmdline(), parent.environ()) == (command, process.environ()):
                return f"worker of {_named(command)}"
    name = _named(command)
    ranked = "TORCHELASTIC_RUN_ID" in process.environ()
    return f"{name}, one of several" if ranked and name == "dmnet train" else name


def _named(command: list[str]) -> str:
    program = Path(command[0]).name if command else "?"
    if program in ("bash", "sh"):
        return "shell"
    text = " ".join(command)
    if "snakemake" in text.split(" --")[0]:
        return "snakemake"
    module = MODULE.search(text)
    return module[1] if module else program


def disturb(mark: str, draw: random.Random, began: float) -> Hit | None:
    """Send a random signal to a random process, or to its group; None where none lives any more.

    Each kind has the same chance, however many processes it has. began: by `time.monotonic`.
    """
    kinds: dict[str, list[psutil.Process]] = {}
    for process in processes(mark):
        with contextlib.suppress(psutil.Error, OSError):
            kinds.setdefault(kind_of(process), []).append(process)
    if not kinds:
        return None
    kind = draw.choice(sorted(kinds))
    target = draw.choice(sorted(kinds[kind], key=lambda process: process.pid))
    number, group = draw.choice(SIGNALS), draw.random() < TO_A_GROUP
    everyone = [process for found in kinds.values() for process in found]
    try:
        led = os.getpgid(target.pid)
        hit = [p for p in everyone if group and _group(p.pid) == led] or [target]
        asked = frozenset(pid for process in hit for pid in _told_of(process, number))
        if group:
            os.killpg(led, number)
        else:
            os.kill(target.pid, number)
    except ProcessLookupError:
        return None  # it ended by itself meanwhile
    return Hit(number, kind, group, asked, time.monotonic() - began)


def _told_of(process: psutil.Process, number: signal.Signals) -> set[int]:
    """It, and those that it hands the signal on to: a job's command, processes of one training."""
    found = {process.pid}
    with contextlib.suppress(psutil.Error, OSError):
        kind = kind_of(process)
        hands_on = kind == "dmnet train" or (
            kind == "pipeline.attempt" and number in (signal.SIGTERM, signal.SIGHUP)
        )
        if hands_on:
            found |= {child.pid for child in process.children(recursive=True)}
    return found


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def wait_for_end(mark: str, seconds: float, pids: frozenset[int] | None = None) -> list[str]:
    """The commands of those (of `pids`, or all) that still live after so many seconds."""
    until = time.monotonic() + seconds
    while True:
        left = [p for p in processes(mark) if pids is None or p.pid in pids]
        if not left or time.monotonic() > until:
            return [f"{p.pid}: {described(p)}" for p in left]
        time.sleep(0.05)


def described(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:150]
    except (psutil.Error, OSError):
        return "?"


def end_all(mark: str) -> None:
    """Leave nothing of a round behind, however it went."""
    for process in processes(mark):
        with contextlib.suppress(psutil.Error, OSError):
            process.kill()
