"""What is done by now and must not be done again: finished runs and saved states."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmnet.files import sha256_file
from tests.workflow.chaos.disturbance import Hit
from tests.workflow.conftest import Clone

STEP = re.compile(r"\] (\d+)/\d+  loss", re.M)
SAVES = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Done:
    """Of one run, at one moment."""

    saved: int  # iterations in the newest whole state
    finished: tuple[int, int] | None  # inode and time of the weights, if they are vouched for
    log: bytes


def done(clone: Clone) -> dict[str, Done]:
    """key -> how far it is, for every run that was begun."""
    found = {}
    for folder in sorted(clone.path.glob("runs/*/")):
        if re.fullmatch(r"[0-9a-f]{16}", folder.name):
            log = _content(log_of(clone, folder.name))
            found[folder.name] = Done(_saved(folder), _finished(folder), log)
    return found


def log_of(clone: Clone, key: str) -> Path:
    return clone.path / "logs" / "runs" / key / "train.log"


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _finished(folder: Path) -> tuple[int, int] | None:
    try:
        manifest = json.loads((folder / "finished.json").read_text())
        weights = folder / "weights.pt"
        if sha256_file(weights) != manifest["weights"]["sha256"]:
            return None
        return weights.stat().st_ino, weights.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _saved(folder: Path) -> int:
    try:
        index = json.loads((folder / "resume" / "states.json").read_text())
        return max(
            (
                state["iteration"]
                for state in index["states"]
                if sha256_file(folder / "resume" / state["file"]) == state["sha256"]
            ),
            default=0,
        )
    except FileNotFoundError:  # none yet, or an orphan goes on and has just replaced it
        return 0


def done_again(clone: Clone, before: dict[str, Done]) -> list[str]:
    """What was trained again of what was finished or saved `before`, in words."""
    found = []
    for key, then in before.items():
        log = _content(log_of(clone, key))
        # Snakemake removes a job's log before it runs it anew; an orphan adds to it.
        new = log.removeprefix(then.log).decode(errors="replace")
        steps = [int(number) for number in STEP.findall(new)]
        if then.finished is not None:
            if steps or _finished(clone.path / "runs" / key) != then.finished:
                found.append(f"runs/{key}: was finished, and trained again")
        elif again := [step for step in steps if step < then.saved]:
            found.append(f"runs/{key}: saved at {then.saved}, trained from {min(again)} again")
    return found


def running(clone: Clone) -> dict[str, dict[str, Any]]:
    """key -> progress.json."""
    found = {}
    for path in clone.path.glob("runs/*/progress.json"):
        try:
            found[path.parent.name] = json.loads(path.read_text())
        except FileNotFoundError:
            continue
    return found


def not_saved(
    clone: Clone, was: dict[str, dict[str, Any]], hits: list[Hit], asked: Collection[int]
) -> list[str]:
    """What a training had reached when it was asked to stop, and its states have not.

    was: of the moment of the first signal; asked: the processes that a signal reached which saves.
    """
    if any(hit.number not in SAVES for hit in hits):
        return []
    now, found = done(clone), []
    for key, progress in was.items():
        reached, run = progress["iteration"], now[key]
        if progress["pid"] in asked and run.finished is None and run.saved < reached:
            found.append(f"runs/{key}: asked to stop at iteration {reached}, saved is {run.saved}")
    return found
